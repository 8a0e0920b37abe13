"""Weights made from feature matrices, with all roots and polar factors from one SVD of W.

W = P diag(s) Q' has the NFM's root Q diag(s) Q' and the polar factor U = PQ': W = U (W'W)^(1/2). A feature
matrix in W's row space is M = Q C Q' with C (r x r); nothing of size d x d is formed for it.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from nfa.common.checks import check_finite
from nfa.common.errors import InputError
from nfa.features.weight import working_dtype


def negligible(dtype: torch.dtype, k: int, d: int) -> float:
    """Return the share of a k x d matrix's largest singular value at or below which a singular value may be rounding.

    eps sqrt(k + d): a matrix of independent roundings, each at most eps / 2 of an entry, has a norm of at most
    about eps / 2 (sqrt k + sqrt d) times the root mean square of the entries.

    >>> negligible(torch.float64, 32, 32) < 1e-14
    True
    """
    return torch.finfo(dtype).eps * math.sqrt(k + d)


def random_directions(d: int, m: int, generator: torch.Generator) -> Tensor:
    """Return m orthonormal columns (d x m, float64), drawn uniformly: with Haar's distribution.

    Source: Mezzadri, arXiv:math-ph/0609050: the Q of a QR decomposition whose R has a positive diagonal.

    >>> V = random_directions(5, 2, torch.Generator().manual_seed(0))
    >>> bool(torch.allclose(V.T @ V, torch.eye(2).double()))
    True
    """
    Q, R = torch.linalg.qr(torch.randn(d, m, dtype=torch.float64, generator=generator, device="cpu"))
    directions: Tensor = Q * R.diagonal().sign()
    return directions


@dataclass(frozen=True, eq=False)
class Spectral:
    """A positive semidefinite matrix by its eigenvectors of nonzero eigenvalue: M = V diag(t^2) V'.

    The roots t are kept instead of the eigenvalues, since squaring costs small ones half of their digits.

    Args:
        vectors: V, orthonormal columns, float64: d x m; or r x m in the coordinates of `basis`.
        roots: t, float64, shape (m,), descending, above 0; none for M = 0.
        basis: Q (d x r, orthonormal columns) where M = Q V diag(t^2) V'Q'.

    >>> M = Spectral.of_factor(torch.tensor([[3.0], [4.0]]))
    >>> round(M.size, 12), round(M.power(0.5).size, 6)
    (5.0, 2.236068)
    """

    vectors: Tensor
    roots: Tensor
    basis: Tensor | None = None

    @classmethod
    def of_factor(cls, R: Tensor, basis: Tensor | None = None) -> "Spectral":
        """Return M = RR', from the SVD of R.

        Args:
            R: d x m; or r x m in the coordinates of `basis`. Singular values at or below `negligible` count as 0.
            basis: Q (d x r), or None.
        """
        R = R.detach().to("cpu", torch.float64)
        if 0 in R.shape:
            return cls(R.new_zeros(len(R), 0), R.new_zeros(0), basis)
        V, t, _ = torch.linalg.svd(R, full_matrices=False)
        kept = t > negligible(R.dtype, *R.shape) * t[0]
        return cls(V[:, kept], t[kept], basis)

    @property
    def rank(self) -> int:
        """The number of eigenvalues that are not 0."""
        return len(self.roots)

    @cached_property
    def size(self) -> float:
        """The square root of M's Frobenius norm: (sum t^4)^(1/4), in the range of t itself."""
        if self.rank == 0:
            return 0.0
        return float(self.roots[0] * (self.roots / self.roots[0]).pow(4).sum() ** 0.25)

    def scaled(self, size: float) -> "Spectral":
        """Return the multiple of M whose `size` is this one; 0 stays 0."""
        return self if self.rank == 0 else replace(self, roots=self.roots / self.size * size)

    def factor(self) -> Tensor:
        """Return R (d x m, float64) with M = RR'."""
        directions = self.vectors if self.basis is None else self.basis @ self.vectors
        return directions * self.roots

    def power(self, alpha: float) -> "Spectral":
        """Return M^alpha on M's range.

        Raises:
            InputError: alpha is not above 0.
        """
        if not alpha > 0:
            raise InputError("alpha", f"got {alpha}, expected a power above 0")
        return replace(self, roots=self.roots**alpha)


