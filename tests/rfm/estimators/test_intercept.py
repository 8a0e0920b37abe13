"""Targets' mean and units: taken off inside, as one would do it by hand."""

import numpy as np
import pytest
import torch
from helpers import gaussian
from rfm import kernel_reference as reference
from rfm.bare import PlainClassifier, PlainRegressor
from sklearn.datasets import make_classification, make_friedman1
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from nfa import InputError
from nfa.rfm import DeepRFMRegressor, RFMClassifierCV, RFMRegressorCV

X, NEW = gaussian(40, 3).numpy(), gaussian(15, 3, seed=7).numpy()
Y = X[:, 0] ** 2 + X[:, 1] + 5
SEVERAL = np.stack([Y, 1e4 * np.sin(X[:, 2]), 1e-3 * X[:, 0]], 1)
LABELS = np.array(["a", "b", "c"])[np.digitize(X[:, 0], [-1.0, 0.4])]
WEIGHTS = np.linspace(0.2, 3, 40)
FAR = np.full((2, 3), 1e6)
FEW = {"scale": None, "kernels": ["laplace"], "bandwidths": [1.0], "ridges": [0.1], "max_iters": 1, "cv": 2}


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "l1", "quadratic"])
@pytest.mark.parametrize("options", [{}, {"diag": True}, {"n_iters": 0}, {"center_grads": True}], ids=str)
def test_an_intercept_is_the_mean_taken_off_by_hand(options, kernel, weights):
    options = options | {"kernel": kernel, "ridge": 0.01}
    mean = np.average(Y, weights=weights)
    found = PlainRegressor(**options).fit(X, Y, weights)
    plain = PlainRegressor(fit_intercept=False, **options).fit(X, Y - mean, weights)
    np.testing.assert_allclose(found.predict(NEW), plain.predict(NEW) + mean, rtol=1e-9)
    np.testing.assert_allclose(found.M_, plain.M_, atol=1e-9)
    np.testing.assert_allclose(found.agop(NEW), plain.agop(NEW), rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(found.history_, plain.history_, rtol=1e-7)
    for one, other in zip(found.staged_predict(NEW), plain.staged_predict(NEW), strict=True):
        np.testing.assert_allclose(one, other + mean, rtol=1e-9)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
def test_several_targets_are_divided_by_their_deviations_as_by_hand(weights):
    mean = np.average(SEVERAL, axis=0, weights=weights)
    s = np.sqrt(np.average((SEVERAL - mean) ** 2, axis=0, weights=weights))
    found = PlainRegressor(ridge=0.01).fit(X, SEVERAL, weights)
    plain = PlainRegressor(ridge=0.01, fit_intercept=False).fit(X, (SEVERAL - mean) / s, weights)
    np.testing.assert_allclose(found.predict(NEW), plain.predict(NEW) * s + mean, atol=1e-9 * s.max())
    np.testing.assert_allclose(found.M_, plain.M_, atol=1e-9)
    np.testing.assert_allclose(found.gradients(NEW), plain.gradients(NEW) * s[:, None], rtol=1e-6, atol=1e-9)
    J = found.gradients(NEW)
    np.testing.assert_allclose(found.agop(NEW), np.einsum("mci,mcj->ij", J, J) / len(NEW), rtol=1e-7)
    np.testing.assert_allclose(
        found.history_["train_mse"].iloc[-1],
        np.average(((found.predict(X) - SEVERAL) ** 2).mean(1), weights=weights),
        rtol=1e-6,
    )


@pytest.mark.parametrize("kernel", ["laplace", "quadratic", "l1"])
def test_the_agop_is_that_of_autograd(kernel):
    """Of b + s sum_i a_i k(x, x_i), written anew with the fitted M and bandwidth."""
    model = PlainRegressor(kernel, ridge=0.1).fit(X, SEVERAL)
    M, rows = torch.from_numpy(model.M_), torch.from_numpy(X)
    K = reference.matrix(kernel, rows, rows, M, model.bandwidth_)
    a = torch.linalg.solve(K + 0.1 * torch.eye(40), torch.from_numpy(SEVERAL - SEVERAL.mean(0)))
    expected = reference.agop(kernel, torch.from_numpy(NEW), rows, a, M, model.bandwidth_).numpy()
    np.testing.assert_allclose(model.agop(NEW), expected, atol=1e-7 * expected.max())


def test_one_target_in_two_axes_is_one_target():
    one = PlainRegressor().fit(X, Y[:, None])
    np.testing.assert_array_equal(one.predict(NEW)[:, 0], PlainRegressor().fit(X, Y).predict(NEW))


@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "l1"])
def test_far_rows_get_the_mean_or_the_prior(kernel):
    mean = np.average(Y, weights=WEIGHTS)
    np.testing.assert_allclose(PlainRegressor(kernel).fit(X, Y, WEIGHTS).predict(FAR), mean)
    model = PlainClassifier(kernel).fit(X, LABELS, WEIGHTS)
    prior = np.array([WEIGHTS[label == LABELS].sum() for label in model.classes_]) / WEIGHTS.sum()
    np.testing.assert_allclose(model._outputs(FAR), np.stack([prior, prior]))
    assert set(model.predict(FAR)) == {model.classes_[prior.argmax()]}
    deep = DeepRFMRegressor(depth=1, kernel=kernel, bandwidth=0.01).fit(X, Y)
    assert np.isfinite(deep.predict(FAR)).all()


