"""What must hold for any data, by hypothesis."""

import numpy as np
import torch
from helpers import gaussian
from hypothesis import given, settings
from hypothesis import strategies as st
from rfm import kernel_reference as reference
from rfm.bare import BareRegressor

from nfa.rfm.kernels import kernel_named
from nfa.rfm.machine import KernelMachine
from nfa.rfm.metric import matrix_power
from nfa.rfm.recursion import Problem

quick = settings(max_examples=8, deadline=None)
seeds = st.integers(0, 99)
radial = st.sampled_from([("laplace", 1.0), ("gaussian", 1.0), ("power", 0.7), ("power", 1.5)])
kernels = st.sampled_from([("laplace", 1.0), ("gaussian", 1.0), ("power", 0.7), ("quadratic", 1.0), ("l1", 1.0)])
dtypes = st.sampled_from([np.float64, np.float32])


def data(seed, n=30, d=4, c=2):
    X = gaussian(n, d, seed=seed)
    return X.numpy(), (X[:, :c] ** 2 + gaussian(n, c, seed=seed + 100)).numpy()


def regressor(named, **options):
    kernel, q = named
    return BareRegressor(kernel, exponent=q, **({"ridge": 0.1} | options))


def machine(named, X, a, M):
    kernel = kernel_named(*named)
    metric = Problem.of(X, a, None, kernel).metric(M)
    return KernelMachine(kernel, metric, 2.0, metric.rows(X), a)


def assert_same(found, expected, tolerance):
    assert np.isfinite(found).all()
    assert np.linalg.norm(found - expected) <= tolerance * np.linalg.norm(expected)


@quick
@given(radial, seeds, st.booleans())
def test_rotating_rows_and_M_rotates_the_agop(named, seed, centered):
    X, a, F = gaussian(20, 5, seed=seed), gaussian(20, 2, seed=seed + 1), gaussian(5, 5, seed=seed + 2)
    M, Q = F.T @ F, torch.linalg.qr(gaussian(5, 5, seed=seed + 3))[0]
    one, other = machine(named, X, a, M), machine(named, X @ Q, a, Q.T @ M @ Q)
    assert_same(other.agop(centered=centered).numpy(), (Q.T @ one.agop(centered=centered) @ Q).numpy(), 1e-9)


@quick
@given(radial, seeds)
def test_rotated_rows_are_fitted_alike(named, seed):
    X, Y = data(seed)
    Q = torch.linalg.qr(gaussian(4, 4, seed=seed))[0].numpy()
    one, other = regressor(named, n_iters=2).fit(X, Y), regressor(named, n_iters=2, M_scale="trace").fit(X @ Q, Y)
    assert_same(other.predict(X @ Q), one.predict(X), 1e-7)


@quick
@given(kernels, seeds, st.sampled_from([1e-20, 0.3, 7.0, 1e20]))
def test_the_size_of_M_changes_no_prediction_under_a_median_bandwidth(named, seed, size):
    if named[0] == "quadratic":
        named = ("laplace", 1.0)  # its unit is a distance, its values are products: they scale alike all the same
    X, Y = data(seed)
    F = gaussian(4, 4, seed=seed + 7).numpy()
    one, other = (regressor(named, n_iters=1, M_init=s * F.T @ F).fit(X, Y) for s in (1.0, size))
    assert_same(other.predict(X), one.predict(X), 1e-9)
    assert_same(other.M_, one.M_, 1e-9)


@quick
@given(kernels, seeds, st.sampled_from([1.0, 0.5]), st.booleans())
def test_how_M_is_scaled_changes_no_prediction_under_a_median_bandwidth(named, seed, power, diag):
    X, Y = data(seed)
    expected = None
    for scale in ("max", "trace", None):
        model = regressor(named, n_iters=2, M_scale=scale, agop_power=power, diag=diag).fit(X, Y)
        expected = model.predict(X) if expected is None else expected
        assert_same(model.predict(X), expected, 1e-8)


@quick
@given(kernels, seeds, dtypes)
def test_translations_change_nothing(named, seed, dtype):
    """By whole numbers, so that a shift itself rounds nothing."""
    if named[0] == "quadratic":
        named = ("laplace", 1.0)  # the origin matters to it
    X, Y = data(seed)
    X = (np.round(X * 512) / 512).astype(dtype)
    one, other = regressor(named, n_iters=2).fit(X, Y), regressor(named, n_iters=2).fit(X + dtype(1000), Y)
    tolerance = 1e-9 if dtype == np.float64 else 1e-3
    assert_same(other.predict(X + dtype(1000)), one.predict(X), tolerance)
    assert_same(other.M_, one.M_, tolerance)
    assert_same(other.agop(X + dtype(1000)), one.agop(X), tolerance)