class Polar:
    """One SVD of a weight, W = P diag(s) Q', and every weight that takes its directions from it.

    For a feature matrix M, `weight` is U_M M^(1/2), with U_M the polar factor of W M^(1/2). Of all weights whose NFM is
    M, it is the nearest to W in the Frobenius norm (orthogonal Procrustes). For M = W'W it is W itself.

    Singular values at or below `negligible` of the largest count as 0, by the dtype of W (float32 at least).

    Args:
        W: Shape (k, d), any floating-point dtype and device; the SVD is float64 on the CPU.

    Attributes:
        P: k x r, orthonormal columns.
        s: The r singular values that are not 0, descending.
        Q: d x r, orthonormal columns: a basis of W's row space.

    Raises:
        InputError: W is not two-dimensional, or not finite.

    >>> W = torch.tensor([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    >>> polar = Polar(W)
    >>> polar.rank, bool(torch.allclose(polar.weight(polar.nfm), W.double()))
    (2, True)
    """

    def __init__(self, W: Tensor) -> None:
        if W.ndim != 2:
            raise InputError("W", f"shape {tuple(W.shape)}, expected a matrix (k, d)")
        check_finite("W", W)
        self.k, self.d = W.shape
        self._dtype = working_dtype(W)
        P, s, Qt = torch.linalg.svd(W.detach().to("cpu", torch.float64), full_matrices=False)
        kept = s > negligible(self._dtype, self.k, self.d) * s.amax()
        self.P, self.s, self.Q = P[:, kept], s[kept], Qt[kept].T

    @property
    def rank(self) -> int:
        """The rank r of W."""
        return len(self.s)

    @property
    def factor(self) -> Tensor:
        """The polar factor U = PQ' (k x d), a partial isometry."""
        U: Tensor = self.P @ self.Q.T
        return U

    @property
    def nfm(self) -> Spectral:
        """The NFM W'W."""
        return Spectral(self._identity(), self.s, self.Q)

    @property
    def projector(self) -> Spectral:
        """QQ', the projector on W's row space."""
        return Spectral(self._identity(), torch.ones_like(self.s), self.Q)

    def agop(self, S: Tensor) -> Spectral:
        """Return W'SW.

        With S = LL', its factor in Q's coordinates is diag(s) P'L. Only eigenvalues of S at or below `negligible` of
        the largest count as 0, since S is a measured sum; multiplying by s costs no digits.

        Args:
            S: Symmetric and positive semidefinite, k x k.

        Raises:
            InputError: another shape.
        """
        if S.shape != (self.k, self.k):
            raise InputError("S", f"shape {tuple(S.shape)}, expected {(self.k, self.k)} for this W")
        values, vectors = torch.linalg.eigh(S.detach().to("cpu", torch.float64))
        kept = values > max(0.0, negligible(self._dtype, self.k, self.k) * float(values[-1]))
        L = vectors[:, kept] * values[kept].sqrt()
        return Spectral.of_factor(self.s[:, None] * (self.P.T @ L), self.Q)

    def projected(self, R: Tensor) -> Spectral:
        """Return QQ'RR'QQ', a matrix M = RR' projected on W's row space.

        Args:
            R: d x m; for another weight's NFM its transpose.

        Raises:
            InputError: another d.
        """
        return Spectral.of_factor(self.Q.T @ self._factor(R), self.Q)

    def random(self, generator: torch.Generator) -> Spectral:
        """Return a matrix of the NFM's spectrum whose eigenvectors are drawn uniformly from W's row space."""
        return Spectral(random_directions(self.rank, self.rank, generator), self.s, self.Q)

    def weight(self, M: Spectral | Tensor) -> Tensor:
        """Return U_M M^(1/2) (k x d, float64), U_M the polar factor of W M^(1/2).

        With M^(1/2) = V diag(t) V' and the SVD diag(s) Q'V diag(t) = A diag(.) B': U_M = P A B' V'. The rank of
        W M^(1/2) is the number of principal angles between M's range and W's row space that are not right angles.
        If M's range lies in W's row space, the new weight's NFM is M. Otherwise the part of M orthogonal to it is lost:
        the NFM is M^(1/2) E M^(1/2), with E the projector on the row space of W M^(1/2).

        Args:
            M: In its own scale (see `Spectral.scaled`), of any rank; or a factor R (d x m) with M = RR'.

        Raises:
            InputError: another d.
        """
        if isinstance(M, Tensor):
            M = Spectral.of_factor(self._factor(M))
        if M.rank == 0 or self.rank == 0:
            return torch.zeros(self.k, self.d, dtype=torch.float64)
        right = M.vectors if M.basis is None else M.basis @ M.vectors
        if M.basis is self.Q:
            V, rank = M.vectors, M.rank
        else:
            V = self.Q.T @ right
            rank = int((torch.linalg.svdvals(V) > negligible(self._dtype, self.k, self.d)).sum())
        # Relative to the largest, so that no product leaves the range of float64.
        A, _, Bt = torch.linalg.svd((self.s / self.s[0])[:, None] * V * (M.roots / M.roots[0]), full_matrices=False)
        new: Tensor = self.P @ (A[:, :rank] @ (Bt[:rank] * M.roots)) @ right.T
        return new

    def _identity(self) -> Tensor:
        return torch.eye(self.rank, dtype=torch.float64, device="cpu")

    def _factor(self, R: Tensor) -> Tensor:
        if R.ndim != 2 or len(R) != self.d:
            raise InputError("R", f"shape {tuple(R.shape)}, expected ({self.d}, m) for this W")
        return R.detach().to("cpu", torch.float64)
