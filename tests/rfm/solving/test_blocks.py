"""Conjugate gradients on blocks of the kernel against the solution by whole matrices."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from helpers import gaussian
from rfm import kernel_reference as reference
from rfm.bare import BareRegressor
from sklearn.exceptions import ConvergenceWarning

from nfa import InputError
from nfa.common.budget import GIB
from nfa.rfm.kernels import kernel_named
from nfa.rfm.points import Points
from nfa.rfm.solving import blocks
from nfa.rfm.solving.blocks import Blocks, solve_in_blocks
from nfa.rfm.solving.choosing import BLOCK_ROWS, SOLVER_MATRICES, Plan, plan
from nfa.rfm.solving.dense import SingularKernelWarning

TOLERANCE = {torch.float64: 1e-7, torch.float32: 1e-3}


def solved(X, Y, name="laplace", ridge=1e-2, dtype=torch.float64, L=2.0, budget=None):
    """The coefficients, and the relative error of the predictions they make, by the worst column."""
    n, kernel = len(X), kernel_named(name)
    ridge = torch.as_tensor(ridge, dtype=torch.float64).expand(n)
    limits = Plan(n, torch.finfo(dtype).bits // 8, budget or 8 * n * 8 * 100, dense=False)
    a = solve_in_blocks(
        kernel, Points(X.to(dtype)), L, ridge.to(dtype), Y.to(dtype), limits, torch.Generator().manual_seed(0)
    )
    assert a.dtype == dtype
    K = reference.matrix(name, X, X, torch.eye(X.shape[1]), L).numpy()
    exact = K @ np.linalg.lstsq(K + np.diag(ridge), Y.double().numpy(), rcond=1e-13)[0]
    error = np.linalg.norm(K @ a.double().numpy() - exact, axis=0) / np.linalg.norm(exact, axis=0).clip(1e-300)
    return a, error.max()


def smooth(n, d=4, c=1):
    X = gaussian(n, d)
    return X, torch.stack([torch.sin(X[:, 0] + j) * 10.0 ** (2 * j) for j in range(c)], 1)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", ["laplace", "gaussian", "power", "l1", "quadratic"])
def test_it_equals_the_solution_by_whole_matrices(name, dtype):
    """Many targets, of sizes from 1 to 10,000, and a ridge that differs from row to row."""
    X, Y = smooth(600, c=3)
    largest = float(reference.matrix(name, X, X, torch.eye(4), 2.0).max())
    ridge = 0.02 * largest / (0.1 + gaussian(600, 1, seed=4)[:, 0].abs())
    _, error = solved(X, Y, name, ridge, dtype)
    assert error < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("ridge", [0, 1e-10])
@pytest.mark.parametrize("name", ["laplace", "l1"])
def test_a_ridge_of_next_to_nothing_where_the_kernel_is_regular(name, ridge, dtype):
    X, Y = smooth(500)
    _, error = solved(X, Y, name, ridge, dtype)
    assert error < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_copies(dtype):
    """A singular kernel whose copies agree is solved; where they do not, a ridge settles between them."""
    X, Y = smooth(300)
    twice = torch.cat([X, X])
    for ridge in (1e-2, 0):
        _, error = solved(twice, torch.cat([Y, Y]), ridge=ridge, dtype=dtype)
        assert error < TOLERANCE[dtype]
    _, error = solved(twice, torch.cat([Y, Y + 1]), ridge=1e-1, dtype=dtype)
    assert error < TOLERANCE[dtype]


def test_a_singular_kernel_takes_a_ridge_and_says_so():
    X, Y = smooth(300)
    message = (
        r"of 600 rows plus ridge is singular to conjugate gradients; took a ridge of 1.0e-05. A larger ridge avoids"
    )
    with pytest.warns(SingularKernelWarning, match=message):
        a, _ = solved(torch.cat([X, X]), torch.cat([Y, Y + 1]), ridge=0)
    K = reference.matrix("laplace", X, X, torch.eye(4), 2.0)
    np.testing.assert_allclose(K @ (a[:300] + a[300:]), Y + 0.5, atol=1e-3)


@pytest.mark.parametrize("ridge", [0.0, 1e-7, 1e-5])
def test_rows_that_come_twice_with_two_targets_in_float32(ridge):
    """Coefficients of next to no ridge would be huge, and their rounding with them: it must not count as a solution."""
    X = np.repeat(gaussian(400, 4).numpy(), 2, axis=0).astype(np.float32)
    noise = gaussian(800, 1, seed=5)[:, 0].numpy()
    y = (X[:, 0] + 0.3 * noise).astype(np.float32)
    new = gaussian(200, 4, seed=9).float().numpy()
    options = {"ridge": ridge, "n_iters": 0}
    with pytest.warns(SingularKernelWarning):
        found = BareRegressor(**options, memory_budget=0.005).fit(X, y)
    assert found.solver_.startswith("preconditioned")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularKernelWarning)
        whole = BareRegressor(**options).fit(X, y)
    assert np.abs(found.predict(new) - whole.predict(new)).max() < 0.1


@pytest.mark.parametrize("d", [3, 6])
def test_a_smooth_kernel_in_float32_has_a_preconditioner(d):
    """All rows are landmarks; K's own rounding is more than its least eigenvalues."""
    X = gaussian(1500, d).float()
    Y, limits = X[:, :1].sin(), Plan(1500, 4, 1 << 30, dense=False)
    a = solve_in_blocks(
        kernel_named("gaussian"), Points(X), 3.0, torch.full((1500,), 1e-3), Y, limits, torch.Generator()
    )
    K = kernel_named("gaussian").value(kernel_named("gaussian").pairs(Points(X)).values, 3.0)
    assert float((K @ a - Y).norm() / Y.norm()) < 0.02


