"""Sums over points of a function's gradients and of their outer products, from which an AGOP is computed."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nfa.common.scale import power_of_two

BLOCK = 1 << 21
"""Entries of a temporary matrix, 8 MiB in float32: small enough for caches, and for memory to be used again."""
CANCELLED = 64
"""The centered average is a difference; below this many roundings of the uncentered one it means nothing."""
SAFE = 2.0**30
"""Sizes between 1 / SAFE and SAFE can be squared and added up in float32."""


@dataclass(frozen=True)
class Moments:
    """Sums over points x, with weights w, of the gradients g_j(x) of c outputs.

    Args:
        outer: sum w g_j g_j' / unit^2 over points and outputs, d x d; or its diagonal, (d,).
        sums: sum w g_j / unit over points, c x d.
        unit: Gradients are divided by it, so that their squares stay within the dtype.
    """

    outer: Tensor
    sums: Tensor
    unit: float = 1.0

    @classmethod
    def of_gradients(cls, G: Tensor, root: Tensor | None, diag: bool) -> "Moments":
        """Return the moments of given gradients; `outer` is positive semidefinite by construction.

        Args:
            G: Each g_j(x) times the root of x's weight, shape (points, c, d); it may be overwritten.
            root: Roots of the points' weights, (points,); None for 1.
            diag: Only the diagonal of the outer products.

        >>> Moments.of_gradients(torch.full((2, 1, 1), 1e-30), None, diag=False).outer > 0
        tensor([[True]])
        """
        unit = power_of_two(G)
        if 1 / SAFE < unit < SAFE:
            unit = 1.0
        else:
            G.div_(unit)
        sums = G.sum(0) if root is None else torch.tensordot(root, G, 1)
        G = G.view(-1, G.shape[2])
        return cls((G * G).sum(0) if diag else G.T @ G, sums, unit)

    def __add__(self, other: "Moments") -> "Moments":
        """Return the sums over the points of both."""
        one, two = self._aligned(other)
        return Moments(one.outer + two.outer, one.sums + two.sums, one.unit)

    def beside(self, other: "Moments") -> "Moments":
        """Return the moments of the outputs of both, over the same points."""
        one, two = self._aligned(other)
        return Moments(one.outer + two.outer, torch.cat([one.sums, two.sums]), one.unit)

    def _aligned(self, other: "Moments") -> tuple["Moments", "Moments"]:
        """Return both in the larger of their units; moments of 0 have any unit."""
        if self.unit == other.unit:
            return self, other
        units = [each.unit if bool(each.outer.any()) else 0.0 for each in (self, other)]
        unit = max(units) or 1.0
        shares = [each / unit for each in units]
        one, two = (Moments(m.outer * x * x, m.sums * x, unit) for m, x in zip((self, other), shares, strict=True))
        return one, two

    def double(self) -> "Moments":
        """Return the moments in float64."""
        return Moments(self.outer.double(), self.sums.double(), self.unit)

    def times(self, factor: float) -> "Moments":
        """Return the moments of the gradients times a factor above 0."""
        return Moments(self.outer, self.sums, self.unit * factor)

    def centered(self, eps: float) -> Tensor:
        """Return `outer` of gradients minus their mean, from averages over points.

        It is a difference. What is below the rounding of the uncentered diagonal counts 0, so that the result stays
        positive semidefinite.

        Args:
            eps: The rounding of what the averages were computed in.
        """
        scale = (self.outer if self.outer.ndim == 1 else self.outer.diagonal()).clamp(min=0).sqrt()
        scale, floor = scale.where(scale > 0, 1), CANCELLED * eps
        means = self.sums / scale
        if self.outer.ndim == 1:
            shares = self.outer / scale**2 - means.square().sum(0)
            return shares.where(shares > floor, 0) * scale**2
        values, V = torch.linalg.eigh(self.outer / scale / scale[:, None] - means.T @ means)
        F = V[:, values > floor] * values[values > floor].sqrt() * scale[:, None]
        found: Tensor = F @ F.T
        return found
