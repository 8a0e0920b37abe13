"""The sums behind an AGOP: both forms, their blocks, and which one is taken."""

import numpy as np
import pytest
import torch
from helpers import gaussian
from rfm import kernel_reference as reference

from nfa.rfm.kernels import Expansion, Sample, kernel_named, l1, radial
from nfa.rfm.kernels.radial import direct_operations, expanded_operations
from nfa.rfm.moments import Moments
from nfa.rfm.points import Points

RADIAL = [("laplace", 1.0), ("gaussian", 1.0), ("power", 0.6), ("power", 2.0)]
KERNELS = [*RADIAL, ("quadratic", 1.0), ("l1", 1.0)]


def problem(m=11, n=19, d=4, c=3, dtype=torch.float64):
    X, Z, a = gaussian(m, d), gaussian(n, d, seed=2), gaussian(n, c, seed=3)
    X[3], X[4], Z[7] = Z[2], Z[7], Z[8]
    return X.to(dtype), Z.to(dtype), a.to(dtype)


def moments_of(kernel, X, Z, a, L, root=None, diag=False, form=None):
    """A kernel's moments, by the cheaper form, or by one that is named; X is Z where the points are the centers."""
    centers = Points(Z)
    points = centers if X is Z else Points(X)
    pairs = kernel.pairs(points, None if X is Z else centers)
    f, sample = Expansion(centers, a, L), Sample(points, root, pairs)
    if form is None:
        return kernel.moments(f, sample, diag)
    return getattr(radial, form)(kernel, f, sample, diag).times(kernel.slope_unit(L))


def expected(name, q, X, Z, a, L, weights=None):
    J = reference.jacobians(name, X, Z, a, torch.ones(X.shape[1]), L, q)
    w = torch.ones(len(J), dtype=torch.float64) if weights is None else weights
    return torch.einsum("n,ncd,nce->de", w, J, J), torch.einsum("n,ncd->cd", w, J)


def assert_moments(found, outer, sums, tolerance=1e-12):
    outer = outer.diagonal() if found.outer.ndim == 1 else outer
    assert (found.outer.double() * found.unit**2 - outer).norm() <= tolerance * outer.norm()
    assert (found.sums.double() * found.unit - sums).norm() <= tolerance * sums.norm()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("diag", [False, True])
@pytest.mark.parametrize("form", ["direct", "expanded"])
@pytest.mark.parametrize(("name", "q"), RADIAL)
def test_both_forms_equal_the_derivatives(name, q, form, diag, weighted):
    (X, Z, a), kernel = problem(), kernel_named(name, q)
    weights = gaussian(len(X), 1)[:, 0].abs() if weighted else None
    root = None if weights is None else weights.sqrt()
    found = moments_of(kernel, X, Z, a, 1.3, root, diag, form)
    assert_moments(found, *expected(name, q, X, Z, a, 1.3, weights))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("diag", [False, True])
@pytest.mark.parametrize("form", ["direct", "expanded"])
@pytest.mark.parametrize(("name", "q"), RADIAL)
def test_both_forms_among_the_centers_themselves(name, q, form, diag, weighted):
    (_, Z, a), kernel = problem(n=25), kernel_named(name, q)
    weights = gaussian(len(Z), 1)[:, 0].abs() if weighted else None
    root = None if weights is None else weights.sqrt()
    found = moments_of(kernel, Z, Z, a, 1.3, root, diag, form)
    assert_moments(found, *expected(name, q, Z, Z, a, 1.3, weights))


@pytest.mark.parametrize(("name", "q"), KERNELS)
@pytest.mark.parametrize(("m", "n", "d", "c"), [(1, 1, 1, 1), (1, 9, 3, 2), (9, 2, 3, 2), (30, 3, 1, 4), (3, 30, 7, 1)])
def test_every_shape(name, q, m, n, d, c):
    X, Z, a = gaussian(m, d), gaussian(n, d, seed=2), gaussian(n, c, seed=3)
    kernel, (outer, sums) = kernel_named(name, q), expected(name, q, X, Z, a, 0.8)
    for diag in (False, True):
        assert_moments(moments_of(kernel, X, Z, a, 0.8, None, diag), outer, sums)
        if kernel.radial:
            for form in ("direct", "expanded"):
                assert_moments(moments_of(kernel, X, Z, a, 0.8, None, diag, form), outer, sums)