def test_a_ridge_as_large_as_what_would_be_taken_is_kept(monkeypatch):
    """Many rows in float32: below n roundings, and still the ridge asked for. One system, one warning, of no ridge."""
    found = []
    monkeypatch.setattr(
        blocks, "_conjugate_gradients", lambda product, precondition, Y, rounding: (found.append(Y) or Y, 2.0)
    )
    n = 9000
    X, Y, limits = gaussian(n, 2).float(), gaussian(n, 1).float(), Plan(n, 4, 1 << 26, dense=False)
    generator, ridge = torch.Generator().manual_seed(0), torch.full((n,), 1e-3)
    with pytest.warns(ConvergenceWarning, match="conjugate gradients left 2 times") as warned:
        solve_in_blocks(kernel_named("laplace"), Points(X), 1.0, ridge, Y, limits, generator)
    assert len(found) == len(warned) == 1


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_a_column_of_tiny_targets_is_solved(dtype):
    """Their squares are 0 in float32."""
    X, Y = smooth(300, c=2)
    Y[:, 1] *= 1e-29
    _, error = solved(X, Y, dtype=dtype)
    assert error < TOLERANCE[dtype]


@pytest.mark.parametrize("side", [1, 7, 64, 1000])
def test_a_product_is_the_whole_matrix_s(side):
    X, V = smooth(200, c=3)
    found = Blocks(kernel_named("laplace"), Points(X), 2.0, side).times(V)
    torch.testing.assert_close(found, reference.matrix("laplace", X, X, torch.eye(4), 2.0) @ V)


def test_a_largest_eigenvalue_of_many_ridges_takes_few_steps_in_float32(monkeypatch):
    """All but one of the features weigh next to nothing, as after an update: K is nearly of low rank."""
    n, products, times = 4000, [], Blocks.times
    monkeypatch.setattr(Blocks, "times", lambda matrix, V: products.append(V) or times(matrix, V))
    monkeypatch.setattr(blocks, "LANDMARKS", 500)
    X = gaussian(n, 20).float() * torch.tensor([1.0] + 19 * [0.02])
    Y = (X[:, :1] > 0).float()
    ridge, limits = torch.full((n,), 1e-4), Plan(n, 4, 1 << 30, dense=False)
    solve_in_blocks(kernel_named("laplace"), Points(X), 10.0, ridge, Y, limits, torch.Generator().manual_seed(0))
    assert len(products) < 60


def test_targets_of_zero_have_coefficients_of_zero():
    X, Y = smooth(100, c=2)
    Y[:, 1] = 0
    a, _ = solved(X, Y)
    assert not a[:, 1].any()
    assert not solved(X, 0 * Y)[0].any()


