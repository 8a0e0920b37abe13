"""Kernels: values and slopes as written, and their names."""

import math

import numpy as np
import pytest
import torch
from helpers import gaussian
from rfm import kernel_reference as reference

from nfa import InputError
from nfa.rfm.kernels import KERNELS, Expansion, ExponentialPower, Sample, base, kernel_named
from nfa.rfm.points import Points

NAMED = [(name, 1.0) for name in KERNELS] + [("power", 0.3), ("power", 1.7), ("power", 2.0)]
EXPONENTIAL = [(name, q) for name, q in NAMED if name in ("laplace", "gaussian", "power")]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("name", "q"), NAMED)
def test_values_are_those_of_the_formulas(name, q, dtype):
    X, Z, kernel = gaussian(12, 4, dtype=dtype), gaussian(7, 4, seed=2, dtype=dtype), kernel_named(name, q)
    Z[3] = X[5]
    for L in (0.3, 2.0):
        K = kernel.value(kernel.pairs(Points(X), Points(Z)).values, L)
        assert K.dtype == dtype
        tolerance = 300 * torch.finfo(dtype).eps
        for others, found in [(Z, K), (X, kernel.value(kernel.pairs(Points(X)).values, L))]:
            expected = reference.matrix(name, X, others, torch.eye(4), L, q).numpy()
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * expected.max())


@pytest.mark.parametrize("tile", [1, 3, 512])
@pytest.mark.parametrize(("name", "q"), NAMED)
def test_values_leave_the_pairs_alone_and_take_lent_memory(name, q, tile, monkeypatch):
    monkeypatch.setattr(base, "TILE", tile)
    kernel = kernel_named(name, q)
    values = kernel.pairs(Points(gaussian(8, 3))).values
    kept = values.clone()
    K, lent = kernel.value(values, 1.5), torch.full_like(values, torch.nan)
    assert torch.equal(values, kept)
    assert kernel.value(values, 1.5, lent).data_ptr() == lent.data_ptr()
    assert torch.equal(K, lent)
    assert torch.equal(values, kept)
    if name != "quadratic":
        assert torch.equal(K.diagonal(), torch.ones(8, dtype=torch.float64))


def derivative(kernel, t, L=1.0):
    """Of k(x, 0) at x = t, by the sums of gradients."""
    one = torch.ones(1, 1, dtype=t.dtype)
    f = Expansion(Points(0 * one), one, L)
    found = [kernel.moments(f, Sample(Points(x * one)), diag=False) for x in t]
    return torch.stack([each.sums[0, 0].double() * each.unit for each in found])


@pytest.mark.parametrize("L", [1.0, 0.2])
@pytest.mark.parametrize(("name", "q"), EXPONENTIAL)
def test_slopes_are_the_derivatives(name, q, L):
    t = torch.logspace(-6, 1, 30, dtype=torch.float64)
    exponent = {"laplace": 1.0, "gaussian": 2.0, "power": q}[name]
    factor = 0.5 if name == "gaussian" else 1.0
    expected = -factor * exponent * t ** (exponent - 1) * torch.exp(-factor * t**exponent) / L
    np.testing.assert_allclose(derivative(kernel_named(name, q), L * t, L), expected, rtol=1e-12)
    np.testing.assert_allclose(derivative(kernel_named(name, q), -L * t, L), -expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("name", "q"), EXPONENTIAL)
def test_slopes_at_zero_and_at_the_ends(name, q, dtype):
    """x = z counts 0; what is far away has no slope."""
    t = torch.tensor([0.0, 1e-12, 1e-4, 1e2, 1e6, 1e15], dtype=dtype)
    found = derivative(kernel_named(name, q), t)
    assert torch.isfinite(found).all()
    assert found[0] == 0
    assert (found <= 0).all()
    assert found[-1] == 0
    if q < 2 and name != "gaussian":
        exponent = 1.0 if name == "laplace" else q
        np.testing.assert_allclose(found[1:3], -exponent * t[1:3] ** (exponent - 1), rtol=1e-2 if q == 1 else 0.1)


@pytest.mark.parametrize(("name", "q"), NAMED)
def test_kernel_matrices_are_positive_semidefinite(name, q):
    X, kernel = gaussian(40, 3), kernel_named(name, q)
    values = torch.linalg.eigvalsh(kernel.value(kernel.pairs(Points(X)).values, 1.0))
    assert values[0] > -1e-12 * values[-1]


def test_a_power_of_one_is_laplace_and_of_two_a_gaussian():
    r = gaussian(5, 5).abs()
    one, two = kernel_named("power"), kernel_named("power", 2.0)
    torch.testing.assert_close(one.value(r, 0.7), kernel_named("laplace").value(r, 0.7))
    torch.testing.assert_close(two.value(r, 0.7), kernel_named("gaussian").value(r, 0.7 / math.sqrt(2)))


def test_distances_are_the_units_of_a_bandwidth():
    X = gaussian(9, 3)
    r = torch.cdist(X, X, compute_mode="donot_use_mm_for_euclid_dist")
    for name in KERNELS:
        expected = torch.cdist(X, X, p=1) if name == "l1" else r
        torch.testing.assert_close(kernel_named(name).distances(Points(X)), expected)


def test_names():
    assert [kernel_named(name).name for name in KERNELS] == list(KERNELS)
    assert [name for name in KERNELS if not kernel_named(name).radial] == ["quadratic", "l1"]
    assert [name for name in KERNELS if not kernel_named(name).translation_invariant] == ["quadratic"]


def test_refusals():
    with pytest.raises(InputError, match=r"kernel: 'laplac' is unknown; did you mean 'laplace'\?"):
        kernel_named("laplac")
    with pytest.raises(InputError, match=r"exponent: got 0\.5, but the kernel 'gaussian' has none; expected 1"):
        kernel_named("gaussian", 0.5)
    for q in (0.0, -1.0, 2.1, math.nan, math.inf):
        with pytest.raises(InputError, match=r"exponent: got .*, expected a number above 0 and at most 2"):
            ExponentialPower(q)
