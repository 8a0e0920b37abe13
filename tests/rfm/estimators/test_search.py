"""Estimators that choose: what they try, what they tell, and that they do not deceive."""

import pickle
import warnings
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import gaussian
from rfm.bare import PlainClassifier, PlainRegressor
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GroupKFold, KFold, LeaveOneOut, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nfa import InputError
from nfa.rfm import RFMClassifierCV, RFMRegressorCV
from nfa.rfm.calibration import best_temperature, calibrated
from nfa.rfm.estimators import search
from nfa.rfm.losses import log_probabilities, squared_loss

X = gaussian(60, 3).numpy()
Y = X[:, 0] ** 2 + 0.3 * X[:, 1]
LABELS = np.array(["low", "mid", "top"])[np.digitize(X[:, 0], [-0.4, 0.4])]
NEW = gaussian(25, 3, seed=7).numpy()
FEW = {
    "scale": None,
    "kernels": ["laplace", "l1", "power"],
    "bandwidths": [1.0, 2.0],
    "ridges": [1e-3, 1e-1],
    "max_iters": 2,
    "shortlist": 2,
}
CHOSEN = ["kernel", "exponent", "diag", "bandwidth", "ridge", "n_iters"]


def test_what_it_tells():
    for model, y in ((RFMRegressorCV(**FEW, cv=3), Y), (RFMClassifierCV(**FEW, cv=3), LABELS)):
        with pytest.raises(NotFittedError):
            _ = model.M_
        assert not hasattr(model, "solver_")
        model.fit(X, y)
        assert list(model.loo_results_) == [*CHOSEN[:-1], "loss"]
        chosen = CHOSEN if y is Y else [*CHOSEN, "temperature"]
        assert list(model.cv_results_) == [*chosen, "loss", "score"]
        # Every pair is ranked; of each kernel, two are judged with 0 and 1 update, and one with 2.
        assert model.loo_results_.groupby("kernel").size().to_dict() == {"laplace": 4, "l1": 4, "power": 4}
        assert model.cv_results_.groupby("kernel").size().to_dict() == {"laplace": 5, "l1": 5, "power": 5}
        best = model.cv_results_.loc[model.cv_results_["loss"].idxmin()]
        assert model.best_params_ == {name: best[name] for name in chosen} | {"scale": None, "agop_power": 1.0}
        assert model.best_score_ == best["score"]
        assert model.cv_results_.query("kernel == 'l1'")["diag"].all()
        np.testing.assert_array_equal(model.M_, model.best_estimator_.M_)
        np.testing.assert_array_equal(model.agop(NEW), model.best_estimator_.agop(NEW))
        assert model.history_ is model.best_estimator_.history_
        assert repr(model).endswith(model.solver_)
        assert model.feature_importances_.argmax() == 0


@pytest.mark.parametrize(
    ("kernel", "exponent", "diag"),
    [("laplace", 1.0, False), ("gaussian", 1.0, False), ("l1", 1.0, True), ("power", 0.8, True)],
)
def test_exponent_and_diagonal_are_those_of_the_kernel(kernel, exponent, diag):
    model = RFMRegressorCV(**FEW | {"kernels": [kernel], "exponent": 0.8}).fit(X, Y)
    assert (model.cv_results_["exponent"] == exponent).all()
    assert (model.cv_results_["diag"] == diag).all()
    assert model.best_estimator_.machine_.kernel.exponent == exponent
    assert model.M_.ndim == (1 if diag else 2)


def test_it_is_the_machine_of_the_chosen_parameters():
    chosen = RFMRegressorCV(**FEW).fit(X, Y)
    np.testing.assert_array_equal(chosen.predict(NEW), PlainRegressor(**chosen.best_params_).fit(X, Y).predict(NEW))
    chosen = RFMClassifierCV(**FEW).fit(X, LABELS)
    plain = PlainClassifier(**chosen.best_params_).fit(X, LABELS)
    np.testing.assert_array_equal(chosen.predict_proba(NEW), plain.predict_proba(NEW))
    np.testing.assert_array_equal(chosen.decision_function(NEW), plain.decision_function(NEW))
    assert chosen.score(X, LABELS) == accuracy_score(LABELS, chosen.predict(X))