@pytest.mark.parametrize("block", [1, 30, 150, 1000])
@pytest.mark.parametrize(("name", "q"), KERNELS)
def test_blocks_change_nothing(name, q, block, monkeypatch):
    (X, Z, a), kernel = problem(), kernel_named(name, q)
    Z = torch.cat([Z, X[:2] * (1 + 1e-4)])
    a = torch.cat([a, a[:2]])
    weights = gaussian(len(X), 1)[:, 0].abs()
    outer, sums = expected(name, q, X, Z, a, 1.0, weights)
    for module in (radial, l1):
        monkeypatch.setattr(module, "BLOCK", block)
    monkeypatch.setattr(radial, "GATHERED", block)
    for diag in (False, True):
        assert_moments(moments_of(kernel, X, Z, a, 1.0, weights.sqrt(), diag), outer, sums, 1e-10)
        if kernel.radial:
            Z_apart, a_apart = Z[:-2], a[:-2]
            found = moments_of(kernel, X, Z_apart, a_apart, 1.0, None, diag, "expanded")
            assert_moments(found, *expected(name, q, X, Z_apart, a_apart, 1.0))


@pytest.mark.parametrize("tiles", [1, 2, 3, 19, 50])
def test_tiles_of_the_symmetric_product_change_nothing(tiles, monkeypatch):
    (X, Z, a), kernel = problem(), kernel_named("laplace")
    monkeypatch.setattr(radial, "TILES", tiles)
    weights = gaussian(len(Z), 1)[:, 0].abs()
    found = moments_of(kernel, X, Z, a, 1.0, form="expanded")
    assert_moments(found, *expected("laplace", 1.0, X, Z, a, 1.0))
    found = moments_of(kernel, Z, Z, a, 1.0, weights.sqrt(), form="expanded")
    assert_moments(found, *expected("laplace", 1.0, Z, Z, a, 1.0, weights))


def taken(X, Z, c, diag, monkeypatch):
    """Which form is taken."""
    found = []
    for form in ("direct", "expanded"):
        nothing = Moments(torch.zeros(1), torch.zeros(1, 1))
        monkeypatch.setattr(radial, form, lambda *args, form=form, nothing=nothing: found.append(form) or nothing)
    moments_of(kernel_named("gaussian"), X, Z, gaussian(len(Z), c), 1.0, None, diag)
    monkeypatch.undo()
    [form] = found
    return form


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("diag", [False, True])
@pytest.mark.parametrize(
    ("m", "n", "d", "c"), [(9, 9, 3, 1), (9, 40, 3, 1), (30, 10, 20, 1), (30, 10, 5, 9), (9, 5, 60, 4), (60, 60, 6, 20)]
)
def test_the_form_of_fewer_operations_is_taken(m, n, d, c, diag, same, monkeypatch):
    X = gaussian(m, d)
    Z = X if same else gaussian(n, d, seed=2)
    fewer = expanded_operations(m, len(Z), d, c, diag, same) < direct_operations(m, len(Z), d, c, diag)
    assert taken(X, Z, c, diag, monkeypatch) == ("expanded" if fewer else "direct")


def test_each_form_is_the_cheaper_one_somewhere(monkeypatch):
    """Few columns and outputs: making every gradient; many: none."""
    assert taken(gaussian(50, 3), gaussian(40, 3, seed=2), 1, False, monkeypatch) == "direct"
    assert taken(gaussian(50, 30), gaussian(40, 30, seed=2), 20, False, monkeypatch) == "expanded"


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("same", [False, True])
def test_points_of_close_pairs_alone_have_their_gradients_made(same, weighted, monkeypatch):
    """One pair a thousandth apart, where multiplied-out products would cancel."""
    Z, a, direct = gaussian(40, 30, seed=2), gaussian(40, 20, seed=3), radial.direct
    X = Z if same else gaussian(50, 30)
    X[7] = Z[3]  # equal rows count 0 in either form
    assert taken(X, Z, 20, False, monkeypatch) == "expanded"
    X[7, 0] += 1e-3
    made = []
    monkeypatch.setattr(
        radial,
        "direct",
        lambda kernel, f, sample, diag: made.append(len(sample.points)) or direct(kernel, f, sample, diag),
    )
    weights = gaussian(len(X), 1)[:, 0].abs() if weighted else None
    root = None if weights is None else weights.sqrt()
    found = moments_of(kernel_named("laplace"), X, Z, a, 1.0, root)
    assert made == [2 if same else 1]
    assert_moments(found, *expected("laplace", 1.0, X, Z, a, 1.0, weights), 1e-10)