@quick
@given(kernels, seeds, dtypes, st.sampled_from([1e-30, 1e30]), st.sampled_from(["max", None]))
def test_the_targets_unit_changes_nothing_but_units(named, seed, dtype, factor, scale):
    X, Y = data(seed)
    X = X.astype(dtype)
    one = regressor(named, n_iters=2, M_scale=scale).fit(X, Y)
    other = regressor(named, n_iters=2, M_scale=scale).fit(X, factor * Y)
    tolerance = 1e-9 if dtype == np.float64 else 1e-3
    assert other.predict(X).dtype == dtype
    assert_same(other.predict(X) / dtype(factor), one.predict(X), tolerance)
    assert other.agop().dtype == np.float64
    assert_same(other.agop() / factor**2, one.agop(), 3 * tolerance)
    assert_same(other.history_["train_mse"] / factor**2, one.history_["train_mse"], 3 * tolerance)


@quick
@given(kernels, seeds)
def test_scaling_columns_and_bandwidth_together_changes_nothing(named, seed):
    X, Y = data(seed)
    one = regressor(named, n_iters=0, bandwidth=2.0, bandwidth_scale=None).fit(X, Y)
    other = regressor(named, n_iters=0, bandwidth=2e20, bandwidth_scale=None).fit(1e20 * X, Y)
    assert_same(other.predict(1e20 * X), one.predict(X), 1e-9)
    assert_same(1e40 * other.agop(), one.agop(), 1e-9)


@quick
@given(kernels, seeds)
def test_the_order_of_rows_does_not_matter(named, seed):
    X, Y = data(seed)
    order = np.random.default_rng(seed).permutation(len(X))
    weights = np.linspace(0.5, 2, len(X))
    for w, permuted in [(None, None), (weights, weights[order])]:
        one = regressor(named, n_iters=2).fit(X, Y, w)
        other = regressor(named, n_iters=2).fit(X[order], Y[order], permuted)
        assert_same(other.predict(X), one.predict(X), 1e-8)
        assert_same(other.M_, one.M_, 1e-8)


@quick
@given(kernels, seeds)
def test_a_weight_of_two_is_a_row_twice(named, seed):
    X, Y = data(seed, n=20)
    weights = np.random.default_rng(seed).integers(0, 4, size=len(X))
    weights[:2] = 1, 2
    again = np.repeat(np.arange(len(X)), weights)
    for options in ({}, {"diag": True}, {"center_grads": True}):
        one = regressor(named, n_iters=2, **options).fit(X, Y, weights)
        other = regressor(named, n_iters=2, **options).fit(X[again], Y[again])
        assert_same(one.predict(X), other.predict(X), 1e-8)
        assert_same(one.M_, other.M_, 1e-8)
        assert_same(one.history_["train_mse"], other.history_["train_mse"], 1e-8)


@quick
@given(kernels, seeds, dtypes, st.booleans())
def test_agop_is_symmetric_and_positive_semidefinite(named, seed, dtype, centered):
    X, Y = data(seed, c=3)
    model = regressor(named, n_iters=1, center_grads=centered).fit(X.astype(dtype), Y)
    rounding = 1e-12 if dtype == np.float64 else 1e-5
    for A in (model.M_, model.agop(centered=centered), model.agop(X[:3].astype(dtype) + 1)):
        np.testing.assert_allclose(A, A.T, atol=rounding * A.max())
        values = np.linalg.eigvalsh(A)
        assert values[0] >= -rounding * values[-1]
    np.testing.assert_array_equal(model.M_, model.M_.T)


@quick
@given(kernels, seeds)
def test_uncentered_is_centered_plus_the_mean_gradients_own(named, seed):
    X, Y = data(seed)
    model = regressor(named, n_iters=0, bandwidth=3.0, bandwidth_scale=None).fit(X, Y)
    a = reference.coefficients(reference.matrix(named[0], X, X, torch.eye(4), 3.0, named[1]), Y, 0.1)
    mean = reference.jacobians(named[0], X, X, a, torch.eye(4), 3.0, named[1]).mean(0)
    assert_same(model.agop() - model.agop(centered=True), (mean.T @ mean).numpy(), 1e-9)


@quick
@given(seeds, st.integers(1, 6))
def test_the_square_of_a_matrix_root_is_the_matrix(seed, d):
    F = gaussian(d, d, seed=seed)
    M = F.T @ F
    root = matrix_power(M, 0.5)
    assert_same((root @ root).numpy(), M.numpy(), 1e-12)
    assert_same((matrix_power(M.diagonal(), 0.5) ** 2).numpy(), M.diagonal().numpy(), 1e-14)
