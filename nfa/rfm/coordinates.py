"""Coordinates for layers with more inputs than there are training rows.

A machine on n rows of d > n entries depends on the rows' span alone. A row becomes n coordinates in it, and nothing of
size d x d is formed.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nfa.common.writing import replacing, write_tensors
from nfa.features.factored import FactoredMatrix


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Coordinates of rows h, at most n, in which the first M of a machine is the identity.

    With M = R'R, z = Rh and V an orthonormal basis (r x q) of the span of the training rows' z - center, h becomes
    (V'(z - center), |z - center - VV'(z - center)|). The last entry of a training row is 0. Distances from training
    rows are those under M, for any h. An updated M stays in the span: M = R'V A V'R, with A the leading q x q part of
    the machine's AGOP.

    Args:
        factor: R (r x d), float64; None for the identity.
        center: The training rows' mean z, float64.
        basis: V; None where r <= n and z itself serves.
    """

    factor: Tensor | None
    center: Tensor
    basis: Tensor | None

    @classmethod
    def of(cls, H: Tensor, M: FactoredMatrix | None) -> "Coordinates":
        """Return the coordinates for training rows H (n x d) and a machine that starts from M (None: the identity).

        >>> H = torch.eye(2, 5)
        >>> Coordinates.of(H, None).rows(H).shape
        torch.Size([2, 2])
        """
        factor = None if M is None else factor_of(M)
        Z = _images(H, factor)
        center = Z.mean(0)
        if Z.shape[1] <= len(Z):
            return cls(factor, center, None)
        _, s, Vt = torch.linalg.svd(Z - center, full_matrices=False)
        kept = s > max(Z.shape) * torch.finfo(Z.dtype).eps * s[0]
        return cls(factor, center, Vt[kept].T)

    def rows(self, H: Tensor) -> Tensor:
        """Return rows H (m x d) in these coordinates, in H's dtype."""
        Z = _images(H, self.factor) - self.center
        if self.basis is not None:
            inside = Z @ self.basis
            outside = (Z - inside @ self.basis.T).norm(dim=1, keepdim=True)
            Z = torch.cat([inside, outside], 1)
        return Z.to(H.dtype)

    def matrix(self, A: Tensor) -> FactoredMatrix:
        """Return M in the rows' own coordinates, from an updated M in these coordinates (float64, square)."""
        factor = self.factor
        if self.basis is not None:
            q = self.basis.shape[1]
            factor = self.basis.T if factor is None else self.basis.T @ factor
            A = A[:q, :q]
        assert factor is not None, "rows that are wide have a basis, or a factor that is not"
        return FactoredMatrix(factor, A)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `factor`, `center` and `basis` to a safetensors file, where they are not None.

        Raises:
            InputError: the file cannot be written.
        """
        found = {"factor": self.factor, "center": self.center, "basis": self.basis}
        with replacing("folder", Path(path)) as (new,):
            write_tensors(new, {name: t for name, t in found.items() if t is not None})


def factor_of(M: FactoredMatrix) -> Tensor:
    """Return R (r x d, float64) with M = R'R: W itself for W'W, else L'W with S = LL'.

    >>> R = factor_of(FactoredMatrix(torch.ones(1, 3), torch.full((1, 1), 4.0)))
    >>> R.abs().tolist()
    [[2.0, 2.0, 2.0]]
    """
    W = M.weight.W.double() * M.weight.unit
    if M.S is None:
        return W
    values, V = torch.linalg.eigh(M.S.double())
    R: Tensor = (V * values.clamp(min=0).sqrt()).T @ W
    return R


def _images(H: Tensor, factor: Tensor | None) -> Tensor:
    rows = H.detach().to("cpu", torch.float64)
    return rows if factor is None else rows @ factor.T