@pytest.mark.parametrize("weighted", [False, True])
def test_losses_and_scores_are_those_of_refitted_paths(weighted):
    """Each row of the table, by estimators fitted on each fold's training rows alone."""
    weights = np.linspace(0.2, 2, 60) if weighted else None
    splits = list(KFold(3, shuffle=True, random_state=1).split(X))
    judged = np.concatenate([test for _, test in splits])
    share = None if weights is None else weights[judged]
    for model, single, y in ((RFMRegressorCV, PlainRegressor, Y), (RFMClassifierCV, PlainClassifier, LABELS)):
        found = model(**FEW, cv=splits).fit(X, y, weights)
        for row in found.cv_results_.to_dict("records"):
            parameters = {name: row[name] for name in CHOSEN}
            outputs = []
            for train, test in splits:
                machine = single(**parameters).fit(X[train], y[train], None if weights is None else weights[train])
                outputs.append(machine._outputs(X[test]))
            outputs = np.concatenate(outputs)
            shares = None if share is None else torch.from_numpy(share)
            if model is RFMRegressorCV:
                assert row["loss"] == pytest.approx(np.average((y[judged] - outputs[:, 0]) ** 2, weights=share))
                assert row["score"] == pytest.approx(r2_score(y[judged], outputs[:, 0], sample_weight=share))
                continue
            one_hot = torch.from_numpy(np.eye(3)[np.searchsorted(found.classes_, y[judged])])
            # The prior is that of all rows.
            prior = torch.from_numpy(np.array([np.average(y == name, weights=weights) for name in found.classes_]))
            T, loss = best_temperature(torch.from_numpy(outputs), one_hot, shares, prior)
            assert row["loss"] == pytest.approx(loss)
            assert row["temperature"] == pytest.approx(T)
            predicted = found.classes_[calibrated(torch.from_numpy(outputs), prior, T).numpy().argmax(1)]
            assert row["score"] == pytest.approx(accuracy_score(y[judged], predicted, sample_weight=share))


def test_without_a_temperature_the_loss_is_of_softened_outputs():
    model = RFMClassifierCV(**FEW, cv=2, temperature=None).fit(X, LABELS)
    outputs = torch.from_numpy(model.best_estimator_._outputs(NEW))
    assert list(model.cv_results_) == [*CHOSEN, "loss", "score"]
    np.testing.assert_allclose(model.predict_proba(NEW), log_probabilities(outputs).exp())


def test_on_noise_no_score_is_better_than_chance():
    """The labels have nothing to do with the rows. Whatever is tried, the score that is reported says so.

    Leave-one-out after updates would not: M has seen the labels, and with columns to spare it finds directions
    in which rows of one label happen to lie together.
    """
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(120, 60))
    scores, lies = [], []
    for seed in range(3):
        labels = np.random.default_rng(seed).permutation(np.repeat([0, 1], 60))
        model = RFMClassifierCV(kernels=("laplace", "gaussian"), random_state=seed).fit(rows, labels)
        scores.append(model.best_score_)
        numbers = np.random.default_rng(seed).normal(size=120)
        assert RFMRegressorCV(kernels=("laplace", "gaussian"), random_state=seed).fit(rows, numbers).best_score_ < 0.1
        lies.append(accuracy_by_leave_one_out(PlainClassifier(n_iters=5, ridge=1e-3).fit(rows, labels), labels))
    # Three standard errors of 360 fair coins: 0.08; and the best of several tries is a little optimistic.
    assert abs(np.mean(scores) - 0.5) < 0.1
    assert np.mean(lies) > 0.9


def accuracy_by_leave_one_out(model, labels):
    """What exact leave-one-out would report for the last machine, its M held fixed."""
    machine = model.machine_
    K = machine.kernel.value(machine.kernel.pairs(machine.points).values, machine.L)
    inverse = torch.linalg.inv(K + model.ridge * torch.eye(len(K), dtype=K.dtype))
    targets = torch.eye(2, dtype=K.dtype)[torch.from_numpy(labels)]
    predicted = targets - (inverse @ targets) / inverse.diagonal()[:, None]
    return float((predicted.argmax(1).numpy() == labels).mean())


@pytest.mark.parametrize("cv", [2, np.int64(3), KFold(3), StratifiedKFold(3), LeaveOneOut()], ids=str)
def test_splitters(cv):
    model = RFMClassifierCV(**{**FEW, "kernels": ["laplace"], "shortlist": 1}, cv=cv).fit(X[:30], LABELS[:30])
    assert 0.3 < model.best_score_ <= 1


