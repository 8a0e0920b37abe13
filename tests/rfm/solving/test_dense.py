"""Kernel ridge regression by Cholesky, and what happens where there is no factor."""

import warnings

import numpy as np
import pytest
import torch
from helpers import gaussian
from rfm import kernel_reference as reference
from rfm.bare import BareRegressor
from sklearn.kernel_ridge import KernelRidge

from nfa.rfm.kernels import KERNELS, kernel_named
from nfa.rfm.points import Points
from nfa.rfm.solving.dense import SingularKernelWarning, solve_dense


def kernel_matrix(n=30, name="laplace", dtype=torch.float64):
    kernel = kernel_named(name)
    return kernel.value(kernel.pairs(Points(gaussian(n, 3, dtype=dtype))).values, 1.0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", KERNELS)
def test_it_solves(name, dtype):
    K, Y = kernel_matrix(name=name, dtype=dtype), gaussian(30, 2, seed=2, dtype=dtype)
    ridge = (0.1 + gaussian(30, 1)[:, 0].abs()).to(dtype)
    expected = np.linalg.solve(K.double().numpy() + np.diag(ridge.double()), Y.double().numpy())
    for out in (None, torch.full_like(K, torch.nan)):
        a = solve_dense(K.clone(), ridge, Y, out=out)
        assert a.dtype == dtype
        np.testing.assert_allclose(a, expected, rtol=0, atol=2e4 * torch.finfo(dtype).eps * np.abs(expected).max())


@pytest.mark.parametrize(
    ("kernel", "theirs"),
    [("gaussian", lambda L: ("rbf", 1 / (2 * L**2))), ("l1", lambda L: ("laplacian", 1 / L))],
)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("targets", [(), (3,)])
def test_without_updates_it_is_scikit_learns_kernel_ridge(kernel, theirs, weighted, targets):
    rng = np.random.default_rng(0)
    X, new = rng.normal(size=(60, 4)) + 1, rng.normal(size=(25, 4))
    y = rng.normal(size=(60, *targets)) + 2
    weights = rng.uniform(0.1, 3, size=60) if weighted else None
    for L in (0.5, 3.0):
        for ridge in (1e-3, 2.0):
            name, gamma = theirs(L)
            expected = KernelRidge(kernel=name, gamma=gamma, alpha=ridge).fit(X, y, weights).predict(new)
            model = BareRegressor(kernel, n_iters=0, bandwidth=L, bandwidth_scale=None, ridge=ridge)
            found = model.fit(X, y, weights).predict(new)
            assert found.shape == expected.shape
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
            single = model.fit(X.astype(np.float32), y, weights).predict(new.astype(np.float32))
            assert single.dtype == np.float32
            np.testing.assert_allclose(single, expected, rtol=0, atol=1e-4 + 1e-5 / ridge)


def test_where_only_float32_is_too_short_it_goes_on_in_float64():
    """Pivots below float32's rounding, every entry exact in it. Warnings are errors here."""
    K = torch.diag(torch.tensor([1.0, 2.0**-25, 2.0**-30]))
    K[0, 1] = K[1, 0] = 2.0**-26
    Y = torch.tensor([[1.0], [2.0], [3.0]])
    for out in (None, torch.empty(3, 3)):
        a = solve_dense(K.clone(), torch.zeros(3), Y, out)
        assert a.dtype == torch.float32
        np.testing.assert_allclose(a, np.linalg.solve(K.double().numpy(), Y.numpy()), rtol=1e-6)


def test_a_ridge_above_the_rounding_of_the_kernels_entries_is_kept():
    """A smooth kernel, its ridge below n roundings of float32: as asked but for the diagonal's rounding, unwarned."""
    K, Y = kernel_matrix(1500, "gaussian", torch.float32), gaussian(1500, 1, seed=2, dtype=torch.float32)
    a = solve_dense(K.clone(), torch.full((1500,), 5e-5), Y)
    expected = np.linalg.solve(K.double().numpy() + 5e-5 * np.eye(1500), Y.double().numpy())
    assert np.linalg.norm(a.numpy() - expected) < 0.02 * np.linalg.norm(expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_singular_kernel_takes_the_solution_of_least_norm(dtype):
    K = kernel_matrix(20, dtype=dtype)
    K = torch.cat([torch.cat([K, K], 1), torch.cat([K, K], 1)])  # every row twice
    Y = torch.cat([gaussian(20, 2, seed=3), gaussian(20, 2, seed=3)]).to(dtype)
    message = (
        r"the kernel matrix of 40 rows plus ridge is singular \(rank 20\); took the solution of least norm. "
        "A larger ridge avoids this."
    )
    with pytest.warns(SingularKernelWarning, match=message):
        a = solve_dense(K.clone(), torch.zeros(40, dtype=dtype), Y)
    assert a.dtype == dtype
    expected = np.linalg.lstsq(K.double().numpy(), Y.double().numpy(), rcond=1e-12)[0]
    np.testing.assert_allclose(a, expected, rtol=0, atol=3e3 * torch.finfo(dtype).eps * np.abs(expected).max())
    np.testing.assert_allclose(K @ a, Y, atol=3e3 * torch.finfo(dtype).eps)


def test_a_matrix_of_zeros_has_the_solution_zero():
    with pytest.warns(SingularKernelWarning, match=r"rank 0"):
        a = solve_dense(torch.zeros(3, 3), torch.zeros(3), torch.ones(3, 1))
    assert not a.any()


def test_a_ridge_of_zero_interpolates_without_a_warning_where_it_can():
    X, y = gaussian(40, 3).numpy(), gaussian(40, 1, seed=2)[:, 0].numpy()
    for kernel in ("laplace", "l1"):
        model = BareRegressor(kernel, ridge=0, n_iters=1).fit(X, y)
        np.testing.assert_allclose(model.predict(X), y, atol=1e-9)


def copies_that_disagree(n):
    """n rows; half of them come again, with targets larger by 1."""
    X, y = gaussian(n, 3).numpy(), gaussian(n, 1, seed=2)[:, 0].numpy()
    return np.concatenate([X, X[: n // 2]]), np.concatenate([y, y[: n // 2] + 1])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [20, 200])
@pytest.mark.parametrize("kernel", ["laplace", "l1"])
def test_a_regressor_without_ridge_predicts_the_mean_of_copies_that_disagree(kernel, n, dtype):
    """Rounding tells copies apart in a kernel matrix; what it adds to the spectrum is not to be divided by."""
    X, y = copies_that_disagree(n)
    X = X.astype(dtype)
    with pytest.warns(SingularKernelWarning, match=rf"singular \(rank {n}\)"):
        model = BareRegressor(kernel, bandwidth=0.5, ridge=0, n_iters=0).fit(X, y)
    tolerance = 1e-9 if dtype == np.float64 else 1e-3
    np.testing.assert_allclose(model.predict(X[: n // 2]), y[: n // 2] + 0.5, atol=tolerance)
    np.testing.assert_allclose(model.predict(X[n // 2 : n]), y[n // 2 : n], atol=tolerance)


@pytest.mark.filterwarnings("ignore::nfa.rfm.solving.dense.SingularKernelWarning")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kernel", ["laplace", "quadratic"])
def test_a_row_of_next_to_no_weight_is_as_one_of_none(kernel, dtype):
    """Beside copies, whose system is singular; down to weights that the ridge over them overflows for."""
    X, weights = gaussian(60, 3).numpy().astype(dtype), np.ones(60)
    X[1] = X[2]
    y = X[:, 0] * X[:, 1] + (kernel == "laplace") * X[:, 2]
    y[0] = 7
    model = BareRegressor(kernel, bandwidth=3.0, bandwidth_scale=None, ridge=1e-8, n_iters=0)
    weights[0] = 0
    expected = model.fit(X, y, weights).predict(X)
    assert model.score(X[1:], y[1:]) > 0.999
    for weight in (1e-16, 1e-24, 1e-42, 1e-310):
        weights[0] = weight
        np.testing.assert_allclose(model.fit(X, y, weights).predict(X), expected, atol=1e-3)


@pytest.mark.filterwarnings("ignore::nfa.rfm.solving.dense.SingularKernelWarning")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("heavy", [1e6, 1e12, 1e30])
def test_a_row_of_great_weight_leaves_the_others_their_part(heavy, dtype):
    X, weights = gaussian(60, 3).numpy().astype(dtype), np.ones(60)
    X[1], weights[0] = X[2], heavy
    assert BareRegressor(ridge=1e-8, n_iters=0).fit(X, X[:, 0], weights).score(X, X[:, 0]) > 0.999


@pytest.mark.filterwarnings("ignore::nfa.rfm.solving.dense.SingularKernelWarning")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("ridge", [0, 1e-16, 1e-8])
def test_copies_that_disagree_are_given_their_weighted_mean(ridge, dtype):
    X, y = copies_that_disagree(20)
    weights = np.where(np.arange(30) < 20, 1.0, 3.0)
    found = BareRegressor(bandwidth=0.5, ridge=ridge, n_iters=0).fit(X.astype(dtype), y, weights).predict(X[:10])
    np.testing.assert_allclose(found, y[:10] + 0.75, atol=1e-4)


def test_the_training_error_without_ridge_is_that_of_the_predictions():
    X, y = copies_that_disagree(20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularKernelWarning)
        model = BareRegressor(ridge=0, n_iters=0).fit(X, y)
    error = np.mean((model.predict(X) - y) ** 2)
    assert error == pytest.approx(20 * 0.25 / 30)
    assert model.history_["train_mse"][0] == pytest.approx(error)


def test_the_reference_agrees():
    """The reference solves what scikit-learn does."""
    X, y = gaussian(20, 3), gaussian(20, 2, seed=2)
    weights = gaussian(20, 1, seed=3)[:, 0].abs()
    K = reference.matrix("gaussian", X, X, torch.eye(3), 1.0)
    theirs = KernelRidge(kernel="rbf", gamma=0.5, alpha=0.1).fit(X, y, weights)
    np.testing.assert_allclose(reference.coefficients(K, y, 0.1, weights), theirs.dual_coef_, atol=1e-10)
