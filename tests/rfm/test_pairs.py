"""Distances: exact zeros, accurate where rows nearly meet, whatever the tiles."""

import math

import numpy as np
import pytest
import torch
from helpers import gaussian

from nfa.rfm import RFMRegressor, pairs
from nfa.rfm.pairs import NEAR
from nfa.rfm.points import Points

EPS = {dtype: torch.finfo(dtype).eps for dtype in (torch.float32, torch.float64)}


def euclidean(X, Z=None, out=None, terms=None):
    return pairs.euclidean(Points(X, terms), None if Z is None else Points(Z, terms), out)


def manhattan(X, Z=None):
    return pairs.manhattan(Points(X), None if Z is None else Points(Z))


DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])


def true_distances(X, Z):
    """By difference, in extended precision."""
    X, Z = X.double().numpy().astype(np.longdouble), Z.double().numpy().astype(np.longdouble)
    return np.sqrt(((X[:, None] - Z[None]) ** 2).sum(2)).astype(np.float64)


def near_rows(n, d, dtype, gaps, seed=1):
    """Rows around the origin, and behind them one for each gap that lies that far, relatively, from one of them."""
    X, away = gaussian(n, d, seed=seed), gaussian(len(gaps), d, seed=seed + 1)
    base = X[torch.arange(len(gaps)) % n]
    step = torch.tensor(gaps, dtype=torch.float64)[:, None] * base.norm(dim=1, keepdim=True)
    return torch.cat([X, base + step * away / away.norm(dim=1, keepdim=True)]).to(dtype)


def root(d, rank=None, seed=3):
    F = gaussian(rank or d, d, seed=seed)
    values, V = torch.linalg.eigh(F.T @ F)
    return (V * values.clamp(min=0).sqrt()) @ V.T


@DTYPES
@pytest.mark.parametrize(("m", "n", "d"), [(1, 1, 1), (7, 30, 3), (30, 7, 50), (40, 40, 1)])
def test_distances_are_those_of_the_differences(m, n, d, dtype):
    X, Z = gaussian(m, d, dtype=dtype), gaussian(n, d, seed=2, dtype=dtype)
    rtol = 30 * EPS[dtype] / NEAR
    np.testing.assert_allclose(euclidean(X, Z).values.double(), true_distances(X, Z), rtol=rtol)
    np.testing.assert_allclose(euclidean(X).values.double(), true_distances(X, X), rtol=rtol)
    sums = (X[:, None].double() - Z[None].double()).abs().sum(2)
    np.testing.assert_allclose(manhattan(X, Z).values.double(), sums, rtol=20 * EPS[dtype], atol=1e-6 * EPS[dtype])


@DTYPES
@pytest.mark.parametrize("offset", [0.0, 3.0])
@pytest.mark.parametrize("n", [5, 64, 137])
def test_a_row_is_at_distance_zero_from_itself_and_its_copies(n, offset, dtype):
    X = gaussian(n, 9, dtype=dtype) + offset
    assert not euclidean(X).values.diagonal().any()
    assert not euclidean(X, X.clone()).values.diagonal().any()
    copies = torch.cat([X, X.flip(0), X[:1]])
    for R in (euclidean(copies).values, euclidean(copies, X).values, manhattan(copies).values):
        equal = (copies[:, None] == (X if R.shape[1] == n else copies)[None]).all(2)
        assert torch.equal(R == 0, equal)


@DTYPES
@pytest.mark.parametrize("rank", [None, 2, 1])
@pytest.mark.parametrize("offset", [0.0, 2.0])
def test_copies_stay_at_distance_zero_after_a_product(rank, offset, dtype):
    d = 23
    F, X = root(d, rank), gaussian(61, d, dtype=dtype) + offset
    terms = F.square() @ X.double().square().mean(0)

    def product(rows):
        return (rows.double() @ F).to(dtype)

    # Products of another number of rows may round otherwise.
    for some, others in [(X, X[:1]), (X, X[3:40]), (X[:7], torch.cat([X, X]))]:
        equal = (some[:, None] == others[None]).all(2)
        assert torch.equal(euclidean(product(some), product(others), terms=terms).values == 0, equal)
    both = torch.cat([product(X), *(product(row[None]) for row in X)])
    assert not euclidean(both, terms=terms).values[: len(X), len(X) :].diagonal().any()
    assert not euclidean(both[: len(X)], both[len(X) :], terms=terms).values.diagonal().any()
    last = both[: len(X)] * (1 + EPS[dtype])  # where the product's rounding met that of its dtype
    assert not euclidean(both[: len(X)], last, terms=terms).values.diagonal().any()


@pytest.mark.parametrize("product", [False, True])
def test_nearly_equal_rows_are_accurate_in_float64(product):
    gaps = [10.0**-k for k in range(1, 10)] * 4
    X = near_rows(50, 12, torch.float64, gaps)
    if product:
        X = X @ root(12)
    expected = true_distances(X, X)
    for R in (euclidean(X).values, euclidean(X, X.clone()).values):
        np.testing.assert_allclose(R, expected, rtol=1e-11)


def test_nearly_equal_rows_under_a_matrix_are_accurate_in_float64():
    """Against exact differences before the product: what is lost is what rounding of the product itself takes."""
    X, F = near_rows(50, 12, torch.float64, [10.0**-k for k in range(1, 10)] * 4), root(12)
    expected = np.linalg.norm(
        (X.numpy()[:, None].astype(np.longdouble) - X.numpy()[None]) @ F.numpy().astype(np.longdouble), axis=2
    )
    np.testing.assert_allclose(euclidean(X @ F).values, expected.astype(float), rtol=1e-6)