def test_rows_of_a_group_stay_together():
    """Every row comes twice, with the same noise: only groups keep a row from being judged by its copy."""
    noise = np.random.default_rng(0).normal(size=60)
    rows, y, groups = np.concatenate([X, X + 1e-3]), np.concatenate([noise, noise]), np.tile(np.arange(60), 2)
    options = {"kernels": ["laplace"], "bandwidths": [1.0], "max_iters": 0}
    assert RFMRegressorCV(**options).fit(rows, y).best_score_ > 0.5
    assert RFMRegressorCV(**options).fit(rows, y, groups=groups).best_score_ < 0.1
    assert RFMRegressorCV(**options, cv=GroupKFold(4)).fit(rows, y, groups=groups).best_score_ < 0.1
    classes = np.where(y > 0, "a", "b")
    assert RFMClassifierCV(**options).fit(rows, classes, groups=groups).best_score_ < 0.7
    with pytest.raises(InputError, match=r"^groups: all rows are of one group, expected at least two$"):
        RFMRegressorCV(**options).fit(rows, y, groups=np.zeros(120))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        RFMRegressorCV(**options).fit(rows, y, groups=groups[:-1])
    with pytest.raises(InputError, match=r"^groups: of no use where validation is given"):
        RFMRegressorCV(**options).fit(rows, y, groups=groups, validation=(rows, y))


@pytest.mark.parametrize("cv", [4, "splits"])
def test_rows_of_weight_zero_are_as_none(cv):
    weights = (np.arange(60) % 4 > 0).astype(float)
    kept = weights > 0
    splits = list(KFold(3).split(X))
    number = np.cumsum(kept) - 1
    of_kept = [(number[train[kept[train]]], number[test[kept[test]]]) for train, test in splits]
    wild = np.where(kept[:, None], X, 1e6)
    weighted = RFMRegressorCV(**FEW, cv=splits if cv == "splits" else cv).fit(wild, Y, weights)
    absent = RFMRegressorCV(**FEW, cv=of_kept if cv == "splits" else cv).fit(X[kept], Y[kept])
    pd.testing.assert_frame_equal(weighted.cv_results_, absent.cv_results_)
    np.testing.assert_allclose(weighted.predict(NEW), absent.predict(NEW), rtol=1e-9)


def test_rare_classes():
    """One of a single row, one of fewer rows than folds, and all of them single. No warning."""
    for labels in (
        ["rare"] + ["a"] * 10 + ["b"] * 9,
        ["rare"] * 3 + ["a"] * 9 + ["b"] * 8,
        [str(i) for i in range(20)],
    ):
        model = RFMClassifierCV(**FEW).fit(X[:20], labels)
        assert set(model.classes_) == set(labels)
    model = RFMClassifierCV(**FEW).fit(X[:20], ["only"] * 20)
    assert model.best_score_ == 1
    assert set(model.predict(NEW)) == {"only"}


@pytest.mark.parametrize("n", [2, 3])
def test_few_rows(n):
    for model, y in ((RFMRegressorCV(**FEW), Y[:n]), (RFMClassifierCV(**FEW), ["a", "b", "a"][:n])):
        assert np.isfinite(model.fit(X[:n], y).best_score_)
    with pytest.raises(InputError, match=r"^X: n_samples = 1, expected at least 2 to choose by$"):
        RFMRegressorCV().fit(X[:1], Y[:1])
    with pytest.raises(InputError, match=r"^X: n_samples = 1, expected at least 2"):
        RFMRegressorCV().fit(X[:2], Y[:2], [1, 0])


def test_held_out_rows_choose():
    held = gaussian(40, 3, seed=9).numpy()
    y_held = held[:, 0] ** 2 + 0.3 * held[:, 1]
    model = RFMRegressorCV(**FEW).fit(X, Y, validation=(held, y_held))
    for row in model.cv_results_.to_dict("records"):
        parameters = {name: row[name] for name in CHOSEN}
        expected = r2_score(y_held, PlainRegressor(**parameters).fit(X, Y).predict(held))
        assert row["score"] == pytest.approx(expected)
    # It is fitted to the rows of X alone.
    np.testing.assert_array_equal(model.predict(NEW), PlainRegressor(**model.best_params_).fit(X, Y).predict(NEW))
    weighted = RFMClassifierCV(**FEW).fit(X, LABELS, np.arange(60.0), validation=(held[:5], LABELS[:5]))
    assert 0 <= weighted.best_score_ <= 1


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        (X, r"^validation: got ndarray, expected rows and targets: validation=\(X_val, y_val\)"),
        ((X, Y[:-1]), "inconsistent numbers of samples"),
        ((X, np.full(60, np.nan)), r"^validation: targets: nan at row 0"),
        ((X, np.stack([Y, Y], 1)), r"^validation: targets of shape \(60, 2\), expected \('n',\) as in y"),
        ((X[:, :2], Y), "X has 2 features, but RFMRegressor is expecting 3"),
    ],
)
def test_held_out_rows_that_cannot_be(validation, message):
    with pytest.raises(ValueError, match=message):
        RFMRegressorCV(**FEW).fit(X, Y, validation=validation)


