"""W'SW of few rows: the Gram matrix of their gradients."""

from functools import cached_property

import torch
from torch import Tensor

from nfa.common.scale import unit_of
from nfa.features.factored import FactoredMatrix
from nfa.features.weight import Weight, product


class RowsMatrix(FactoredMatrix):
    """M = W'D'DW = G'G with G = DW: every product is of N k d or N^2 k operations, and nothing of size k x k is made.

    It is the matrix W'W of the "weight" G, so that `weight` is G, and `of` is W.

    Args:
        of: W (k x d).
        D: Shape (N, k).
        first: The matrix of D's first rows, whose products serve again.

    >>> M = RowsMatrix(Weight(torch.eye(2)), torch.tensor([[3.0, 4.0]]))
    >>> M.trace(), M.top(1)[0].tolist()
    (25.0, [25.0])
    """

    def __init__(self, of: Weight, D: Tensor, first: "RowsMatrix | None" = None) -> None:
        self.of, self.D, self._first = of, D, first
        self.unit = unit_of(D)
        self.rows = (D / self.unit).to(of.W)
        self.G: Tensor = self._after(product(self._new_rows, of.W.T), None if first is None else first.G)
        super().__init__(Weight(self.G, self.unit * of.unit, self.G.device))
        self.G_unit = unit_of(self.G)

    def __repr__(self) -> str:
        """Show sizes."""
        return f"FactoredMatrix(W'SW by {len(self.D)} rows, d={self.d}, k={self.k})"

    @property
    def _new_rows(self) -> Tensor:
        return self.rows if self._first is None else self.rows[len(self._first.rows) :]

    def _after(self, new: Tensor, old: Tensor | None) -> Tensor:
        """Return results of the first rows and of the others below each other."""
        if old is None or self._first is None:
            return new
        return torch.cat([old * (self._first.unit / self.unit), new])

    @cached_property
    def cross(self) -> Tensor:
        """GW' = DC (N x k), in the units of `rows` and of W."""
        new = self.G if self._first is None else self.G[len(self._first.G) :]
        return self._after(product(new, self.of.W), None if self._first is None else self._first.cross)

    @property
    def in_unit(self) -> float:
        """<C, D'D> = |G|^2, in the units of W and `rows`."""
        return self.relative_trace * self.G_unit**2

    def is_over(self, weight: Weight) -> bool:
        """Return whether the matrix is made from this weight."""
        return self.of is weight or torch.equal(self.of.W, weight.W)

    def relative_inner(self, other: FactoredMatrix) -> float:
        """Return <M, N> as a multiple of both matrices' `scale`; with the NFM of the same weight |GW'|^2."""
        if other.weight is self.of and other.S is None:
            return float(torch.linalg.vecdot(self.cross, self.cross).sum(dtype=torch.float64)) / self.G_unit**2
        return super().relative_inner(other)

    @cached_property
    def core(self) -> Tensor:
        """The smaller one of GG' and G'G, float64."""
        # In float64, so that small eigenvalues are not lost in the rounding of rows that are much larger.
        G = self.weight.W.double()
        return G @ G.T if self.d >= len(G) else G.T @ G

    @cached_property
    def images(self) -> Tensor:
        """Wu for each eigenvector u."""
        values, V = self.eigen
        if self.d < len(self.G):
            return self.of.W @ V.to(self.of.W.dtype)
        return (self.cross.T @ V.to(self.cross.dtype)) / (values.sqrt() * self.G_unit)

    @property
    def k(self) -> int:
        """Entries of a row of D."""
        return self.of.k

    def _leading(self, r: int) -> tuple[Tensor, Tensor]:
        values, V = (part[..., :r] for part in self.eigen)
        G = self.weight.W
        return values, V if self.d < len(G) else (G.T @ V.to(G.dtype)).double() / values.sqrt()

    def turned(self, O: Tensor) -> "RowsMatrix":  # noqa: E741 (the paper's letter)
        """Return W'OD'DO'W for an orthogonal O (k x k, float64)."""
        return RowsMatrix(self.of, self.D.double() @ O.to(self.D.device).T)

    def plus(self, B: Tensor) -> "RowsMatrix":
        """Return W'(D'D + B'B)W, B of shape (c, k)."""
        return RowsMatrix(self.of, torch.cat([self.D, B.to(self.D.dtype)]), self)