def test_nearly_equal_rows_in_float32():
    """Accurate by difference, down to the last digit in which they differ; a little above `NEAR` by expansion."""
    X = near_rows(50, 12, torch.float32, [10.0**-k for k in range(1, 10)] * 4)
    found, exact = euclidean(X).values.double().numpy(), true_distances(X, X)
    length = np.sqrt((X.double() ** 2).sum(1).numpy())
    share = exact / np.hypot(length[:, None], length[None])
    by_difference = (share > 0) & (share < 0.9 * math.sqrt(NEAR))
    assert by_difference.sum() >= 40  # 1e-3 to 1e-7, both ways
    np.testing.assert_allclose(found[by_difference], exact[by_difference], rtol=1e-6)
    np.testing.assert_allclose(found[share > 1.1 * math.sqrt(NEAR)], exact[share > 1.1 * math.sqrt(NEAR)], rtol=1e-3)
    assert np.array_equal(found == 0, exact == 0)


@DTYPES
@pytest.mark.parametrize("tile", [1, 2, 7, 16, 33, 64])
def test_tiles_change_nothing(tile, dtype, monkeypatch):
    X = near_rows(33, 6, dtype, [1e-3, 1e-4, 1e-3, 0.0, 0.0])
    Z = torch.cat([near_rows(11, 6, dtype, [1e-3, 0.0], seed=4), X[::5]])
    whole, across = euclidean(X), euclidean(X, Z)
    monkeypatch.setattr(pairs, "TILE", tile)
    rtol = 30 * EPS[dtype] / NEAR
    for one, other in [(whole, euclidean(X)), (across, euclidean(X, Z))]:
        torch.testing.assert_close(other.values, one.values, rtol=rtol, atol=0)
        assert torch.equal(other.values == 0, one.values == 0)
        assert numbered(other.near) == numbered(one.near)


def numbered(near):
    found = list(zip(near[0].tolist(), near[1].tolist(), strict=True))
    assert len(set(found)) == len(found)  # each once
    return set(found)


@DTYPES
@pytest.mark.parametrize("tile", [5, 16, 512])
def test_near_lists_each_close_pair_once_per_direction_and_nothing_else(tile, dtype, monkeypatch):
    monkeypatch.setattr(pairs, "TILE", tile)
    gaps = [1e-3, 3e-4, 1e-4] * 4 + [0.0] * 3 + [0.1] * 2
    X = near_rows(20, 5, dtype, gaps)
    exact, square = true_distances(X, X), (X.double() ** 2).sum(1)
    close = (exact**2 < NEAR * (square[:, None] + square[None]).numpy()) & (exact > 0)
    assert close.sum() == 24
    expected = set(zip(*(each.tolist() for each in close.nonzero()), strict=True))
    assert numbered(euclidean(X).near) == expected
    assert numbered(euclidean(X, X.clone()).near) == expected
    swapped = {(j, i) for i, j in numbered(euclidean(X[:9], X).near)}
    assert swapped == numbered(euclidean(X, X[:9]).near)
    assert len(euclidean(gaussian(30, 5, dtype=dtype)).near[0]) == 0


def test_a_row_at_the_origin_is_near_its_neighbours_only():
    X = torch.cat([torch.zeros(2, 4, dtype=torch.float64), torch.full((1, 4), 1e-9).double(), gaussian(10, 4)])
    found = euclidean(X)
    np.testing.assert_allclose(found.values, true_distances(X, X), rtol=1e-12)
    assert found.values[0, 1] == 0
    assert found.values[0, 2] == pytest.approx(2e-9)


@DTYPES
@pytest.mark.parametrize("tile", [7, 512])
def test_distances_among_rows_are_symmetric(tile, dtype, monkeypatch):
    monkeypatch.setattr(pairs, "TILE", tile)
    X = near_rows(60, 8, dtype, [1e-3, 1e-5, 0.0])
    R, near = euclidean(X).values, numbered(euclidean(X).near)
    torch.testing.assert_close(R, R.T, rtol=30 * EPS[dtype] / NEAR, atol=0)
    assert torch.equal(R == 0, R.T == 0)
    assert near == {(j, i) for i, j in near}


@DTYPES
def test_no_distance_is_negative_infinite_or_nan(dtype):
    for X in (torch.zeros(5, 3), torch.ones(600, 1), 1e-30 * gaussian(9, 2), 1e15 * gaussian(9, 2)):
        R = euclidean(X.to(dtype)).values
        assert torch.isfinite(R).all()
        assert (R >= 0).all()


def test_memory_that_is_lent_is_used():
    X, Z = gaussian(20, 3), gaussian(8, 3, seed=2)
    for rows, others, shape in [(X, None, (20, 20)), (X, Z, (20, 8))]:
        lent = torch.full(shape, torch.nan, dtype=torch.float64)
        found = euclidean(rows, others, lent).values
        assert found.data_ptr() == lent.data_ptr()
        assert torch.equal(found, euclidean(rows, others).values)


@pytest.mark.parametrize("distance", [euclidean, manhattan])
def test_manhattan_and_euclidean_agree_on_one_column(distance):
    X, Z = gaussian(20, 1), gaussian(9, 1, seed=2)
    np.testing.assert_allclose(distance(X, Z).values, (X - Z.T).abs(), rtol=1e-12)


def test_a_long_column_does_not_hide_the_others_in_float32():
    """Rows a million from the origin that differ by 1e-5 are not copies of each other."""
    rng = np.random.default_rng(0)
    X, new = (np.stack([1e6 * rng.integers(0, 2, 300), rng.normal(size=300)], 1).astype(np.float32) for _ in range(2))
    model = RFMRegressor(bandwidth=1.0, bandwidth_scale=None, n_iters=0).fit(X, np.sin(2 * X[:, 1]))
    assert model.score(new, np.sin(2 * new[:, 1])) > 0.99