def test_held_out_labels_that_are_unknown():
    for labels in (["new"] * 60, np.arange(60)):
        with pytest.raises(InputError, match=r"^validation: holds the label .*, which y does not$"):
            RFMClassifierCV(**FEW).fit(X, LABELS, validation=(X, labels))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernels": "laplace"}, r"^kernels: got 'laplace', expected a list of at least one$"),
        ({"kernels": []}, r"^kernels: got \[\], expected a list"),
        ({"kernels": ["rbf"]}, r"^kernel: 'rbf' is called 'gaussian'"),
        ({"diag": "yes"}, r"^diag: got 'yes', expected True or False$"),
        ({"kernels": ["laplacian"]}, r"^kernel: 'laplacian' is unknown; did you mean 'laplace'"),
        ({"bandwidths": 1.0}, r"^bandwidths: got 1.0, expected a list"),
        ({"bandwidths": [0.0]}, r"^bandwidth: got 0.0, expected a number above 0$"),
        ({"ridges": [0.1, 0.0]}, r"^ridges: got 0.0, expected a number above 0$"),
        ({"ridges": ["a"]}, r"^ridges: got 'a', expected a number above 0$"),
        ({"exponent": 2.5}, r"^exponent: got 2.5, expected a number above 0 and at most 2$"),
        ({"exponent": "a", "kernels": ["laplace"]}, r"^exponent: got 'a', expected a number of at least 0$"),
        ({"max_iters": -1}, r"^max_iters: got -1"),
        ({"shortlist": 0}, r"^shortlist: got 0"),
        ({"cv": 1}, r"^cv: got 1, expected a whole number of at least 2$"),
        ({"cv": True}, r"^cv: got True"),
        ({"cv": []}, r"^cv: makes no splits$"),
        ({"memory_budget": 0}, r"^memory_budget: got 0"),
        ({"memory_budget": 1e-8}, r"^memory_budget: 1e-08 GiB is less than the smallest block"),
        ({"M_init": np.eye(4)}, r"^M_init: shape \(4, 4\), expected \(3, 3\)"),
        ({"device": "gpu"}, r"^device: 'gpu' is not a device torch knows$"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(options, message):
    with pytest.raises(InputError, match=message):
        RFMRegressorCV(**options).fit(X, Y)


def test_frames_tensors_and_many_targets():
    table = pd.DataFrame(X, columns=["a", "b", "c"]).assign(kind=np.where(X[:, 0] > 0, "u", "v"))
    model = RFMRegressorCV(**FEW).fit(table, np.stack([Y, -Y], 1))
    assert list(model.feature_names_in_) == ["a", "b", "c", "kind"]
    assert model.n_features_in_ == 4
    assert model.predict(table).shape == (60, 2)
    assert model.feature_importances_.shape == (4,)
    held = RFMRegressorCV(**FEW).fit(table, Y, validation=(table, Y))
    assert held.best_score_ > 0.9
    single = RFMRegressorCV(**FEW).fit(torch.from_numpy(X).bfloat16(), torch.from_numpy(Y))
    assert single.predict(torch.from_numpy(X).bfloat16()).dtype == np.float32


def test_seeds_and_progress(monkeypatch):
    one, other = (RFMRegressorCV(**FEW, agop_samples=20, random_state=4).fit(X, Y) for _ in range(2))
    pd.testing.assert_frame_equal(one.cv_results_, other.cv_results_)
    np.testing.assert_array_equal(one.predict(NEW), other.predict(NEW))
    told = []

    @contextmanager
    def counted(label, total):
        told.append(total)
        yield lambda steps: told.append(-steps)

    monkeypatch.setattr(search, "progress", counted)
    RFMRegressorCV(**FEW | {"kernels": ["laplace", "l1"]}, cv=3).fit(X, Y)
    assert told[0] == 2 * 3 * (2 + 1)
    assert sum(told) == 0


def test_it_works_with_scikit_learn():
    piped = make_pipeline(StandardScaler(), RFMClassifierCV(**FEW, cv=2))
    assert cross_val_score(piped, X, LABELS, cv=3).min() > 0.5
    model = clone(RFMRegressorCV(**FEW)).fit(X, Y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(NEW), model.predict(NEW))
    pd.testing.assert_frame_equal(again.cv_results_, model.cv_results_)


def test_targets_of_any_size():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = RFMRegressorCV(**FEW).fit(X, Y)
        for scale in (1e30, 1e-30, 1e200, 1e-200):  # the last two: their squares are no float64
            scaled = RFMRegressorCV(**FEW).fit(X, Y * scale)
            assert scaled.best_params_ == plain.best_params_
            assert scaled.best_score_ == pytest.approx(plain.best_score_)


def test_the_loss_is_a_mean_over_targets():
    outputs = gaussian(9, 2)
    assert squared_loss(outputs, 0 * outputs, None) == pytest.approx(float((outputs**2).mean()))