@pytest.mark.parametrize("gap", [1e-3, 1e-5, 1e-7, 1e-9])
@pytest.mark.parametrize(("name", "q"), [("laplace", 1.0), ("power", 0.6), ("gaussian", 1.0)])
def test_close_pairs_keep_their_digits(name, q, gap):
    X, Z, a = problem(m=40, n=40, d=9, c=20)
    X[:5] = Z[:5] + gap * gaussian(5, 9, seed=4)
    outer, sums = expected(name, q, X, Z, a, 1.0)
    assert_moments(moments_of(kernel_named(name, q), X, Z, a, 1.0), outer, sums, 1e-10 + 1e-15 / gap)


def test_operations_are_counted():
    """The dearest products of each form, at their sizes."""
    assert direct_operations(7, 5, 3, 2, diag=True) == 7 * 5 * 2 * 3
    assert direct_operations(7, 5, 3, 2, diag=False) == 7 * 5 * 2 * 3 + 7 * 2 * 9
    large = expanded_operations(10**6, 10**3, 1, 1, diag=True, same=False)
    np.testing.assert_allclose(large, 9 / 16 * 10**12, rtol=0.01)
    for m, n, d, c in [(100, 100, 10, 3), (1000, 1000, 5, 1)]:
        for diag in (False, True):
            assert expanded_operations(m, n, d, c, diag, same=True) < expanded_operations(m, n, d, c, diag, same=False)


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("diag", [False, True])
def test_terms_that_cancel_take_the_direct_form(diag, same, monkeypatch):
    """Copies of centers with opposite coefficients: multiplied out, their products would leave mere rounding."""
    Z, a, made = gaussian(30, 20, seed=2), gaussian(30, 20, seed=3), []
    Z[15:] = Z[:15]
    large = a.clone()
    large[:15] += 1e7 * gaussian(15, 20, seed=4)
    large[15:] -= 1e7 * gaussian(15, 20, seed=4)
    X, direct = Z if same else gaussian(30, 20), radial.direct
    monkeypatch.setattr(radial, "direct", lambda *args: made.append(len(args[2].points)) or direct(*args))
    kernel = kernel_named("gaussian")
    moments_of(kernel, X, Z, a, 3.0, None, diag)
    assert made == []
    found = moments_of(kernel, X, Z, large, 3.0, None, diag)
    assert made == [30]
    assert_moments(found, *expected("gaussian", 1.0, X, Z, large, 3.0), 1e-6)


def test_moments_in_different_units_add_up():
    G = gaussian(6, 6, seed=8).reshape(6, 2, 3)
    for sizes in ((1e-200, 1e-200), (1.0, 1e-160), (1e-160, 1.0), (1e160, 1e100), (0.0, 1e-170)):
        one, two = (
            Moments.of_gradients(size * part, None, diag=False) for size, part in zip(sizes, G.split(3), strict=True)
        )
        unit = max(sizes)
        scaled = torch.cat([size / unit * part for size, part in zip(sizes, G.split(3), strict=True)])
        whole, beside = one + two, one.beside(two)
        share = whole.unit / unit
        torch.testing.assert_close(whole.outer * share * share, torch.einsum("ncd,nce->de", scaled, scaled))
        torch.testing.assert_close(whole.sums * share, scaled.sum(0))
        torch.testing.assert_close(beside.outer, whole.outer)
        assert beside.sums.shape == (4, 3)
