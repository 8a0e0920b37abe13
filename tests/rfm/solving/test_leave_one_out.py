"""Leave-one-out against n fits without one."""

import numpy as np
import pytest
import torch
from helpers import gaussian
from rfm import kernel_reference as reference

from nfa.rfm.kernels import kernel_named
from nfa.rfm.points import Points
from nfa.rfm.solving.leave_one_out import leave_one_out

KERNELS = [("laplace", 1.0), ("gaussian", 1.0), ("power", 0.5), ("power", 1.6), ("quadratic", 1.0), ("l1", 1.0)]


def refitted(K, Y, ridge, weights):
    """What each row is predicted to be by the machine of the others."""
    found = []
    for i in range(len(K)):
        rest = np.delete(np.arange(len(K)), i)
        a = reference.coefficients(K[rest][:, rest], Y[rest], ridge, None if weights is None else weights[rest])
        found.append(K[i, rest] @ a)
    return torch.stack(found)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("c", [1, 3])
@pytest.mark.parametrize(("name", "q"), KERNELS)
def test_it_equals_refitting_without_each_row(name, q, c, weighted):
    X, Y, kernel = gaussian(25, 4), gaussian(25, c, seed=2) + 1, kernel_named(name, q)
    weights = 0.1 + gaussian(25, 1, seed=3)[:, 0].abs() if weighted else None
    ridges = [1e-4, 1e-2, 1.0, 100.0]
    K = reference.matrix(name, X, X, torch.eye(4), 2.0, q)
    own = kernel.value(kernel.pairs(Points(X)).values, 2.0)
    kept = own.clone()
    for ridge, found in zip(ridges, leave_one_out(own, Y, weights, ridges), strict=True):
        expected = refitted(K, Y, ridge, weights)
        assert found.shape == Y.shape
        assert (found - expected).norm() <= 1e-8 * expected.norm()
    assert torch.equal(own, kept)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("c", [1, 3])
@pytest.mark.parametrize(("name", "q"), KERNELS)
def test_each_machine_without_a_row_has_the_mean_of_its_own_rows(name, q, c, weighted):
    X, Y, kernel = gaussian(25, 4), gaussian(25, c, seed=2) + 10, kernel_named(name, q)
    weights = 0.1 + gaussian(25, 1, seed=3)[:, 0].abs() if weighted else None
    K = kernel.value(kernel.pairs(Points(X)).values, 2.0)
    w = torch.ones(25, dtype=torch.float64) if weights is None else weights
    for ridge, found in zip([1e-3, 1.0], leave_one_out(K, Y, weights, [1e-3, 1.0], centered=True), strict=True):
        expected = []
        for i in range(25):
            rest = np.delete(np.arange(25), i)
            mean = (w[rest, None] * Y[rest]).sum(0) / w[rest].sum()
            share = None if weights is None else weights[rest]
            a = reference.coefficients(K[rest][:, rest], Y[rest] - mean, ridge, share)
            expected.append(mean + K[i, rest] @ a)
        expected = torch.stack(expected)
        assert (found - expected).norm() <= 1e-8 * expected.norm()


def test_a_row_that_is_nearly_all_of_the_weight_has_a_mean_of_others():
    K, Y = torch.eye(3, dtype=torch.float64), torch.tensor([[1.0], [2.0], [4.0]]).double()
    for weights in (torch.tensor([1e30, 1.0, 1.0]).double(), torch.tensor([3e38, 3e38, 1e38])):
        [found] = leave_one_out(K.to(weights), Y.to(weights), weights, [1.0], centered=True)
        assert torch.isfinite(found).all()


def test_copies_answer_for_each_other():
    """A row of which another copy stays: predicted nearly without ridge."""
    X, Y = gaussian(10, 2), gaussian(10, 1, seed=2)
    kernel = kernel_named("laplace")
    K = kernel.value(kernel.pairs(Points(torch.cat([X, X]))).values, 1.0)
    [found] = leave_one_out(K, torch.cat([Y, Y]), None, [1e-6])
    np.testing.assert_allclose(found, torch.cat([Y, Y]), atol=1e-4)
    [expected] = [refitted(K, torch.cat([Y, Y]), 1e-6, None)]
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_weights_scale_with_the_ridge():
    K, Y = reference.matrix("laplace", gaussian(12, 2), gaussian(12, 2), torch.eye(2), 1.0), gaussian(12, 2, seed=2)
    weights = torch.full((12,), 4.0, dtype=torch.float64)
    for one, other in zip(leave_one_out(K, Y, weights, [0.4, 4.0]), leave_one_out(K, Y, None, [0.1, 1.0]), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_one_row_is_predicted_by_none():
    [found] = leave_one_out(torch.ones(1, 1), torch.tensor([[3.0]]), None, [0.5])
    assert not found.any()


@pytest.mark.parametrize("name", ["laplace", "gaussian", "l1"])
def test_float32(name):
    X, Y, kernel = gaussian(60, 4), gaussian(60, 2, seed=2), kernel_named(name)
    K, ridges = kernel.value(kernel.pairs(Points(X)).values, 2.0), [1e-3, 1e-1, 10.0]
    singles = leave_one_out(K.float(), Y.float(), None, ridges)
    for ridge, one, other in zip(ridges, leave_one_out(K, Y, None, ridges), singles, strict=True):
        assert other.dtype == torch.float32
        # The kernel's own rounding counts as much as it is of the ridge.
        assert (one - other).norm() < (1e-5 + 1e-5 / ridge) * one.norm()


@pytest.mark.parametrize("weighted", [False, True])
def test_a_smooth_kernel_in_float32_under_a_small_ridge(weighted):
    """Most eigenvalues are below the ridge, and below float32's rounding of the largest."""
    X, kernel = gaussian(600, 3), kernel_named("gaussian")
    Y = torch.sin(X[:, :1]) + 0.1 * gaussian(600, 1, seed=2)
    weights = 0.5 + gaussian(600, 1, seed=3)[:, 0].abs() if weighted else None
    K = kernel.value(kernel.pairs(Points(X)).values, 3.0).float()
    [exact] = leave_one_out(K.double(), Y, weights, [1e-3])
    [found] = leave_one_out(K, Y.float(), None if weights is None else weights.float(), [1e-3])
    assert found.dtype == torch.float32
    assert (found - exact).norm() < 1e-5 * exact.norm()
