"""Distances between rows, exact where rows are equal or close."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nfa.rfm.points import Points

TILE = 512
"""Rows of a tile, so that two tiles of distances stay in the processor's cache."""
NEAR = 1e-4
"""Pairs with r^2 below this share of |x|^2 + |z|^2 are computed by difference, since expanded squares lose digits."""
GATHERED = 1 << 22
"""Entries of rows gathered at once for such pairs."""


@dataclass(frozen=True)
class Pairs:
    """What a kernel needs of each pair of m points and n centers.

    Args:
        values: m x n: distances (or inner products, for the quadratic kernel).
        near: Row and column numbers of the close pairs that are not equal, each of shape (p,).
        kernel: The kernel's values, where they are known already, but for pairs at a distance of 0.
        space: Memory m x n that may be used.
    """

    values: Tensor
    near: tuple[Tensor, Tensor]
    kernel: Tensor | None = None
    space: Tensor | None = None

    @classmethod
    def without_near(cls, values: Tensor) -> "Pairs":
        """Return pairs without a list of close ones."""
        none = torch.empty(0, dtype=torch.long, device=values.device)
        return cls(values, (none, none))

    def of(self, rows: Tensor) -> "Pairs":
        """Return the pairs of some points, given by number, (k,)."""
        place = torch.full((len(self.values),), -1, device=rows.device)
        place[rows] = torch.arange(len(rows), device=rows.device)
        i, j = place[self.near[0]], self.near[1]
        kernel = None if self.kernel is None else self.kernel[rows]
        return Pairs(self.values[rows], (i[i >= 0], j[i >= 0]), kernel)


def euclidean(X: Points, Z: Points | None = None, out: Tensor | None = None) -> Pairs:
    """Return the Euclidean distances of the rows of X to those of Z, or among themselves.

    r^2 = |x|^2 + |z|^2 - 2 x'z is computed by matrix products, and by difference where that would cancel. Rows that are
    equal, up to the rounding of the product that made them, are at a distance of exactly 0, and no others are. Rows
    should lie around the origin.

    Args:
        X: m points.
        Z: n points; None for X itself, which takes half of the products.
        out: Memory for the distances, (m, n); used memory is faster than new.

    >>> euclidean(Points(torch.tensor([[0.0, 3.0], [4.0, 0.0]]))).values.tolist()
    [[0.0, 5.0], [5.0, 0.0]]
    """
    same = Z is None
    C = X if Z is None else Z
    x2, c2 = X.squares, C.squares
    # Rows of a product may lie near the origin only because M has removed their length.
    least = 0.0 if C.rounding is None else float(C.rounding.square().sum())
    equal = C.last_digits**2
    R = X.rows.new_empty(len(X), len(C)) if out is None else out
    left = torch.cat([X.rows, x2[:, None], torch.ones_like(x2)[:, None]], 1)
    right = torch.cat([-2 * C.rows, torch.ones_like(c2)[:, None], c2[:, None]], 1)
    rows, columns = [], []
    for start in range(0, len(X), TILE):
        stop = min(start + TILE, len(X))
        first = start if same else 0
        # Both squares are terms of the product, and all is computed in the memory of the distances.
        tile = torch.mm(left[start:stop], right[first:].T, out=R[start:stop, first:])
        if same:
            tile.fill_diagonal_(torch.inf)
        # A pair can be near only if r^2 is small beside |x|^2 alone, as |z|^2 <= 2 |x|^2 + 2 r^2. This test, of one
        # number for each row, finds a few candidates for the exact rule, which treats both rows alike.
        limit = 4 * NEAR * x2[start:stop] + 2 * least
        if bool((tile.amin(1) < limit).any()):
            i, j = (tile < limit[:, None]).nonzero(as_tuple=True)
            squares = x2[start + i] + c2[first + j]
            exact = tile[i, j] < NEAR * squares + least
            i, j, squares = i[exact], j[exact], squares[exact]
            r2 = _by_difference(X.rows, C.rows, start + i, first + j)
            distinct = r2 > equal * (squares + C.typical) + least
            tile[i, j] = r2 * distinct
            rows.append(start + i[distinct])
            columns.append(first + j[distinct])
        if same:
            tile.fill_diagonal_(0)
        tile.sqrt_()
        if same:
            R[stop:, start:stop] = tile[:, stop - start :].T
    if not rows:
        return Pairs.without_near(R)
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


def manhattan(X: Points, Z: Points | None = None) -> Pairs:
    """Return the l1 distances sum_k |x_k - z_k|, each by differences.

    >>> manhattan(Points(torch.tensor([[0.0, 3.0], [4.0, 0.0]]))).values.tolist()
    [[0.0, 7.0], [7.0, 0.0]]
    """
    C = X if Z is None else Z
    R = torch.cdist(X.rows, C.rows, p=1)
    if C.rounding is not None:
        torch.nn.functional.threshold(R, float(C.rounding.sum()), 0.0, inplace=True)
    return Pairs.without_near(R)
