"""The ridge and the scaling of columns that plain estimators choose, and that scaling is as by hand."""

import pickle

import numpy as np
import pytest
from helpers import gaussian
from rfm.bare import BareRegressor
from scipy import sparse
from sklearn.datasets import load_diabetes, make_friedman1, make_friedman2, make_friedman3
from sklearn.model_selection import cross_val_score

from nfa import InputError
from nfa.rfm import DeepRFMRegressor, RFMRegressor, RFMRegressorCV, load
from nfa.rfm.estimators import choosing
from nfa.rfm.estimators.base import RIDGES

UNITS = np.array([1.0, 1e4, 1e-3, 1.0])
X, NEW = gaussian(40, 4).numpy() * UNITS, gaussian(9, 4, seed=5).numpy() * UNITS
X[:, 3], NEW[:, 3] = X[:, 3] > 0, NEW[:, 3] > 0
Y = X[:, 1] / 1e4 + X[:, 0] ** 2 + X[:, 3]
S = np.where(np.arange(4) == 3, 1.0, X.std(0))
FEW = {"kernels": ["laplace", "l1"], "bandwidths": [1.0, 2.0], "ridges": [0.01, 0.1], "max_iters": 1, "cv": 2}


def both(rows=X, new=NEW, s=S, kind=RFMRegressor, weights=None, **options):
    """Scaled inside, and by hand, with what both answer."""
    inside = kind(scale="std", **options).fit(rows, Y[: len(rows)], weights)
    by_hand = kind(scale=None, **options).fit(rows / s, Y[: len(rows)], weights)
    np.testing.assert_allclose(inside.predict(new), by_hand.predict(new / s), rtol=1e-6, atol=1e-7)
    return inside, by_hand


@pytest.mark.parametrize("options", [{}, {"diag": True}, {"n_iters": 0}, {"agop_power": 0.5}], ids=str)
@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "quadratic", "l1"])
def test_scaling_is_as_by_hand_and_all_matrices_are_in_the_units_of_the_columns(kernel, options):
    # The quadratic kernel's matrix has a rank of 10.
    found, plain = both(kernel=kernel, **({"ridge": 10} if kernel == "quadratic" else {}) | options)
    np.testing.assert_allclose(found.scale_, S)
    np.testing.assert_allclose(plain.scale_, 1)
    assert found.ridge_ == plain.ridge_
    per = S**2 if found.M_.ndim == 1 else np.outer(S, S)
    np.testing.assert_allclose(found.M_ * per, plain.M_, atol=1e-7)
    np.testing.assert_allclose(found.M_factor_ * S, plain.M_factor_, atol=1e-7)
    np.testing.assert_allclose(found.gradients(NEW) * S, plain.gradients(NEW / S), atol=1e-6)
    for centered in (False, True):
        expected = plain.agop(NEW / S, centered=centered)
        np.testing.assert_allclose(
            found.agop(NEW, centered=centered) * per, expected, atol=1e-6 * np.abs(expected).max()
        )
    np.testing.assert_allclose(found.agop() * per, plain.agop(), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.history_, plain.history_, rtol=1e-5)
    np.testing.assert_allclose(found.feature_importances_, plain.feature_importances_, atol=1e-7)
    for one, other in zip(found.staged_predict(NEW), plain.staged_predict(NEW / S), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-7)


def test_components_are_eigenvectors_in_the_units_of_the_columns():
    model = RFMRegressor(scale="std", n_components=2).fit(X, Y)
    V = model.components_
    np.testing.assert_allclose(V @ model.M_, (V @ model.M_ * V).sum(1, keepdims=True) * V, atol=1e-9 * model.M_.max())
    np.testing.assert_allclose(model.transform(NEW), NEW @ V.T, rtol=1e-9)


def test_a_first_matrix_is_in_the_units_of_the_columns():
    M = np.diag([1.0, 1e-8, 1e6, 2.0])
    found = RFMRegressor(scale="std", M_init=M, ridge=0.1, n_iters=1).fit(X, Y)
    plain = RFMRegressor(scale=None, M_init=M * np.outer(S, S), ridge=0.1, n_iters=1).fit(X / S, Y)
    np.testing.assert_allclose(found.predict(NEW), plain.predict(NEW / S))
    np.testing.assert_allclose(RFMRegressor(scale="std", M_init=M, n_iters=0).fit(X, Y).M_, M, rtol=1e-9)
    # It says what units are worth, so nothing else does.
    assert (RFMRegressor(M_init=M).fit(X, Y).scale_ == 1).all()


