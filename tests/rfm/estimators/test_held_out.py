"""The temperature that classifiers choose by rows that they have not seen, and probabilities with it."""

import pickle

import numpy as np
import pytest
import torch
from helpers import gaussian, softly_cut
from sklearn.datasets import load_breast_cancer, load_digits, make_classification
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split

from nfa import InputError
from nfa.rfm import RFMClassifier, RFMClassifierCV, load
from nfa.rfm.calibration import best_temperature
from nfa.rfm.estimators import held_out

X, NEW = gaussian(60, 3).numpy(), gaussian(25, 3, seed=7).numpy()
LABELS = np.array(["a", "b", "c"])[np.digitize(X[:, 0] + 0.3 * X[:, 1], [-1.0, 0.4])]
WEIGHTS = np.arange(60) % 3 + 0.5
FAR = np.full((1, 3), 1e7)
FEW = {"kernels": ["laplace"], "bandwidths": [1.0], "ridges": [0.1], "max_iters": 1, "cv": 2}


def prior_of(model, weights=None):
    shares = np.ones(60) if weights is None else weights
    return np.array([shares[label == LABELS].sum() for label in model.classes_]) / shares.sum()


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_it_is_the_best_for_paths_fitted_without_a_tenth_of_the_rows(weights):
    options = {"ridge": 0.1, "scale": None, "n_iters": 2}
    model = RFMClassifier(**options).fit(X, LABELS, weights)
    order = (
        ((X - X.mean(0)) ** 2).sum(1).argsort()[torch.randperm(60, generator=torch.Generator().manual_seed(0)).numpy()]
    )
    outputs = np.empty((60, 3))
    for fold in range(10):
        held, rest = order[fold::10], np.delete(order, np.arange(fold, 60, 10))
        share = None if weights is None else weights[rest]
        outputs[held] = RFMClassifier(**options).fit(X[rest], LABELS[rest], share)._outputs(X[held])
    targets = torch.from_numpy((LABELS[:, None] == model.classes_).astype(float))
    shares = None if weights is None else torch.from_numpy(weights)
    prior = torch.from_numpy(prior_of(model, weights))
    expected, _ = best_temperature(torch.from_numpy(outputs), targets, shares, prior)
    assert model.temperature_ == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_far_rows_have_the_prior_and_all_answers_agree(weights):
    model = RFMClassifier().fit(X, LABELS, weights)
    prior = prior_of(model, weights)
    np.testing.assert_allclose(model.predict_proba(FAR)[0], prior, rtol=1e-6)
    assert model.predict(FAR)[0] == model.classes_[prior.argmax()]
    p = model.predict_proba(NEW)
    np.testing.assert_allclose(p.sum(1), 1)
    np.testing.assert_allclose(np.log(p), model.decision_function(NEW))
    assert model.predict(NEW).tolist() == model.classes_[p.argmax(1)].tolist()
    expected = prior * (softly_cut(model._outputs(NEW), prior) / softly_cut(prior, prior)) ** (1 / model.temperature_)
    np.testing.assert_allclose(p, expected / expected.sum(1, keepdims=True), rtol=1e-6)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_temperature_that_is_given(fit_intercept):
    options = {"ridge": 0.1, "fit_intercept": fit_intercept}
    model = RFMClassifier(**options, temperature=0.5).fit(X, LABELS)
    assert model.temperature_ == 0.5
    if not fit_intercept:
        p = softly_cut(model._outputs(NEW)) ** 2
        np.testing.assert_allclose(model.predict_proba(NEW), p / p.sum(1, keepdims=True))
    assert not hasattr(model.set_params(temperature=None).fit(X, LABELS), "temperature_")


def test_stages_have_temperatures_of_their_own():
    model = RFMClassifier(n_iters=2).fit(X, LABELS)
    for updates, found in enumerate(model.staged_predict(NEW)):
        assert found.tolist() == RFMClassifier(n_iters=updates).fit(X, LABELS).predict(NEW).tolist()
    for one in RFMClassifier(n_iters=2).staged_fit(X, LABELS):
        last = one.temperature_
    assert last == model.temperature_


def test_weights_are_copies():
    counts = np.arange(60) % 3
    weighted = RFMClassifier().fit(X, LABELS, counts)
    repeated = RFMClassifier().fit(np.repeat(X, counts, 0), np.repeat(LABELS, counts))
    assert weighted.temperature_ == pytest.approx(repeated.temperature_, rel=1e-5)
    np.testing.assert_allclose(weighted.predict_proba(NEW), repeated.predict_proba(NEW), atol=1e-7)


def test_weights_are_copies_also_in_the_span_of_the_rows():
    wide = gaussian(15, 40).numpy()
    y, counts = np.arange(15) % 3, np.arange(15) % 4
    weighted = RFMClassifier(n_iters=1).fit(wide, y, counts)
    repeated = RFMClassifier(n_iters=1).fit(np.repeat(wide, counts, 0), np.repeat(y, counts))
    assert weighted.temperature_ == pytest.approx(repeated.temperature_, rel=1e-3)


