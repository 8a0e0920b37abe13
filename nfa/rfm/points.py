"""Rows in the coordinates of a metric, and how far rounding may have moved each."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

ROUNDING = 64
"""Rows closer than this many roundings in float64 are equal. A rounding is relative to the terms that a coordinate is
the sum of, or to the row's length if the coordinate is no sum. So many, because given rows may be products too (in a
deep machine); in float64, because then no two float32 rows that differ count as equal."""
LAST_DIGITS = 2
"""Equal rows that a product made may also differ by this many roundings of their length, in their own dtype."""


@dataclass(frozen=True, eq=False)
class Points:
    """Rows z = M^(1/2) x, and the sizes of the terms that each coordinate is the sum of.

    Args:
        rows: Shape (n, d).
        terms: Mean squares of the terms that each coordinate is the sum of, float64, (d,); None where it is no sum.
            M^(1/2) may remove nearly all of a row, so its rounding is relative to these terms, not to what is left.

    >>> Points(torch.tensor([[3.0, 4.0]])).squares
    tensor([25.])
    """

    rows: Tensor
    terms: Tensor | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __getitem__(self, which: Tensor | slice) -> "Points":
        """Return some of the points."""
        return Points(self.rows[which], self.terms)

    def split(self, size: int) -> Iterator["Points"]:
        """Yield the points, `size` at a time."""
        return (Points(rows, self.terms) for rows in self.rows.split(size))

    @cached_property
    def squares(self) -> Tensor:
        """Squared norms, (n,)."""
        return (self.rows * self.rows).sum(1)

    @cached_property
    def typical(self) -> Tensor:
        """The median squared norm."""
        return self.squares.median()

    @cached_property
    def rounding(self) -> Tensor | None:
        """How far rounding may have moved each coordinate, float64, (d,); None where coordinates are no sums."""
        return None if self.terms is None else ROUNDING * torch.finfo(torch.float64).eps * self.terms.sqrt()

    @property
    def last_digits(self) -> float:
        """How far apart equal rows may lie, as a share of their length."""
        if self.terms is None:
            return ROUNDING * torch.finfo(torch.float64).eps
        return LAST_DIGITS * torch.finfo(self.rows.dtype).eps
