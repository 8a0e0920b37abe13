"""The methods as they come, each on a little data, and the rows of the table."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.svm import SVC

from analyses.analysis import Options
from analyses.defaults import QUICK_METHODS, SPLITS, cells, rows
from analyses.defaults_rivals import METHODS, OPTIONAL, REFERENCES, ProbableSVC, installed
from analyses.varied_sets import SETS, Divided, divided
from nfa import InputError


def some(task, name, n=60, n_test=40):
    """A few rows of a set."""
    data = divided(task, name, 0)
    parts = (data.X_train[:n], data.X_test[:n_test], data.y_train[:n], data.y_test[:n_test])
    return Divided(*parts, data.classes)


def quick(name, data):
    """A method made for the data, as short as it can be."""
    if name in OPTIONAL:
        pytest.importorskip(name)
    model = METHODS[name](data, 0)
    if name == "rfm_cv":
        model.set_params(kernels=["laplace"], max_iters=1, cv=3)
    if name == "catboost":
        (model.estimator if hasattr(model, "estimator") else model).set_params(iterations=50)
    return model.fit(data.X_train, data.y_train)


def test_cells_are_all_methods_on_all_splits_of_all_sets():
    found = cells(Options())
    sets = sum(len(each) for each in SETS.values())
    assert len(found) == sets * SPLITS * len(installed())
    assert {each["method"] for each in found} == set(installed())
    assert {each["method"] for each in cells(Options(quick=True))} == set(QUICK_METHODS)
    assert {each["task"] for each in cells(Options(("steps",)))} == {"regression", "classification"}
    with pytest.raises(InputError, match=r"dataset: 'step' is unknown; did you mean 'steps'\?"):
        cells(Options(("step",)))


def test_a_method_whose_package_is_missing_is_left_out(monkeypatch):
    monkeypatch.setattr("analyses.defaults_rivals.find_spec", lambda name: None)
    assert set(installed()) == set(METHODS) - set(OPTIONAL)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "constant"])
@pytest.mark.filterwarnings("ignore")  # those of other packages
def test_every_method_takes_numbers_and_categories(name):
    data = some("regression", "categories", n=120)
    assert r2_score(data.y_test, quick(name, data).predict(data.X_test)) > (-0.5 if name == "xrfm" else 0.2)
    data = some("classification", "categories", n=120)
    model = quick(name, data)
    assert accuracy_score(data.y_test, model.predict(data.X_test)) > 0.6
    if name != "svm_tuned":
        p = model.predict_proba(data.X_test)
        np.testing.assert_allclose(p.sum(1), 1, atol=1e-5)
        assert accuracy_score(data.y_test, p.argmax(1)) > 0.6


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.filterwarnings("ignore")
def test_every_method_takes_several_targets(name):
    data = some("regression", "two-targets")
    assert quick(name, data).predict(data.X_test).shape == (40, 2)


@pytest.mark.parametrize("name", METHODS)
def test_nothing_is_set_but_seeds_and_silence(name):
    if name in REFERENCES:
        pytest.skip("no rival")
    if name in OPTIONAL:
        pytest.importorskip(name)
    model = METHODS[name](some("classification", "iris"), 5)
    estimator = model[-1] if hasattr(model, "steps") else model
    allowed = {"random_state", "random_seed", "verbose", "thread_count", "allow_writing_files", "cat_features"}
    allowed |= {"classes", "seed"} if name == "xrfm" else set()
    assert {
        key
        for key, value in estimator.get_params(deep=False).items()
        if key not in allowed and repr(value) != repr(type(estimator)().get_params(deep=False).get(key))
    } == set()


def test_labels_of_the_support_vector_machine_are_its_own():
    data = some("classification", "xor", n=100)
    model = ProbableSVC().fit(data.X_train, data.y_train)
    expected = SVC().fit(data.X_train, data.y_train).predict(data.X_test)
    np.testing.assert_array_equal(model.predict(data.X_test), expected)


def test_rows_hold_score_log_loss_and_time():
    cell = {"task": "classification", "dataset": "breast-cancer-40", "split": 1, "method": "linear"}
    [row] = rows(cell, Options())
    data = divided("classification", "breast-cancer-40", 1)
    model = METHODS["linear"](data, 1)
    with pytest.warns(match="failed to converge"):
        model.fit(data.X_train, data.y_train)
    assert row["score"] == accuracy_score(data.y_test, model.predict(data.X_test))
    assert row["log_loss"] == pytest.approx(log_loss(data.y_test, model.predict_proba(data.X_test)))
    assert (row["n"], row["d"], row["targets"]) == (40, 30, 2)
    assert row["fit_seconds"] > 0
    [row] = rows({"task": "regression", "dataset": "two-targets", "split": 0, "method": "constant"}, Options())
    assert row["targets"] == 2
    assert -0.1 < row["score"] <= 0
    assert np.isnan(row["log_loss"])
