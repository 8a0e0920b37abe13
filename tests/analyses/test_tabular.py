"""The cells of the tabular analysis, and each rival on a little data."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris, make_classification

from analyses import tabular
from analyses.analysis import Options
from analyses.tabular_rivals import RIVALS
from analyses.workers import computed
from nfa import InputError
from nfa.data.uci import PARTS


def write(folder, name, X, y, seed=0):
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(5):
        order = rng.permutation(len(y))
        found += [order[: 3 * len(y) // 4], order[3 * len(y) // 4 :]]
    np.savez(folder / f"{name}.npz", X=X, y=y, **dict(zip(PARTS, found, strict=True)))


@pytest.fixture
def options(tmp_path, monkeypatch):
    monkeypatch.setattr(tabular, "MAX_ROWS", 200)
    iris = load_iris()
    write(tmp_path, "iris", iris.data, iris.target)
    X, y = make_classification(n_samples=60, random_state=0)
    write(tmp_path, "made", X, y)
    write(tmp_path, "big", np.zeros((201, 1)), np.arange(201) % 2)
    write(tmp_path, "trains", X[:10], np.arange(10) % 2)
    return Options(folder=tmp_path)


def test_all_methods_on_all_folds_the_cheapest_set_first_without_the_large(options):
    cells = tabular.cells(options)
    assert [cell["dataset"] for cell in cells] == ["iris"] * 32 + ["made"] * 32
    assert {(cell["method"], cell["fold"]) for cell in cells} == {
        (name, fold) for name in tabular.METHODS for fold in range(4)
    }


def test_a_row(options, monkeypatch):
    seen = []

    def right(data, fold, seed):
        seen.append((data.name, fold, seed))
        return {"accuracy": 1.0, "ridge": 0.1}

    monkeypatch.setitem(tabular.METHODS, "right", right)
    [row] = tabular.rows({"dataset": "iris", "fold": 2, "method": "right", "seed": 5}, options)
    assert seen == [("iris", 2, 5)]
    assert row == {"n": 150, "d": 4, "classes": 3, "accuracy": 1.0, "chosen": '{"ridge": 0.1}'}


def test_several_processes(options):
    cells = [{"dataset": "iris", "fold": fold, "method": "svm", "seed": 0} for fold in range(4)]
    found = {cell["fold"]: future.result() for cell, future in computed("tabular", cells, options, jobs=2)}
    assert sorted(found) == [0, 1, 2, 3]
    for [row], seconds in found.values():
        assert row["accuracy"] > 0.85
        assert set(json.loads(row["chosen"])) == {"C", "gamma"}
        assert seconds > 0


@pytest.mark.parametrize("name", tabular.BUNDLED)
def test_without_a_folder_sets_of_scikit_learn_are_divided_in_the_same_way(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert tabular.folder_of(Options()) is None
    data = tabular.read(None, name)
    n = len(data.y)
    np.testing.assert_allclose(data.X.mean(0), 0, atol=1e-12)
    assert sorted([*data.tune_train, *data.tune_val]) == list(range(n))
    for train, test in data.folds:
        assert sorted([*train, *test]) == list(range(n))
        assert len(test) == pytest.approx(n / 4, abs=1)
    assert len({tuple(test) for _, test in data.folds}) == 4


def test_bundled_sets_have_a_table_of_their_own(options, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert tabular.ANALYSIS.variant(Options()) == "_bundled"
    assert tabular.ANALYSIS.variant(options) == ""
    (tmp_path / "uci").mkdir()
    monkeypatch.setattr(tabular, "FOLDER", tmp_path / "uci")
    assert tabular.ANALYSIS.variant(Options()) == ""


def test_an_unknown_set(options):
    with pytest.raises(InputError, match=r"dataset: 'irsi' is unknown; did you mean 'iris'\?"):
        tabular.cells(Options(("irsi",), options.folder))


@pytest.mark.parametrize("name", RIVALS)
def test_every_rival_learns_and_copes_with_tiny_classes(name):
    if name == "xrfm":
        pytest.importorskip("xrfm")
    X, y = load_iris(return_X_y=True)
    # Every sixth row; a class with two members, and one number of a class that does not occur.
    X, y = X[::6], y[::6] * 2
    y[[0, 1]] = 5
    X[[0, 1]] += 5
    rival = RIVALS[name](0).fit(X, y)
    predicted = rival.predict(X)
    assert set(predicted) <= {0, 2, 4, 5}
    assert rival.score(X, y) == (predicted == y).mean() > 0.7
    assert json.loads(json.dumps(rival.best_params_))
    again = RIVALS[name](0).fit(X, y)
    assert again.best_params_ == rival.best_params_
    np.testing.assert_array_equal(again.predict(X), predicted)


def test_the_chosen_settings_are_kept_as_json(options):
    cell = {"dataset": "made", "fold": 0, "method": "rfm_cv", "seed": 0}
    [row] = tabular.rows(cell, options)
    assert {"kernel", "bandwidth", "ridge", "n_iters"} <= set(json.loads(row["chosen"]))
    assert isinstance(pd.DataFrame([row])["accuracy"][0], float)