@pytest.mark.parametrize("updates", [0, 2])
def test_more_columns_than_rows_are_scaled_too(updates):
    wide = gaussian(20, 50).numpy() * np.geomspace(1e-3, 1e3, 50)
    s = wide.std(0)
    found, plain = both(wide, wide[::-1] * 1.1, s, n_iters=updates)
    np.testing.assert_allclose(found.M_ * np.outer(s, s), plain.M_, atol=1e-8)
    np.testing.assert_allclose(found.M_factor_.T @ found.M_factor_, found.M_, rtol=1e-6, atol=1e-9)
    direct = RFMRegressor(scale="std", n_iters=updates, M_init=np.diag(s**-2.0), ridge=found.ridge_).fit(wide, Y[:20])
    np.testing.assert_allclose(found.predict(wide + s), direct.predict(wide + s), atol=1e-7)
    V = found.components_[:3]
    np.testing.assert_allclose(V @ found.M_, (V @ found.M_ * V).sum(1, keepdims=True) * V, atol=1e-7 * found.M_.max())


def test_weights_count_in_deviations():
    weights = np.linspace(0.1, 3, 40)
    mean = np.average(X, axis=0, weights=weights)
    s = np.sqrt(np.average((X - mean) ** 2, axis=0, weights=weights))
    s[3] = 1
    both(s=s, weights=weights)


def test_units_change_nothing():
    """Where columns are in units of their deviations."""
    one = RFMRegressor(scale="std").fit(X, Y)
    other = RFMRegressor(scale="std").fit(X * [1e3, 1e-5, 7, 1], Y)
    np.testing.assert_allclose(other.predict(NEW * [1e3, 1e-5, 7, 1]), one.predict(NEW), rtol=1e-7)
    np.testing.assert_allclose(other.feature_importances_, one.feature_importances_, atol=1e-7)


def test_importances_are_of_the_variance_that_columns_bring():
    model = RFMRegressor(scale=None).fit(X, Y)
    share = np.diag(model.M_) * X.var(0)
    np.testing.assert_allclose(model.feature_importances_, share / share.sum())


@pytest.mark.parametrize("weights", [None, np.linspace(0.2, 2, 20)])
def test_the_ridge_is_the_best_of_n_refits(weights):
    """With a bandwidth that does not depend on the rows."""
    rows, noise = gaussian(20, 2).numpy(), gaussian(20, 1, seed=3)[:, 0].numpy()
    y = rows[:, 0] + 0.5 * noise
    options = {"kernel": "gaussian", "bandwidth": 1.5, "bandwidth_scale": None, "scale": None}
    errors = []
    for ridge in RIDGES:
        left_out = []
        for i in range(20):
            rest = np.arange(20) != i
            share = None if weights is None else weights[rest]
            model = RFMRegressor(n_iters=0, ridge=ridge, **options).fit(rows[rest], y[rest], share)
            left_out.append((model.predict(rows[[i]])[0] - y[i]) ** 2)
        errors.append(np.average(left_out, weights=weights))
    assert 0 < np.argmin(errors) < len(RIDGES) - 1
    assert RFMRegressor(**options).fit(rows, y, weights).ridge_ == RIDGES[np.argmin(errors)]


def test_noise_asks_for_a_large_ridge_and_none_for_a_small_one():
    rows = gaussian(60, 3).numpy()
    assert RFMRegressor().fit(rows, gaussian(60, 1, seed=9)[:, 0].numpy()).ridge_ == max(RIDGES)
    assert RFMRegressor().fit(rows, rows[:, 0]).ridge_ == min(RIDGES)


def test_copies_are_left_out_together():
    """A copy would tell its row's target: the ridge of rows that come twice is that of a weight of two."""
    rows, y = gaussian(40, 3).numpy(), gaussian(40, 1, seed=9)[:, 0].numpy()
    counts = np.arange(40) % 3
    weighted = RFMRegressor().fit(rows, y, counts)
    repeated = RFMRegressor().fit(np.repeat(rows, counts, 0), np.repeat(y, counts))
    assert weighted.ridge_ == repeated.ridge_ > 1
    np.testing.assert_allclose(weighted.predict(NEW[:, :3]), repeated.predict(NEW[:, :3]), atol=1e-9)


def test_of_many_rows_some_are_left_out(monkeypatch):
    monkeypatch.setattr(choosing, "CHOOSING_ROWS", 15)
    told = []
    ranked = choosing.ranked
    monkeypatch.setattr(choosing, "ranked", lambda *given: told.append(given[-1]) or ranked(*given))
    first, again = RFMRegressor(random_state=0).fit(X, Y), RFMRegressor(random_state=3).fit(X, Y)
    assert told == [15] * 4
    assert (first.ridge_, first.scale_.tolist()) == (again.ridge_, again.scale_.tolist())