def test_without_it_far_rows_get_nothing():
    np.testing.assert_allclose(PlainRegressor(fit_intercept=False).fit(X, Y).predict(FAR), 0, atol=1e-9)


@pytest.mark.parametrize("value", [7.0, 0.1, -1e30])
def test_constant_targets_are_predicted_as_they_are(value):
    for model in (PlainRegressor(), RFMRegressorCV(**FEW)):
        assert set(model.fit(X, np.full(40, value)).predict(NEW)) == {value}


@pytest.mark.parametrize("offset", [200, 2000, 1e9])
def test_an_offset_changes_neither_predictions_nor_features(offset):
    """friedman1 + 200 had an R^2 of 0.2, and noise columns a quarter of the importance."""
    rows, y = make_friedman1(300, 10, noise=1, random_state=0)
    plain, moved = PlainRegressor(ridge=1e-3).fit(rows, y), PlainRegressor(ridge=1e-3).fit(rows, y + offset)
    np.testing.assert_allclose(moved.predict(rows) - offset, plain.predict(rows), atol=1e-6 * max(1, offset / 1e6))
    np.testing.assert_allclose(moved.feature_importances_, plain.feature_importances_, atol=1e-5)
    search = RFMRegressorCV(**FEW).fit(rows[:60], y[:60] + offset)
    assert search.best_score_ == pytest.approx(RFMRegressorCV(**FEW).fit(rows[:60], y[:60]).best_score_, rel=1e-5)


def test_a_target_of_small_units_is_learned_beside_a_large_one():
    rows, y = make_friedman1(400, 6, noise=0.3, random_state=0)
    targets = np.c_[y, 1e4 * np.sin(6 * rows[:, 5])]
    a, b, c, d = train_test_split(rows, targets, random_state=0)
    joint = r2_score(d, PlainRegressor().fit(a, c).predict(b), multioutput="raw_values")
    assert joint.min() > 0.8


@pytest.mark.parametrize("seed", [0, 1])
def test_rows_outside_the_cloud_are_not_given_to_the_rare_class(seed):
    rows, y = make_classification(400, 20, n_informative=5, weights=[0.96], flip_y=0.01, random_state=seed)
    rows = StandardScaler().fit_transform(rows)
    outside = 5 * np.random.default_rng(seed).normal(size=(300, 20))
    assert PlainClassifier(progress=False).fit(rows, y).predict(outside).mean() < 0.05


def test_outputs_of_classes_sum_to_1():
    model = PlainClassifier(ridge=0.1).fit(X, LABELS, WEIGHTS)
    np.testing.assert_allclose(model._outputs(NEW).sum(1), 1, atol=1e-12)


def test_each_fold_of_a_search_has_its_own_mean():
    """Folds of far apart targets: a mean of all rows would have seen the rows that judge."""
    y = np.where(np.arange(40) < 20, 0.0, 1000.0) + X[:, 0]
    splits = [(np.arange(20), np.arange(20, 40)), (np.arange(20, 40), np.arange(20))]
    search = RFMRegressorCV(**FEW | {"cv": splits}).fit(X, y)
    for row in search.cv_results_.to_dict("records"):
        parameters = {name: row[name] for name in ("kernel", "exponent", "diag", "bandwidth", "ridge", "n_iters")}
        errors = [
            y[test] - PlainRegressor(**parameters).fit(X[train], y[train]).predict(X[test]) for train, test in splits
        ]
        assert row["loss"] == pytest.approx(np.mean(np.concatenate(errors) ** 2))


def test_a_search_passes_it_on():
    for search, y in ((RFMRegressorCV, Y), (RFMClassifierCV, LABELS)):
        assert not search(**FEW, fit_intercept=False).fit(X, y).best_estimator_.fit_intercept
        assert search(**FEW).fit(X, y).best_estimator_.fit_intercept


def test_only_true_and_false():
    with pytest.raises(InputError, match=r"^fit_intercept: got 'yes', expected True or False$"):
        PlainRegressor(fit_intercept="yes").fit(X, Y)
