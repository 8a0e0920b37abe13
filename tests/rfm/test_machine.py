"""A kernel machine's AGOP against automatic differentiation."""

import numpy as np
import pytest
import torch
from helpers import gaussian
from rfm import kernel_reference as reference
from rfm.bare import BareRegressor

from nfa.rfm import load, machine
from nfa.rfm.kernels import kernel_named, radial
from nfa.rfm.machine import KernelMachine
from nfa.rfm.recursion import Problem

KERNELS = [
    ("laplace", 1.0),
    ("gaussian", 1.0),
    ("power", 0.5),
    ("power", 1.0),
    ("power", 1.5),
    ("power", 2.0),
    ("quadratic", 1.0),
    ("l1", 1.0),
]
D = 5
F = gaussian(D, D, seed=11)
MATRICES = {
    "identity": torch.eye(D, dtype=torch.float64),
    "full": F.T @ F,
    "rank 2": F[:2].T @ F[:2],
    "tiny": 1e-30 * (F.T @ F),
    "diagonal": torch.tensor([2.0, 1.0, 0.5, 1e-3, 3.0], dtype=torch.float64),
    "partly 0": torch.tensor([2.0, 0.0, 0.5, 0.0, 3.0], dtype=torch.float64),
    "ones": torch.ones(D, dtype=torch.float64),
}


def rows(n=26, seed=1):
    """Rows with copies among them; two columns lie around 100."""
    X = gaussian(n, D, seed=seed)
    X[:, 1] += 100
    X[:, 3] += 100
    return torch.cat([X, X[:4], X[2:3]])


def new_rows(X):
    """Rows of their own, rows of X, and copies of both."""
    fresh = rows(9, seed=7)
    return torch.cat([fresh, X[3:8], X[:1], X[:1]])


def machine_of(name, q, X, M, a, dtype=torch.float64, unit=1.0, scale=1.0):
    """A machine, and its bandwidth, that of the order of the rows' distances."""
    kernel = kernel_named(name, q)
    problem = Problem.of(X.to(dtype), a, None, kernel)
    metric = problem.metric(M)
    size = float(M.max() if M.ndim == 1 else M.diagonal().max())
    # Rows around 100 have large inner products.
    L = scale * (100.0 if name == "quadratic" else 3.0) * size**0.5
    return KernelMachine(kernel, metric, L, metric.rows(X.to(dtype)), a.to(dtype), unit), L


def off(found, expected):
    return float((found.double() - expected).norm() / expected.norm())


FORMS = {
    "direct": {"expanded": radial.direct},
    "expanded": {"direct": radial.expanded},
    "cheaper": {},
}


@pytest.fixture(params=FORMS)
def form(request, monkeypatch):
    """Each of the two forms in the other's place, and both in their own."""
    for name, other in FORMS[request.param].items():
        monkeypatch.setattr(radial, name, other)
    return request.param


def each_case(name, q, M, c):
    """The machine, rows (or None for its own), weights and reference Jacobians."""
    X, a = rows(), gaussian(31, c, seed=5)
    found, L = machine_of(name, q, X, M, a)
    for at in (None, new_rows(X)):
        points = X if at is None else at
        J = reference.jacobians(name, points, X, a, M, L, q)
        for weights in (None, gaussian(len(points), 1, seed=8)[:, 0].abs()):
            yield found, at, weights, J


@pytest.mark.parametrize("c", [1, 3])
@pytest.mark.parametrize("kind", MATRICES)
@pytest.mark.parametrize(("name", "q"), KERNELS)
def test_agop_equals_automatic_differentiation(name, q, kind, c, monkeypatch):
    for found, at, weights, J in each_case(name, q, MATRICES[kind], c):
        for form in FORMS if found.kernel.radial else ["cheaper"]:
            for attribute, other in FORMS[form].items():
                monkeypatch.setattr(radial, attribute, other)
            for centered in (False, True):
                expected = reference.average(J, weights, centered)
                agop = found.agop(at, centered, weights=weights)
                assert agop.dtype == torch.float64
                assert off(agop, expected) < 1e-10
                diagonal = found.agop(at, centered, diag=True, weights=weights)
                assert diagonal.shape == (D,)
                assert off(diagonal, expected.diagonal()) < 1e-10
            monkeypatch.undo()