def test_what_was_chosen_is_said():
    model = RFMRegressor().fit(X, Y)
    said = f"ridge {model.ridge_:.3g}, columns in units of their standard deviations (by leave-one-out)"
    assert model.solver_.endswith(f"; {said}")
    assert said in repr(model)
    assert "columns as they are (by leave-one-out)" in RFMRegressor(ridge=0.1).fit(X / S * [9, 9, 1, 1], Y).solver_
    assert "leave-one-out" not in BareRegressor().fit(X, Y).solver_


def test_a_ridge_of_zero_is_kept():
    model = RFMRegressor(ridge=0).fit(X, Y)
    assert model.ridge_ == 0
    np.testing.assert_allclose(model.predict(X), Y, atol=1e-6)


def test_sparse_rows_are_scaled_as_dense_ones():
    rows = np.where(gaussian(40, 4, seed=8).numpy() > 0, X, 0)
    dense, found = RFMRegressor(scale="std").fit(rows, Y), RFMRegressor(scale="std").fit(sparse.csr_array(rows), Y)
    np.testing.assert_array_equal(found.predict(sparse.csr_array(rows)), dense.predict(rows))
    np.testing.assert_array_equal(found.scale_, dense.scale_)


@pytest.mark.parametrize("wide", [False, True])
def test_files_and_pickles(wide, tmp_path):
    rows = gaussian(12, 30).numpy() * np.geomspace(1, 100, 30) if wide else X
    model = RFMRegressor(scale="std").fit(rows, Y[: len(rows)])
    model.save(tmp_path / "m")
    for again in (load(tmp_path / "m"), pickle.loads(pickle.dumps(model))):
        np.testing.assert_allclose(again.predict(rows * 1.1), model.predict(rows * 1.1), rtol=1e-6)
        np.testing.assert_allclose(again.M_, model.M_, rtol=1e-9, atol=1e-12 * model.M_.max())
        np.testing.assert_allclose(again.feature_importances_, model.feature_importances_)
        np.testing.assert_array_equal(again.scale_, model.scale_)
        assert again.ridge_ == model.ridge_


def test_a_search_scales_as_by_hand():
    found, plain = both(kind=RFMRegressorCV, **FEW)
    np.testing.assert_allclose(found.cv_results_["loss"], plain.cv_results_["loss"], rtol=1e-6)
    assert found.best_params_ == plain.best_params_ | {"scale": "std"}
    chosen = RFMRegressorCV(**FEW).fit(X, Y)
    assert chosen.best_params_["scale"] == "std"
    np.testing.assert_allclose(chosen.scale_, S)
    np.testing.assert_array_equal(chosen.predict(NEW), RFMRegressor(**chosen.best_params_).fit(X, Y).predict(NEW))


def test_deep_machines_choose_their_ridge_once():
    model = DeepRFMRegressor(depth=2, width=8, ridge="auto").fit(X, gaussian(40, 1, seed=9)[:, 0].numpy())
    assert [layer.fitted.ridge for layer in model.layers_] == [max(RIDGES)] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ridge": -1}, r"^ridge: got -1, expected a number of at least 0, or 'auto'$"),
        ({"ridge": "small"}, r"^ridge: got 'small', expected a number of at least 0, or 'auto'$"),
        ({"scale": "standard"}, r"^scale: 'standard' is unknown.*\(known: auto, std, None\)"),
    ],
)
def test_what_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        RFMRegressor(**options).fit(X, Y)


def with_row_number():
    rows, y = make_friedman1(300, 5, random_state=0)
    return np.c_[rows, np.random.default_rng(0).permutation(300) * 1e4], y


SETS = {
    "friedman2": (lambda: make_friedman2(300, noise=50, random_state=0), 0.95),
    "friedman3": (lambda: make_friedman3(300, noise=0.1, random_state=0), 0.75),
    "a row number": (with_row_number, 0.9),
    "diabetes": (lambda: load_diabetes(return_X_y=True), 0.4),
}


@pytest.mark.parametrize("name", SETS)
def test_columns_of_any_units_and_noise_out_of_the_box(name):
    (rows, y), least = SETS[name][0](), SETS[name][1]
    assert cross_val_score(RFMRegressor(progress=False), rows, y, cv=3).mean() > least
