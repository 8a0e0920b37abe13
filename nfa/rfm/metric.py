"""The feature matrix M of a kernel, as coordinates in which it is the identity."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nfa.common.errors import InputError
from nfa.rfm.moments import Moments
from nfa.rfm.plain import plain
from nfa.rfm.points import Points

ROUNDED = 1e-4
"""A matrix with an eigenvalue below minus this share of the largest is not positive semidefinite. Rounding makes
smaller ones negative: in an AGOP of float32, or by d roundings of a d x d matrix's dtype where that is more."""
NEGATIVE = 1e-13
"""Eigenvalues below minus this share of the largest are set to 0, in M and in a returned AGOP."""


@plain
@dataclass(frozen=True, eq=False)
class Metric:
    """The distance r^2 = (x - z)'M(x - z), computed from rows F (x - center) / unit with F = (M / size)^(1/2).

    With `scales` s, M is that of scaled rows x / s, entry by entry, and so are F, `unit` and `terms`; `center` and
    `in_columns` are of x itself.

    Args:
        M: Float64, (d, d), or (d,) for a diagonal matrix; exactly symmetric and positive semidefinite.
        center: Subtracted from every row, (d,); distances do not depend on it, but rounding does.
        unit: Every entry is divided by it, so that no square overflows.
        root: F, of M's shape; None for the identity.
        size: The largest entry of M.
        terms: As for `Points`.
        basis: V (d, q), orthonormal columns, where M is V M V' with the q x q matrix above; None for M itself.
        scales: What columns are divided by first, (d,), above 0; None for 1.
    """

    M: Tensor
    center: Tensor
    unit: float
    root: Tensor | None
    size: float
    terms: Tensor | None = None
    basis: Tensor | None = None
    scales: Tensor | None = None

    @classmethod
    def of(
        cls,
        M: Tensor,
        center: Tensor,
        unit: float = 1.0,
        spread: Tensor | None = None,
        scales: Tensor | None = None,
    ) -> "Metric":
        """Return the metric of M, which must be symmetric and positive semidefinite (see `checked_matrix`).

        Args:
            M: Float64, (d, d) or (d,).
            center: Float64, (d,).
            unit: Every entry is divided by it.
            spread: Mean squares of the columns of (x - center) / unit, (d,); None for 0.
            scales: What columns are divided by first.
        """
        size = float(M.diagonal().max() if M.ndim == 2 else M.max())
        if size <= 0:
            return cls(M, center, unit, torch.zeros_like(M), 1.0, scales=scales)
        shape = M / size
        if M.ndim == 2 and torch.equal(shape, torch.diag(shape.diagonal())):
            shape = shape.diagonal()
        if shape.ndim == 1:
            M = M if bool((shape >= 0).all()) else M.clamp(min=0)
            root = None if bool((shape == 1).all()) else shape.clamp(min=0).sqrt()
            return cls(M, center, unit, root, size, scales=scales)
        values, V = torch.linalg.eigh(shape)
        root = spectral_power(values, V, 0.5)
        if values[0] < -NEGATIVE * values[-1]:
            M = size * spectral_power(values, V, 1.0)
        return cls(M, center, unit, root, size, None if spread is None else root.square() @ spread, scales=scales)

    @property
    def shape(self) -> Tensor:
        """Return M with a largest entry of 1."""
        return self.M / self.size

    @property
    def length(self) -> float:
        """Return the length of one unit of the rows' distance: r = length |z - z'|."""
        return math.sqrt(self.size) * self.unit

    def in_columns(self, A: Tensor) -> Tensor:
        """Return a matrix of scaled rows, (d, d) or (d,), M or an AGOP, as the one of rows x.

        (x - z)'A(x - z) and J'J are in the units of x then.
        """
        if self.scales is None:
            return A
        return A / (self.scales.square() if A.ndim == 1 else self.scales[:, None] * self.scales)

    def rows(self, X: Tensor) -> Tensor:
        """Return rows z of X, in X's dtype; computed in float64, since F may remove nearly all of their length."""
        rows = X - self.center
        if self.scales is not None:
            rows.div_(self.scales)
        rows.div_(self.unit)
        if self.basis is not None:
            rows = rows @ self.basis
        if self.root is not None:
            rows = rows * self.root if self.root.ndim == 1 else rows @ self.root
        return rows.to(X.dtype)

    def points(self, X: Tensor) -> Points:
        """Return `rows`, with the sizes of the terms that they are sums of."""
        return Points(self.rows(X), self.terms)

    def pulled(self, G: Tensor) -> Tensor:
        """Return gradients with respect to x / unit from those with respect to z, (..., d), float64."""
        if self.root is not None:
            G = G * self.root if self.root.ndim == 1 else G @ self.root
        if self.basis is not None:
            G = G @ self.basis.T
        return G if self.scales is None else G / self.scales

    def pull(self, moments: Moments) -> tuple[Tensor, Tensor]:
        """Return `outer` and `sums` with respect to x / scales / unit from those of z, float64, symmetric."""
        outer, sums, root = moments.outer.double(), moments.sums.double(), self.root
        if root is not None and root.ndim == 1:
            outer, sums = outer * (root**2 if outer.ndim == 1 else root[:, None] * root), sums * root
        elif root is not None:
            outer, sums = root @ outer @ root, sums @ root
        if self.basis is not None:
            outer, sums = self.basis @ outer @ self.basis.T, sums @ self.basis.T
        return outer if outer.ndim == 1 else (outer + outer.T) / 2, sums