@pytest.mark.parametrize("kind", ["identity", "full", "rank 2", "diagonal"])
@pytest.mark.parametrize(("name", "q"), KERNELS)
def test_float32_agrees_with_float64(name, q, kind, form):
    M, X, a = MATRICES[kind], rows().float().double(), gaussian(31, 3, seed=5).float().double()
    one, _ = machine_of(name, q, X, M, a)
    other, _ = machine_of(name, q, X, M, a, torch.float32)
    at = new_rows(X).float()
    for points in (None, at):
        for centered in (False, True):
            exact = one.agop(None if points is None else points.double(), centered)
            found = other.agop(points, centered)
            assert found.dtype == torch.float64
            # Far from the origin the quadratic kernel's mean gradient is a hundred times what is left without it.
            whole = one.agop(None if points is None else points.double()) if name == "quadratic" else exact
            assert (found - exact).norm() < 1e-4 * whole.norm()


@pytest.mark.parametrize("diag", [False, True])
@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize(("name", "q"), KERNELS)
def test_agop_of_a_fitted_regressor(name, q, centered, diag):
    """From data alone: solved, updated and differentiated by the reference."""
    X, Y = rows(), gaussian(31, 2, seed=5)
    X = X - (0 if name == "l1" else 100) * torch.tensor([0.0, 1, 0, 1, 0])
    model = BareRegressor(name, exponent=q, n_iters=1, ridge=0.1, diag=diag, center_grads=centered).fit(X, Y)
    M = torch.ones(D) if diag else torch.eye(D)
    M, L, a = reference.recursion(name, X, Y, M, 0.1, 1, q=q, diag=diag, centered=centered)
    kept = M.diagonal() if diag else M
    np.testing.assert_allclose(model.M_, kept, atol=1e-9)
    assert model.bandwidth_ == pytest.approx(L, rel=1e-9)
    for at in (None, new_rows(X)):
        for minus_mean in (False, True):
            expected = reference.agop(name, X if at is None else at, X, a, M, L, q, centered=minus_mean)
            found = torch.from_numpy(model.agop(at, centered=minus_mean))
            assert off(found, expected.diagonal() if diag else expected) < 1e-8
    np.testing.assert_allclose(model.predict(X), reference.matrix(name, X, X, M, L, q) @ a, atol=1e-9)


