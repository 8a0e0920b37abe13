"""The interface of a kernel: its values, and the moments of the gradients of functions made of it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nfa.rfm.moments import Moments
from nfa.rfm.pairs import TILE, Pairs, euclidean
from nfa.rfm.points import Points


@dataclass(frozen=True, eq=False)
class Expansion:
    """The functions f_j(x) = sum_i a_ij k(x, z_i) of a kernel k.

    Args:
        centers: The n points z_i.
        a: Shape (n, c).
        L: The bandwidth of k.
    """

    centers: Points
    a: Tensor
    L: float


@dataclass(frozen=True, eq=False)
class Sample:
    """The points at which a function's gradients are taken.

    Args:
        points: m points.
        root: Square roots of the points' weights, (m,); None for 1.
        pairs: `Kernel.pairs` of the points and the centers, if they are known already.
    """

    points: Points
    root: Tensor | None = None
    pairs: Pairs | None = None


class Kernel(ABC):
    """A kernel k(x, z) of rows in coordinates where M is the identity."""

    name: ClassVar[str]
    has_exponent: ClassVar[bool] = False
    """Whether it takes an exponent q as its only argument."""
    radial: ClassVar[bool] = True
    translation_invariant: ClassVar[bool] = True

    @property
    def exponent(self) -> float:
        """The exponent q of exp(-(r / L)^q), if the kernel has one to choose; else 1."""
        return 1.0

    def pairs(self, X: Points, Z: Points | None = None, out: Tensor | None = None) -> Pairs:
        """Return, for each pair of points, the number that the kernel is a function of; Z = None stands for X itself.

        Args:
            X: m points.
            Z: n points, or None.
            out: Memory (m, n) for the result.
        """
        return euclidean(X, Z, out)

    def distances(self, X: Points) -> Tensor:
        """Return the distances among points whose median is the bandwidth's unit."""
        return self.pairs(X).values

    def value(self, pairs: Tensor, L: float, out: Tensor | None = None) -> Tensor:
        """Return the kernel's values from `Pairs.values` at the bandwidth L, in new memory or in `out`."""
        K = torch.empty_like(pairs) if out is None else out
        # Tile by tile, so that intermediate results stay in the processor's cache.
        for source, target in zip(pairs.split(TILE), K.split(TILE), strict=True):
            self.tile(source, L, target)
        return K

    def largest(self, X: Points, L: float) -> float:
        """Return the largest value of the kernel among points."""
        return 1.0

    @abstractmethod
    def tile(self, pairs: Tensor, L: float, out: Tensor) -> None:
        """Put the kernel's values of one tile into `out`."""

    @abstractmethod
    def moments(self, f: Expansion, sample: Sample, diag: bool) -> Moments:
        """Return the moments of f's gradients over a sample; a point's pair with an equal center counts 0.

        Args:
            f: The functions.
            sample: The points, their weights and pairs.
            diag: Only the diagonal of the outer products.
        """

    @abstractmethod
    def gradients(self, f: Expansion, points: Points) -> tuple[Tensor, float]:
        """Return f's gradients at points, (m, c, d), over a unit, and the unit; as in `moments` for equal centers."""


def inverse(L: float, dtype: torch.dtype) -> float:
    """Return 1 / L as a finite number of a dtype: infinity times a distance of 0 would be NaN.

    >>> inverse(1e-50, torch.float32) * 0.0
    0.0
    """
    return min(1 / L, torch.finfo(dtype).max)