def matrix_power(M: Tensor, alpha: float) -> Tensor:
    """Return M^alpha of a positive semidefinite matrix, (d, d), or of a diagonal one, (d,).

    An eigenvalue of 0 that rounding has moved counts 0: 1e-17 to the power 0.1 would be 0.02.

    >>> matrix_power(torch.tensor([4.0, 9.0]), 0.5).tolist()
    [2.0, 3.0]
    """
    if M.ndim == 1:
        return M.clamp(min=0).pow(alpha)
    values, V = torch.linalg.eigh(M)
    return spectral_power(values, V, alpha)


def spectral_power(values: Tensor, V: Tensor, alpha: float) -> Tensor:
    """Return V diag(values^alpha) V', exactly symmetric; eigenvalues up to d roundings of the largest count 0.

    Args:
        values: Eigenvalues, ascending, (d,).
        V: Eigenvectors, (d, d).
        alpha: The power.
    """
    kept = values > len(values) * torch.finfo(values.dtype).eps * values[-1]
    V, values = V[:, kept], values[kept]
    power: Tensor = (V * values.pow(alpha)) @ V.T
    return (power + power.T) / 2


def semidefinite(M: Tensor) -> Tensor:
    """Return a symmetric matrix (d, d) with negative eigenvalues set to 0; M itself if it has none beyond rounding.

    >>> semidefinite(torch.tensor([[1.0, 0.0], [0.0, -1e-6]], dtype=torch.float64)).tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """
    size = M.diagonal().max()
    if not bool(torch.isfinite(size)) or size <= 0:
        return M
    shape = M / size
    # Far cheaper than an eigendecomposition, and usually enough.
    _, failed = torch.linalg.cholesky_ex(shape + NEGATIVE * torch.eye(len(M)).to(M))
    if not bool(failed):
        return M
    values, V = torch.linalg.eigh(shape)
    return size * spectral_power(values, V, 1.0)


def checked_matrix(argument: str, M: Tensor, d: int) -> Tensor:
    """Return a feature matrix in float64, exactly symmetric, after checking that it is one for d features.

    Args:
        argument: Its name in messages.
        M: Shape (d, d), or (d,) for a diagonal matrix; in the dtype that it was computed in, if possible.
        d: The number of features.

    Raises:
        InputError: the wrong shape, not finite, not symmetric, or an eigenvalue below 0 by more than rounding.

    >>> checked_matrix("M_init", torch.tensor([[2.0, 1.0], [1.0, 2.0]]), 2).dtype
    torch.float64
    """
    if M.shape not in ((d, d), (d,)):
        raise InputError(argument, f"shape {tuple(M.shape)}, expected ({d}, {d}), or ({d},) for a diagonal matrix")
    if M.is_complex():
        raise InputError(argument, "complex numbers, expected real ones")
    share = max(ROUNDED, d * torch.finfo(M.dtype).eps) if M.is_floating_point() else ROUNDED
    M = M.detach().double()
    if not bool(torch.isfinite(M).all()):
        raise InputError(argument, "holds NaN or infinity; every entry must be finite")
    values = M
    if M.ndim == 2:
        if float((M - M.T).abs().max()) > share * float(M.abs().max()):
            raise InputError(argument, "not symmetric")
        M = M / 2 + M.T / 2
        values = torch.linalg.eigvalsh(M)
    least = float(values.min())
    if least < -share * float(values.max()):
        raise InputError(argument, f"not positive semidefinite; its least eigenvalue is {least:.3g}")
    return M
