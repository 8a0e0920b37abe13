"""Distances between rows, exact where rows are equal or close."""

from dataclasses import dataclass

import torch
from torch import Tensor

TILE = 512
"""Rows of a tile: two tiles of distances stay in the processor's cache."""
NEAR = 1e-4
"""Pairs with r^2 below this share of |x|^2 + |z|^2 are taken by difference: expanded squares lose their digits."""
ROUNDING = 64
"""Rows closer than this many roundings, in float64, of the terms that a product with M^(1/2) was the sum of are equal.

Such a product may round equal rows apart. Rows as they are given count so many of their own length, as they may be
products too (a deep machine's); in float64 as well, so that in float32 no two that differ are equal."""
LAST = 2
"""Roundings of a product's length, in its own dtype, that may lie between equal rows besides."""
GATHERED = 1 << 22
"""Entries of rows gathered at once for such pairs."""


@dataclass(frozen=True)
class Pairs:
    """What a kernel needs to know of each pair of m points and n centers.

    Args:
        values: m x n: distances (or inner products, for the quadratic kernel).
        near: Row and column numbers of the close pairs that are not equal, each of shape (p,).
        kernel: The kernel's values of the machine at hand where they are known, but for pairs at a distance of 0.
        space: Memory m x n that may be used.
    """

    values: Tensor
    near: tuple[Tensor, Tensor]
    kernel: Tensor | None = None
    space: Tensor | None = None

    def of(self, rows: Tensor) -> "Pairs":
        """Return the pairs of some points only, given by number, (k,)."""
        place = torch.full((len(self.values),), -1, device=rows.device)
        place[rows] = torch.arange(len(rows), device=rows.device)
        i, j = place[self.near[0]], self.near[1]
        kernel = None if self.kernel is None else self.kernel[rows]
        return Pairs(self.values[rows], (i[i >= 0], j[i >= 0]), kernel)


def lost(usual: Tensor) -> Tensor:
    """Return how far rounding may carry each coordinate of a row, from `Metric.usual`, (d,)."""
    return ROUNDING * torch.finfo(usual.dtype).eps * usual.sqrt()


def last(dtype: torch.dtype, product: bool) -> float:
    """Return how far equal rows may lie apart by their last digits, as a share of their length."""
    return LAST * torch.finfo(dtype).eps if product else ROUNDING * torch.finfo(torch.float64).eps


def euclidean(X: Tensor, Z: Tensor | None = None, out: Tensor | None = None, usual: Tensor | None = None) -> Pairs:
    """Return the Euclidean distances of the rows of X to those of Z, or among themselves.

    r^2 = |x|^2 + |z|^2 - 2 x'z by matrix products; by difference where that would cancel, so that rows which
    are equal are at a distance of exactly 0, and no others but products' that are as good as equal. Rows should lie
    around the origin.

    Args:
        X: Shape (m, d).
        Z: Shape (n, d); None for X itself, which takes half the products.
        out: Where to put the distances, (m, n): memory in use is faster than new.
        usual: `Metric.usual`, where the rows are products.

    >>> euclidean(torch.tensor([[0.0, 3.0], [4.0, 0.0]])).values.tolist()
    [[0.0, 5.0], [5.0, 0.0]]
    """
    same = Z is None
    C = X if Z is None else Z
    x2, c2 = (X * X).sum(1), (C * C).sum(1)
    # Products may lie near the origin only because M has removed their length.
    least = 0.0 if usual is None else float(lost(usual).square().sum())
    typical, equal = c2.median(), last(X.dtype, usual is not None) ** 2
    R = X.new_empty(len(X), len(C)) if out is None else out
    left = torch.cat([X, x2[:, None], torch.ones_like(x2)[:, None]], 1)
    right = torch.cat([-2 * C, torch.ones_like(c2)[:, None], c2[:, None]], 1)
    rows, columns = [], []
    for start in range(0, len(X), TILE):
        stop = min(start + TILE, len(X))
        first = start if same else 0
        # Both squares are terms of the product, and all of it happens where the distances will lie.
        tile = torch.mm(left[start:stop], right[first:].T, out=R[start:stop, first:])
        if same:
            tile.fill_diagonal_(torch.inf)
        # A pair may be near only if r^2 is small next to |x|^2 alone, as |z|^2 <= 2 |x|^2 + 2 r^2: a test of one number
        # for each row finds the few that the exact rule, which treats both rows alike, is asked for.
        limit = 4 * NEAR * x2[start:stop] + 2 * least
        if bool((tile.amin(1) < limit).any()):
            i, j = (tile < limit[:, None]).nonzero(as_tuple=True)
            squares = x2[start + i] + c2[first + j]
            exact = tile[i, j] < NEAR * squares + least
            i, j, squares = i[exact], j[exact], squares[exact]
            r2 = _by_difference(X, C, start + i, first + j)
            distinct = r2 > equal * (squares + typical) + least
            tile[i, j] = r2 * distinct
            rows.append(start + i[distinct])
            columns.append(first + j[distinct])
        if same:
            tile.fill_diagonal_(0)
        tile.sqrt_()
        if same:
            R[stop:, start:stop] = tile[:, stop - start :].T
    if not rows:
        none = torch.empty(0, dtype=torch.long, device=X.device)
        return Pairs(R, (none, none))
    near = torch.cat(rows), torch.cat(columns)
    if same:
        # The tile on the diagonal holds both of (i, j) and (j, i), the others only one.
        upper = near[0] < near[1]
        i, j = near[0][upper], near[1][upper]
        near = torch.cat([i, j]), torch.cat([j, i])
    return Pairs(R, near)


def _by_difference(X: Tensor, Z: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """Return |x_i - z_j|^2 for pairs given by number."""
    step = max(1, GATHERED // X.shape[1])
    parts = [
        X.index_select(0, a).sub_(Z.index_select(0, b)).square_().sum(1)
        for a, b in zip(i.split(step), j.split(step), strict=True)
    ]
    return torch.cat(parts) if parts else X.new_empty(0)


def manhattan(X: Tensor, Z: Tensor | None = None, usual: Tensor | None = None) -> Pairs:
    """Return the l1 distances sum_k |x_k - z_k|, each by differences; `usual` is `Metric.usual`.

    >>> manhattan(torch.tensor([[0.0, 3.0], [4.0, 0.0]])).values.tolist()
    [[0.0, 7.0], [7.0, 0.0]]
    """
    none = torch.empty(0, dtype=torch.long, device=X.device)
    R = torch.cdist(X, X if Z is None else Z, p=1)
    if usual is not None:
        torch.nn.functional.threshold(R, float(lost(usual).sum()), 0.0, inplace=True)
    return Pairs(R, (none, none))