def test_it_warns_where_it_does_not_converge(monkeypatch):
    monkeypatch.setattr(blocks, "STEPS", 3)
    message = r"conjugate gradients left .* times the residual that is expected; took the best of up to 3 steps"
    with pytest.warns(ConvergenceWarning, match=message):
        _, error = solved(*smooth(300))
    assert error < 1  # the best of them is better than none


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_smallest_budget_is_enough(dtype):
    n, itemsize = 700, torch.finfo(dtype).bits // 8
    budget = SOLVER_MATRICES * BLOCK_ROWS * n * itemsize
    assert not plan(n, itemsize, budget * 1.0001 / GIB).dense
    _, error = solved(*smooth(n), dtype=dtype, budget=budget)
    assert error < TOLERANCE[dtype]


def test_no_more_of_the_kernel_at_once_than_the_budget(monkeypatch):
    """By counting: what a block holds, and what the preconditioner does."""
    n, sizes = 1200, []
    kernel = kernel_named("laplace")
    original = type(kernel).pairs

    def counted(self, X, Z=None, out=None):
        sizes.append((len(X), len(X if Z is None else Z)))
        return original(self, X, Z, out)

    monkeypatch.setattr(type(kernel), "pairs", counted)
    for budget in (SOLVER_MATRICES * BLOCK_ROWS * n * 8, 16 << 20):
        sizes.clear()
        X, Y = smooth(n)
        limits = Plan(n, 8, budget, dense=False)
        solve_in_blocks(
            kernel, Points(X), 2.0, torch.full((n,), 0.1).double(), Y, limits, torch.Generator().manual_seed(0)
        )
        # Distances, kernel and what is computed on the way.
        assert all(SOLVER_MATRICES * rows * columns * 8 <= budget / 2 for rows, columns in sizes)
        [m] = {columns for rows, columns in sizes if rows == BLOCK_ROWS != columns}
        # Of the landmarks: B, and four matrices among them.
        assert 0.9 * budget / 2 < 8 * m * (n + 4 * m) <= budget / 2


SCRIPT = """
import resource, numpy, torch
from nfa.rfm import RFMRegressor

torch.set_num_threads(1)
X = numpy.random.default_rng(0).normal(size=(4000, 5)).astype(numpy.float32)
y = numpy.sin(X[:, 0])
RFMRegressor(n_iters=0, ridge=1.0, progress=False).fit(X[:1000], y[:1000])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model = RFMRegressor(n_iters=0, ridge=10.0, memory_budget=0.06, progress=False).fit(X, y)
assert model.solver_.startswith("preconditioned")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is told in other units")
def test_memory_stays_within_the_budget():
    """4,000 rows, of which three kernel matrices take 183 MiB, in 61 MiB."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 < 0.07 * GIB


@pytest.mark.parametrize("kernel", ["laplace", "l1"])
def test_an_estimator_in_blocks_equals_one_by_whole_matrices(kernel):
    X, Y = smooth(700, c=2)
    weights = 0.2 + gaussian(700, 1, seed=3)[:, 0].abs()
    options = {"kernel": kernel, "diag": kernel == "l1", "ridge": 0.05, "n_iters": 2}
    whole = BareRegressor(**options).fit(X, Y, weights)
    budget = SOLVER_MATRICES * BLOCK_ROWS * 700 * 8 * 1.01 / GIB
    in_blocks = BareRegressor(**options, memory_budget=budget).fit(X, Y, weights)
    assert in_blocks.solver_.startswith("preconditioned conjugate gradients on blocks of the 700 x 700 kernel matrix")
    assert repr(in_blocks).endswith(in_blocks.solver_)
    np.testing.assert_allclose(in_blocks.M_, whole.M_, atol=1e-6)
    new = gaussian(50, 4, seed=9)
    difference = np.abs(in_blocks.predict(new) - whole.predict(new)).max(0)
    assert (difference < 1e-6 * np.abs(whole.predict(new)).max(0)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match=r"memory_budget: .* is less than the smallest block"):
            BareRegressor(**options, memory_budget=budget / 1.1).fit(X, Y)
