"""S, the mean of delta'delta over rows (k x k): as a matrix, or by the rows themselves where they are few."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from nfa.common.scale import unit_of
from nfa.features.alignment import Moments, Split
from nfa.features.factored import FactoredMatrix, Raised, sum_of_products
from nfa.features.rows_matrix import RowsMatrix
from nfa.features.weight import TILE, Weight, product


class SecondMoment(ABC):
    """S (k x k), symmetric and positive semidefinite; `groups` blocks on its diagonal, outside of which it is 0."""

    groups: int = 1

    @property
    @abstractmethod
    def matrix(self) -> Tensor:
        """S itself (float64)."""

    @abstractmethod
    def diagonal(self) -> Tensor:
        """Return S's diagonal (float64)."""

    @abstractmethod
    def plus(self, B: Tensor) -> "SecondMoment":
        """Return S + B'B, B of shape (c, k)."""

    @abstractmethod
    def to(self, device: torch.device) -> Self:
        """Return the same on a device."""

    def under(self, weight: Weight) -> FactoredMatrix:
        """Return W'SW."""
        return FactoredMatrix(weight, self.matrix)

    def raised(self, base: FactoredMatrix, B: Tensor) -> FactoredMatrix:
        """Return W'SW by low-rank updates of a base W'(S - B'B)W, which is as `under` gives it."""
        return Raised(base, B, lambda: self.matrix, self.diagonal())

    @property
    @abstractmethod
    def moments(self) -> Moments:
        """What the nulls need of S."""

    @cached_property
    def split(self) -> Split:
        """S in blocks."""
        return Split.of(self.matrix, self.groups)

    def trace(self) -> float:
        """Return tr S."""
        return float(self.diagonal().sum())


@dataclass(frozen=True, eq=False)
class Whole(SecondMoment):
    """S as a matrix.

    Args:
        S: k x k, float64.
        groups: Blocks on its diagonal, outside of which it is 0.
    """

    S: Tensor
    groups: int = 1

    @property
    def matrix(self) -> Tensor:
        """S itself."""
        return self.S

    def diagonal(self) -> Tensor:
        """Return S's diagonal."""
        return self.S.diagonal()

    def plus(self, B: Tensor) -> "Sum":
        """Return S + B'B."""
        return Sum(self, B, self.groups)

    def to(self, device: torch.device) -> Self:
        """Return the same on a device."""
        return self if self.S.device == device else replace(self, S=self.S.to(device))

    @property
    def moments(self) -> Split:
        """S in blocks."""
        return self.split


@dataclass(frozen=True, eq=False)
class Sum(SecondMoment):
    """S = base + B'B, which is made only if it is asked for: it is as large as the base, and B is small.

    Args:
        base: A whole matrix.
        B: Shape (c, k).
        groups: Those of the base.
    """

    base: Whole
    B: Tensor
    groups: int = 1

    @cached_property
    def matrix(self) -> Tensor:
        """S itself."""
        return torch.addmm(self.base.S, self.B.T, self.B)

    def diagonal(self) -> Tensor:
        """Return S's diagonal."""
        return self.base.diagonal() + self.B.square().sum(0)

    def plus(self, B: Tensor) -> "Sum":
        """Return S + B'B."""
        return Sum(self.base, torch.cat([self.B, B]), self.groups)

    def to(self, device: torch.device) -> Self:
        """Return the same on a device."""
        return self if self.B.device == device else replace(self, base=self.base.to(device), B=self.B.to(device))

    @cached_property
    def moments(self) -> Moments:
        """What the nulls need of S."""
        if self.groups > 1:
            return self.split

        def rows(start: int, stop: int) -> Tensor:
            return torch.addmm(self.base.S[start:stop], self.B[:, start:stop].T, self.B)

        return Moments.by_rows(self.diagonal(), rows)


@dataclass(frozen=True, eq=False)
class ByRows(SecondMoment):
    """S = D'D of few rows: nothing of size k x k is made, unless S itself is asked for.

    Args:
        D: N x k, float32 or float64.
    """

    D: Tensor

    @cached_property
    def matrix(self) -> Tensor:
        """S itself."""
        D = self.D.double()
        return D.T @ D

    def diagonal(self) -> Tensor:
        """Return S's diagonal."""
        return self._diagonal

    @cached_property
    def _diagonal(self) -> Tensor:
        return torch.stack([rows.double().square().sum(0) for rows in self.D.split(TILE)]).sum(0)

    def plus(self, B: Tensor) -> "ByRows":
        """Return S + B'B."""
        return ByRows(torch.cat([self.D, B.to(self.D.dtype)]))

    def to(self, device: torch.device) -> Self:
        """Return the same on a device."""
        return self if self.D.device == device else replace(self, D=self.D.to(device))

    def under(self, weight: Weight) -> RowsMatrix:
        """Return W'SW, the Gram matrix of the rows DW."""
        return RowsMatrix(weight, self.D)

    def raised(self, base: FactoredMatrix, B: Tensor) -> FactoredMatrix:
        """Return W'SW from a base W'(S - B'B)W."""
        return base.plus(B)

    @cached_property
    def moments(self) -> Moments:
        """What the nulls need of S, from DD' (N x N), in the square of D's `unit_of`."""
        D, k = self.D / unit_of(self.D), self.D.shape[1]
        gram = product(D, D)
        trace = float(gram.diagonal().sum(dtype=torch.float64))
        # S has rank N below k, so that this leaves most of its first term.
        spread = sum_of_products(gram, gram) - trace**2 / k
        found = D.new_tensor([trace / k, spread], dtype=torch.float64)
        return Moments(k, found[:1], found[1:], torch.finfo(D.dtype).eps)