def test_of_many_rows_some_are_judged(monkeypatch):
    monkeypatch.setattr(held_out, "JUDGED_ROWS", 30)
    one, again = RFMClassifier(random_state=0).fit(X, LABELS), RFMClassifier(random_state=1).fit(X, LABELS)
    assert one.temperature_ == again.temperature_


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_rows(n):
    model = RFMClassifier().fit(X[:n], ["a", "b", "a"][:n])
    assert np.isfinite(model.predict_proba(NEW)).all()
    np.testing.assert_allclose(RFMClassifier().fit(X, ["only"] * 60).predict_proba(NEW), 1)


def test_a_search_takes_the_predictions_of_its_folds():
    search = RFMClassifierCV(**FEW).fit(X, LABELS)
    best = search.cv_results_.loc[search.cv_results_["loss"].idxmin()]
    assert search.best_params_["temperature"] == best["temperature"] == search.best_estimator_.temperature_
    again = RFMClassifier(**search.best_params_).fit(X, LABELS)
    np.testing.assert_array_equal(search.predict_proba(NEW), again.predict_proba(NEW))
    assert RFMClassifierCV(**FEW, temperature=0.3).fit(X, LABELS).best_estimator_.temperature_ == 0.3
    assert not hasattr(RFMClassifierCV(**FEW, temperature=None).fit(X, LABELS).best_estimator_, "temperature_")


def test_files_and_pickles(tmp_path):
    for model in (RFMClassifier(), RFMClassifierCV(**FEW)):
        model.fit(X, LABELS).save(tmp_path / "m")
        for again in (load(tmp_path / "m"), pickle.loads(pickle.dumps(model))):
            np.testing.assert_allclose(again.predict_proba(NEW), model.predict_proba(NEW), atol=1e-7)


@pytest.mark.parametrize("value", [0, -1.0, "best"])
def test_temperatures_that_cannot_be(value):
    message = rf"^temperature: got {value!r}, expected a number above 0, or 'auto' or None$"
    for model in (RFMClassifier(temperature=value), RFMClassifierCV(**FEW, temperature=value)):
        with pytest.raises(InputError, match=message):
            model.fit(X, LABELS)


@pytest.mark.parametrize(
    ("n", "folds", "largest"), [(20, 10, 2), (250, 8, 32), (500, 4, 125), (601, 1, 201), (4000, 1, 250)]
)
def test_the_fewer_rows_the_fewer_are_held_out_at_once(n, folds, largest):
    splits = held_out.folds(n)
    assert len(splits) == folds
    assert max(len(test) for _, test in splits) == largest
    for train, test in splits:
        assert sorted([*train, *test]) == sorted(set(train) | set(test))
        assert len(train) + len(test) == min(n, 750)


def test_some_tens_of_rows_gain_by_a_temperature():
    rows, y = load_breast_cancer(return_X_y=True)
    losses = []
    for split in range(5):
        a, b, c, d = train_test_split(rows, y, train_size=40, random_state=split, stratify=y)
        both = (RFMClassifier(temperature=T, progress=False).fit(a, c) for T in ("auto", None))
        losses.append([log_loss(d, each.predict_proba(b)) for each in both])
    found, uncalibrated = np.mean(losses, 0)
    assert found < uncalibrated


def test_probabilities_of_digits():
    rows, y = load_digits(return_X_y=True)
    a, b, c, d = train_test_split(rows / 16, y, test_size=0.3, random_state=0, stratify=y)
    p = RFMClassifier(ridge=1e-3, scale=None, n_iters=1, progress=False).fit(a[:800], c[:800]).predict_proba(b)
    assert accuracy_score(d, p.argmax(1)) > 0.97
    assert log_loss(d, p) < 0.08


@pytest.mark.parametrize("seed", [0, 1])
def test_flipped_labels_are_no_worse_than_a_constant(seed):
    rows, y = make_classification(1225, 20, n_informative=5, flip_y=0.6, random_state=seed)
    a, b, c, d = train_test_split(rows, y, train_size=225, random_state=0)
    assert log_loss(d, RFMClassifier().fit(a, c).predict_proba(b)) < np.log(2) + 0.02


def test_many_classes_that_are_far_apart():
    r = np.random.default_rng(0)
    y = np.arange(600) % 40
    rows = 4 * r.normal(size=(40, 10))[y] + r.normal(size=(600, 10))
    p = RFMClassifier(progress=False).fit(rows[:400], y[:400]).predict_proba(rows[400:])
    assert (p.argmax(1) == y[400:]).mean() > 0.98
    assert p.max(1).mean() > 0.95


@pytest.mark.parametrize("d", [3, 60])
def test_the_order_and_the_signs_of_columns_change_nothing(d):
    rows = gaussian(50, d, seed=8).numpy()
    labels = (rows[:, 0] * rows[:, 1] + 0.5 * gaussian(50, 1, seed=9).numpy()[:, 0] > 0).astype(int)
    model = RFMClassifier(n_iters=1).fit(rows, labels)
    for changed in (rows[:, ::-1], rows * np.where(np.arange(d) % 2, -1.0, 1.0)):
        other = RFMClassifier(n_iters=1).fit(changed, labels)
        assert other.temperature_ == pytest.approx(model.temperature_, rel=1e-4)
        np.testing.assert_allclose(other.predict_proba(changed), model.predict_proba(rows), atol=1e-5)
