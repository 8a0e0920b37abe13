"""The matrix W'SW (d x d), which is formed only on request."""

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from nfa.common.checks import positive
from nfa.common.errors import InputError
from nfa.common.notebook import html_table
from nfa.common.scale import unit_of
from nfa.features.polar import Polar
from nfa.features.weight import CUTOFF, SIDE, Weight, product, symmetric


class FactoredMatrix:
    """M = W'SW with W (k x d), and S (k x k) symmetric and positive semidefinite; S = None stands for the identity.

    The NFM is W'W; the AGOP is W'SW with S the mean of delta'delta. Products of matrices are in W's dtype (float32 at
    least), sums and eigendecompositions in float64.

    Args:
        W: The weight, or a `Weight` that several matrices share, so that what depends on W alone is computed once.
        S: Shape (k, k), or None.

    Raises:
        InputError: the shapes do not fit.

    >>> M = FactoredMatrix(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    >>> M.trace(), M.norm(), M.dense().diagonal().tolist()
    (25.0, 18.35755975068582, [9.0, 16.0])
    """

    def __init__(self, W: Tensor | Weight, S: Tensor | None = None) -> None:
        self.weight = W if isinstance(W, Weight) else Weight(W)
        if S is not None:
            if S.shape != (self.weight.k, self.weight.k):
                raise InputError("S", f"shape {tuple(S.shape)}, expected {(self.weight.k, self.weight.k)} for this W")
            S = S.detach().to(self.weight.W.device)
        self._given = S
        self._in_units(None if S is None else S.diagonal())

    def _in_units(self, diagonal: Tensor | None) -> None:
        """Take the unit of S from its diagonal, which has its largest entry.

        Everything below works with W and S divided by their units: M = scale * W'SW of these. Similarities need no
        scale (`relative_...`), whose square may leave float64.
        """
        self._plain = diagonal is None
        self._unit = 1.0 if diagonal is None else unit_of(diagonal)
        self.scale = self.weight.unit * self._unit * self.weight.unit

    @property
    def S(self) -> Tensor | None:
        """S, or None for the identity."""
        return self._given

    @cached_property
    def _S(self) -> Tensor:
        """S in its unit."""
        S = self.S
        assert S is not None
        return S if self._unit == 1.0 else S / self._unit

    def __repr__(self) -> str:
        """Show size and factor."""
        factors = "W'W" if self._plain else "W'SW"
        return f"FactoredMatrix({factors}, d={self.d}, k={self.weight.k})"

    def _repr_html_(self) -> str:
        """Show size, trace and effective rank."""
        facts = [
            ("size", f"{self.d} x {self.d}, of rank {min(self.d, self.weight.k)} at most"),
            ("trace", f"{self.trace():.4g}"),
            ("Frobenius norm", f"{self.norm():.4g}"),
            ("effective rank", f"{self.effective_rank():.4g}"),
        ]
        return html_table(repr(self), ("quantity", "value"), facts)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the dense matrix for `np.asarray`, float64 by default; it is made anew each time.

        >>> import numpy as np
        >>> np.asarray(FactoredMatrix(torch.tensor([[1.0, 2.0]])))
        array([[1., 2.],
               [2., 4.]])
        """
        if copy is False:
            raise ValueError("the dense matrix is made on request, so that it is always a copy")
        found: NDArray[Any] = self.dense().cpu().numpy()
        return found if dtype is None else found.astype(dtype, copy=False)

    @property
    def d(self) -> int:
        """The matrix is d x d."""
        return self.weight.d

    @cached_property
    def compact(self) -> Tensor:
        """A small matrix T with tr M = scale tr T and, for one W, <M1, M2> = scale1 scale2 tr(T1 T2)."""
        return self.weight.compact(None if self._plain else self._S)

    @property
    def seen(self) -> Tensor:
        """WMW' (k x k) as a multiple of `scale`, so that <M, W'S_1W> = <WMW', S_1> for any S_1."""
        W, T = self.weight.W, self.compact
        left, right = (self.weight.gram, T) if self.d >= self.weight.k else (W @ T, W.T)
        return symmetric(self.weight.k, lambda a, b: left[a:b] @ right[:, a:])

    @cached_property
    def core(self) -> Tensor:
        """A small symmetric matrix whose nonzero eigenvalues times `scale` are M's.

        In the basis of `Weight.basis`; without S, the smaller one of WW' and W'W.
        """
        if self._plain:
            return self.compact.double()
        return self.weight.core(self._S, self.compact)

    def plus(self, B: Tensor) -> "FactoredMatrix":
        """Return W'(S + B'B)W, B of shape (c, k), by low-rank updates of what this matrix has computed already."""
        if self.S is None:
            raise InputError("S", "only a matrix with an S of its own can be added to")
        total = torch.addmm(self.S, B.T, B)
        return Raised(self, B, lambda: total, total.diagonal())

    @cached_property
    def relative_trace(self) -> float:
        """The trace of M as a multiple of `scale`."""
        return self.weight.trace if self._plain else float(self.compact.diagonal().sum(dtype=torch.float64))

    def trace(self) -> float:
        """Return tr M."""
        return self.scale * self.relative_trace

    def inner(self, other: "FactoredMatrix") -> float:
        """Return <M, N> = tr(MN), also for another W of the same d.

        Raises:
            InputError: the matrices are of different sizes.
        """
        return self.scale * other.scale * self.relative_inner(other)

    def relative_inner(self, other: "FactoredMatrix") -> float:
        """Return <M, N> as a multiple of both matrices' `scale`.

        Raises:
            InputError: the matrices are of different sizes.
        """
        if self.d != other.d:
            raise InputError("other", f"{other.d} x {other.d}, expected {self.d} x {self.d}")
        dtype = torch.promote_types(self.weight.W.dtype, other.weight.W.dtype)
        dense = self.d < self.weight.k and self.d < other.weight.k
        if self.weight is other.weight or dense:
            left, right = self.compact.to(dtype), other.compact.to(dtype)
            if dense or self._plain or other._plain:
                return sum_of_products(left, right)  # one of them is symmetric
            return trace_of_product(left, right)
        square = self.d <= min(self.weight.k, other.weight.k) and self.weight.gram_kept
        if self._plain and other._plain and square:
            # Each needs half a product, by symmetry, and keeps it.
            return sum_of_products(self.weight.dense.to(dtype), other.weight.dense.to(dtype))
        X = product(self.weight.W.to(dtype), other.weight.W.to(dtype))
        left = X if self._plain else self._S.to(dtype) @ X
        right = X if other._plain else X @ other._S.to(dtype)
        return sum_of_products(left, right)

    @property
    def square(self) -> float:
        """The squared Frobenius norm of M."""
        return self.scale * self.scale * self.relative_square

    @cached_property
    def relative_square(self) -> float:
        """The squared Frobenius norm of M as a multiple of `scale` squared."""
        return self.weight.gram_square if self._plain else max(0.0, self.relative_inner(self))

    def norm(self) -> float:
        """Return the Frobenius norm of M."""
        return self.scale * math.sqrt(self.relative_square)

    def total(self) -> float:
        """Return the sum of all d x d entries, 1'M1."""
        return self.scale * self.relative_total()

    def relative_total(self) -> float:
        """Return the sum of all d x d entries as a multiple of `scale`."""
        ones = self.weight.row_sums
        return float(ones @ (ones if self._plain else self._S.double() @ ones))

    def diagonal(self) -> Tensor:
        """Return the d diagonal entries, float64: column sums of W * (SW)."""
        W = self.weight.W
        SW = W if self._plain else self._S.to(W.dtype) @ W
        return self.scale * (W * SW).sum(0, dtype=torch.float64)

    def __matmul__(self, v: Tensor) -> Tensor:
        """Return Mv for v of shape (d,) or (d, m), float64."""
        W = self.weight.W.double()
        Wv = W @ v.to(W)
        return self.scale * (W.T @ (Wv if self._plain else self._S.double() @ Wv))

    @cached_property
    def eigen(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues of `core` above `CUTOFF` times the largest, descending, and eigenvectors (r x m), float64."""
        values, vectors = torch.linalg.eigh(self.core)
        largest = float(values[-1])
        kept = values > max(CUTOFF * largest, 0.0)
        return values[kept].flip(0), vectors[:, kept].flip(1)

    def rank(self) -> int:
        """Return the number of eigenvalues above `CUTOFF` times the largest."""
        return len(self.eigen[0])

    def effective_rank(self) -> float:
        """Return trace^2 / norm^2, between 1 and the rank; NaN for the zero matrix."""
        return self.relative_trace**2 / self.relative_square if self.relative_square > 0 else math.nan

    def top(self, r: int) -> tuple[Tensor, Tensor]:
        """Return the r largest eigenvalues, descending, and eigenvectors (d x r), float64; fewer at a lower rank."""
        positive("r", r)
        values, vectors = self._leading(r)
        return self.scale * values, vectors

    def _leading(self, r: int) -> tuple[Tensor, Tensor]:
        """Return the same without `scale`."""
        if self._plain:
            values, vectors = self.weight.top(r)
            kept = int((values > max(CUTOFF * float(values[0]), 0.0)).sum())
            return values[:kept], vectors[:, :kept]
        values, V = (part[..., :r] for part in self.eigen)
        return values, V if self.d <= self.weight.k else self.weight.W.double().T @ (self._images(V) / values)

    def power(self, alpha: float) -> "FactoredMatrix":
        """Return M^alpha on M's range.

        Eigenvalues at the level of rounding count as 0 (see `Polar`).

        Raises:
            InputError: alpha is not above 0.
        """
        polar = Polar(self.weight.W)
        M = polar.nfm if self._plain else polar.agop(self._S)
        return FactoredMatrix(self.scale ** (alpha / 2) * M.power(alpha).factor().T)

    def dense(self) -> Tensor:
        """Return the d x d matrix itself, float64."""
        W = self.weight.W.double()
        return self.scale * (W.T @ (W if self._plain else self._S.double() @ W))

    @cached_property
    def images(self) -> Tensor:
        """Wu for each eigenvector u of `eigen`, in some orthonormal coordinates (by columns); of `W` in its unit."""
        values, V = self.eigen
        if not self._plain:
            K = self.weight.basis
        elif self.d < self.weight.k:
            K = self.weight.W
        else:
            return V * values.sqrt()
        return K @ V.to(K.dtype)

    @cached_property
    def sums(self) -> Tensor:
        """1'u for each eigenvector u of `eigen`."""
        values, V = self.eigen
        if self._plain:
            return V.sum(0) if self.d < self.weight.k else V.T @ self.weight.row_sums / values.sqrt()
        return V.sum(0) if self.d <= self.weight.k else self._images(V).T @ self.weight.row_sums / values

    @property
    def k(self) -> int:
        """S is k x k."""
        return self.weight.k

    def turned(self, O: Tensor) -> "FactoredMatrix":  # noqa: E741 (the paper's letter)
        """Return W'OSO'W for an orthogonal O (k x k, float64)."""
        if self.S is None:
            raise ValueError("a matrix without an S has nothing to turn")
        O = O.to(self.S.device)  # noqa: E741
        return FactoredMatrix(self.weight, O @ self.S.double() @ O.T)

    def is_over(self, weight: Weight) -> bool:
        """Return whether the matrix is made from this weight."""
        return self.weight is weight or torch.equal(self.weight.W, weight.W)

    def _images(self, V: Tensor) -> Tensor:
        """Return SKV for an S of its own: W' maps its columns to lam u."""
        return self._S.double() @ (self.weight.basis.double() @ V)


def sum_of_products(A: Tensor, B: Tensor) -> float:
    """Return the sum of A * B elementwise: rows in the tensors' dtype, their sum in float64."""
    return float(torch.linalg.vecdot(A, B).sum(dtype=torch.float64))


def trace_of_product(A: Tensor, B: Tensor) -> float:
    """Return tr(AB), the sum of A * B' elementwise, as `sum_of_products` does.

    >>> trace_of_product(torch.tensor([[1.0, 2.0], [0.0, 3.0]]), torch.tensor([[1.0, 4.0], [5.0, 0.0]]))
    11.0
    """
    # Block by block, since a transpose of the whole leaves the processor's cache; one of a pair stands for both.
    same, total = A is B, 0.0
    for row in range(0, len(A), SIDE):
        for column in range(row if same else 0, len(A), SIDE):
            left = A[row : row + SIDE, column : column + SIDE]
            right = B[column : column + SIDE, row : row + SIDE].T
            total += sum_of_products(left, right) * (2 if same and column > row else 1)
    return total


class Raised(FactoredMatrix):
    """W'(S + B'B)W for a base W'SW: results of the base are updated by products with the low-rank B.

    Args:
        base: W'SW.
        B: Shape (c, k).
        S: Gives the sum S + B'B, which is made when it is first needed.
        diagonal: Its diagonal.
    """

    def __init__(self, base: FactoredMatrix, B: Tensor, S: Callable[[], Tensor], diagonal: Tensor) -> None:
        self.weight = base.weight
        self._base, self._added, self._sum = base, B, S
        self._in_units(diagonal)

    @property
    def S(self) -> Tensor:
        """The sum itself."""
        return self._sum()

    @cached_property
    def _B(self) -> Tensor:
        return (self._added * (self.weight.unit / math.sqrt(self.scale))).to(self.weight.W.dtype)

    @property
    def _ratio(self) -> float:
        return self._base.scale / self.scale

    @cached_property
    def core(self) -> Tensor:
        """The core of the base and what B adds."""
        # In float64, so that small eigenvalues of a small S are not lost in the rounding of a large B'B.
        BK = (self._B @ self.weight.basis).double()
        return torch.addmm(self._base.core, BK.T, BK, beta=self._ratio)

    @cached_property
    def compact(self) -> Tensor:
        """The small matrix of the base and what B adds."""
        if self.weight.d < self.weight.k:
            BW = self._B @ self.weight.W
            return torch.addmm(self._base.compact, BW.T, BW, beta=self._ratio)
        return torch.addmm(self._base.compact, self._B.T, self._B @ self.weight.gram, beta=self._ratio)

    def relative_total(self) -> float:
        """Return the sum of all entries as a multiple of `scale`."""
        added = self._B.double() @ self.weight.row_sums
        return self._ratio * self._base.relative_total() + float(added @ added)