@pytest.mark.parametrize(("name", "q"), KERNELS)
def test_predictions_are_sums_of_kernels(name, q):
    X = rows()
    for M in MATRICES.values():
        a = gaussian(31, 2, seed=5)
        found, L = machine_of(name, q, X, M, a, unit=4.0)
        expected = 4 * reference.matrix(name, new_rows(X), X, M, L, q) @ a
        torch.testing.assert_close(found.predict(new_rows(X)), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("block", [1, 100, 400])
@pytest.mark.parametrize(("name", "q"), KERNELS)
def test_blocks_change_neither_predictions_nor_agop(name, q, block, monkeypatch):
    X, a = rows(), gaussian(31, 2, seed=5)
    found, _ = machine_of(name, q, X, MATRICES["full"], a)
    at = new_rows(X)
    weights = gaussian(len(at), 1, seed=8)[:, 0].abs()
    expected = found.predict(at), found.agop(at, True, weights=weights), found.agop()
    monkeypatch.setattr(machine, "BLOCK", block)
    torch.testing.assert_close(found.predict(at), expected[0], rtol=1e-10, atol=1e-12)
    assert off(found.agop(at, True, weights=weights), expected[1]) < 1e-10
    assert off(found.agop(), expected[2]) < 1e-10


def test_pairs_at_hand_change_nothing():
    X, a = rows(), gaussian(31, 2, seed=5)
    for name, q in KERNELS:
        found, _ = machine_of(name, q, X, MATRICES["full"], a)
        pairs = found.kernel.pairs(found.points)
        kept = pairs.values.clone()
        assert off(found.agop(pairs=pairs), found.agop()) < 1e-12
        assert torch.equal(pairs.values, kept)


def test_the_unit_of_the_targets_counts_squared():
    X, a = rows(), gaussian(31, 2, seed=5)
    one, _ = machine_of("laplace", 1.0, X, MATRICES["full"], a)
    other, _ = machine_of("laplace", 1.0, X, MATRICES["full"], a, unit=2.0**60)
    torch.testing.assert_close(other.agop(), 2.0**120 * one.agop(), rtol=1e-14, atol=0)


@pytest.mark.parametrize("noise", [1.0, 0.1, 0.01, 0.001])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", ["laplace", "l1"])
def test_training_rows_given_again_count_as_training_rows(name, dtype, noise):
    """However many come together, and where M takes away nearly all of their length, as of columns that agree."""
    n, d = 60, 50
    X, a = (gaussian(n, 1, seed=4) + noise * gaussian(n, d)).to(dtype), gaussian(n, 1, seed=3)
    M = torch.eye(d, dtype=torch.float64) - 1 / d
    kernel = kernel_named(name)
    metric = Problem.of(X, a, None, kernel).metric(M)
    L = (5.0 if name == "laplace" else 50.0) * noise
    found = KernelMachine(kernel, metric, L, metric.rows(X), a.to(dtype))
    whole, tolerance = found.agop(), 1e-6 if dtype == torch.float64 else 1e-3
    for size in (n, n // 2, 7, 1):
        parts = [len(x) / n * found.agop(x) for x in X.split(size)]
        assert off(torch.stack(parts).sum(0), whole) < tolerance


def test_a_row_that_is_a_center_alone_has_no_gradient():
    X, a = gaussian(1, D), torch.ones(1, 1, dtype=torch.float64)
    for name in ("laplace", "gaussian", "power", "l1"):
        found, _ = machine_of(name, 1.0, X, MATRICES["full"], a)
        assert not found.agop().any()
        assert not found.agop(X, diag=True).any()


@pytest.mark.parametrize("gap", [1e-3, 1e-5, 1e-7, 1e-9])
@pytest.mark.parametrize(("name", "q"), [("laplace", 1.0), ("power", 0.5), ("gaussian", 1.0), ("l1", 1.0)])
def test_rows_that_nearly_meet(name, q, gap):
    """Their gradients are as large as any: accurate to what rounding leaves of the gap."""
    X = gaussian(30, D)
    X[20:25] = X[:5] + gap * gaussian(5, D, seed=3)
    a = gaussian(30, 2, seed=5)
    for kind in ("identity", "full", "diagonal"):
        found, L = machine_of(name, q, X, MATRICES[kind], a)
        expected = reference.agop(name, X, X, a, MATRICES[kind], L, q)
        assert off(found.agop(), expected) < 1e-10 + 1e-14 / gap


def test_a_file_predicts_the_same_where_M_takes_most_of_the_columns_away(tmp_path):
    """Columns that nearly agree, M that takes away what they share: rounding is estimated anew after loading."""
    X = (gaussian(40, 1, seed=4) + 1e-3 * gaussian(40, 20)).numpy()
    M = np.eye(20) - 1 / 20
    model = BareRegressor(n_iters=0, M_init=M).fit(np.concatenate([X, X[:9]]), gaussian(49, 1)[:, 0].numpy())
    model.save(tmp_path / "model.safetensors")
    other = load(tmp_path / "model.safetensors")
    new = X + 1e-3 * gaussian(40, 20, seed=6).numpy()
    expected = model.predict(new)
    np.testing.assert_allclose(other.predict(new), expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["laplace", "l1"])
def test_float32_keeps_its_digits_around_100_under_a_full_matrix(name):
    """Coordinates closer than their rounding are equal, and no others: each counts with its sign."""
    X, y = (gaussian(300, 30) + 100).float(), gaussian(300, 1, seed=2)[:, 0].float()
    G = gaussian(40, 30, seed=3)
    one, other = (
        BareRegressor(name, dtype=dtype, n_iters=0, M_init=G.T @ G).fit(X, y)
        for dtype in (torch.float64, torch.float32)
    )
    for at in (None, X[:50] + 0.5):
        exact = one.agop(at)
        assert np.linalg.norm(other.agop(at) - exact) < 1e-5 * np.linalg.norm(exact)


def assert_feature_matrix(M):
    np.testing.assert_array_equal(M, M.T)
    values = np.linalg.eigvalsh(M)
    assert values[0] >= -1e-12 * values[-1]


@pytest.mark.filterwarnings("ignore::nfa.rfm.solving.dense.SingularKernelWarning")
@pytest.mark.parametrize("gap", [0, 1e-7])
@pytest.mark.parametrize(("n", "d", "c"), [(10, 20, 3), (10, 20, 1), (10, 8, 3), (40, 70, 3)])
@pytest.mark.parametrize("ridge", [1e-3, 1e-8])
@pytest.mark.parametrize("name", ["gaussian", "laplace"])
def test_coefficients_that_nearly_cancel(name, ridge, n, d, c, gap):
    """Rows that come twice, with other targets: their coefficients are opposite, and as large as the ridge is small."""
    X, Y = gaussian(n, d), gaussian(n, c, seed=2)
    X[n // 2 :] = X[: n // 2] + gap * gaussian(n // 2, d, seed=3)
    model = BareRegressor(name, ridge=ridge, n_iters=0).fit(X, Y)
    a = model.machine_.a * model.machine_.unit
    expected = reference.agop(name, X, X, a, torch.eye(d), model.bandwidth_)
    # What autograd itself leaves of the digits of such coefficients.
    share = 1e-11 + 1e-14 * float(a.abs().max()) * (1 if gap == 0 else 1e-2 / gap)
    assert off(torch.from_numpy(model.agop()), expected) < share
    updated = BareRegressor(name, ridge=ridge, n_iters=1).fit(X, Y)
    np.testing.assert_allclose(updated.M_, expected / expected.abs().max(), atol=2 * share)
    for M in (model.agop(), updated.M_, updated.agop(), updated.agop(X[:3] + 1)):
        assert_feature_matrix(M)


@pytest.mark.parametrize("bandwidth", [0.1, 0.05])
@pytest.mark.parametrize("scale", [1e-30, 1.0])
@pytest.mark.parametrize("diag", [False, True])
def test_a_kernel_that_hardly_reaches_from_row_to_row(diag, scale, bandwidth):
    """Between rows it is 1e-22 and less, at a row 1: what a row has of itself must cancel to the last digit."""
    for seed in range(5):
        X, Y = gaussian(2, 8, seed=seed) * scale, gaussian(2, 3, seed=seed + 50)
        model = BareRegressor("gaussian", bandwidth=bandwidth, ridge=1e6, n_iters=1, diag=diag).fit(X, Y)
        gap = (X[0] - X[1]) / scale
        expected = gap**2 if diag else gap[:, None] * gap
        np.testing.assert_allclose(model.M_, expected / expected.max(), atol=1e-9)
        assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize("L", [1e-45, 1e-8, 1e8, 1e45])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", ["laplace", "gaussian", "l1"])
def test_bandwidths_far_from_the_rows_distances(name, dtype, L):
    """Neither L^2 nor 1/L is a float32; gradients are over that unit."""
    X, a = gaussian(9, 3, dtype=dtype), gaussian(9, 2, seed=5, dtype=dtype)
    kernel = kernel_named(name)
    metric = Problem.of(X, a, None, kernel).metric(torch.eye(3).double())
    found = KernelMachine(kernel, metric, L, metric.rows(X), a)
    assert torch.isfinite(found.predict(X)).all()
    A, _ = found.agop_in_units()
    assert torch.isfinite(A).all()
    # Far below all distances the kernel is 1 at the centers; far above, 1 everywhere.
    expected = a if L < 1 else a.sum(0).expand(9, 2)
    torch.testing.assert_close(found.predict(X), expected, rtol=1e-5, atol=1e-5)
    assert bool(A.any()) == (L > 1)


def test_float32_squares_no_tiny_gradients():
    """The kernel is 1e-30 between rows: its square is no float32."""
    X, Y = torch.tensor([[0.0, 0.0], [8.0, 8.0]]).float(), torch.tensor([[1.0], [-1.0]])
    model = BareRegressor("gaussian", bandwidth=0.96, bandwidth_scale=None, n_iters=1).fit(X, Y)
    np.testing.assert_allclose(model.M_, np.ones((2, 2)), rtol=1e-5)


@pytest.mark.parametrize("n", [1, 3])
def test_one_row_near_other_rows_of_float32(n):
    """Distances of 1e-29, whose squares are no float32: f(x) = a exp(-|x - z| / L), |grad f| = |a| exp(...) / L."""
    X, new = np.full((n, 4), 3e-29, np.float32), (3e-29 + 1e-29 * np.eye(4)).astype(np.float32)
    model = BareRegressor(kernel="laplace", bandwidth_scale=None, ridge=1.0, n_iters=0).fit(X, np.ones(n))
    a = 1 / (1 + n) * n  # the sum of the coefficients of n equal rows
    apart = new.astype(np.float64) - X[:1].astype(np.float64)
    directions = apart / np.linalg.norm(apart, axis=1, keepdims=True)
    np.testing.assert_allclose(model.agop(new), a**2 * directions.T @ directions / 4, atol=1e-5)
