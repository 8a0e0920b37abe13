"""Sparse rows as arrays: those of many columns as rows of the columns in use alone, and one number for the rest."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from nfa.common.budget import GIB
from nfa.common.errors import InputError
from nfa.rfm.plain import plain


@plain
@dataclass(frozen=True, eq=False)
class Support:
    """The columns in which a training row is not 0. A row becomes its entries there, and the norm of all others.

    Every training row is 0 in the other columns, so that their part of a distance is the same for all of them: a single
    number. So a machine on these short rows is the one on the rows themselves: M is the identity there, or, after
    an update, 0.

    Args:
        columns: Their numbers, ascending, (s,).
        width: The number of all columns, d.
        absolute: The norm is that of l1, as the kernel's distance is.
    """

    columns: NDArray[np.int64]
    width: int
    absolute: bool

    @classmethod
    def of(cls, X: Any, absolute: bool) -> "Support":
        """Return the support of rows X, a CSR matrix.

        >>> Support.of(sparse.csr_array([[0, 3, 0, 0], [0, 0, 0, 1]]), absolute=False).columns.tolist()
        [1, 3]
        """
        return cls(np.unique(X.indices[X.data != 0]).astype(np.int64), int(X.shape[1]), absolute)

    @property
    def size(self) -> int:
        """Entries of a short row, s + 1."""
        return len(self.columns) + 1

    def rows(self, X: Any) -> NDArray[Any]:
        """Return rows X, CSR or an array, as short ones, (m, s + 1).

        >>> Support(np.array([1]), 3, False).rows(sparse.csr_array([[3.0, 5.0, 4.0]])).tolist()
        [[5.0, 5.0]]
        """
        found = np.empty((X.shape[0], self.size), dtype=X.dtype)
        inside = X[:, self.columns]
        found[:, :-1] = inside.toarray() if sparse.issparse(X) else inside
        found[:, -1] = self._norms(self._outside(X))
        return found

    def by_column(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return numbers of the short rows' columns, (s + 1,), as numbers of all columns; the others have the last one.

        >>> Support(np.array([1]), 3, False).by_column(np.array([7.0, 0.5])).tolist()
        [0.5, 7.0, 0.5]
        """
        found = np.full(self.width, values[-1])
        found[self.columns] = values[:-1]
        return found

    def directions(self, V: NDArray[Any]) -> NDArray[Any]:
        """Return vectors of the short rows' space, (..., s + 1), in that of the rows; without the last entry.

        >>> Support(np.array([1]), 3, False).directions(np.array([[7.0, 0.5]])).tolist()
        [[0.0, 7.0, 0.0]]
        """
        found = np.zeros((*V.shape[:-1], self.width), dtype=V.dtype)
        found[..., self.columns] = V[..., :-1]
        return found

    def matrix(self, M: NDArray[Any]) -> NDArray[Any]:
        """Return an M of the short rows as one of the rows: the last entry stands on the diagonal of the others.

        >>> Support(np.array([1]), 2, False).matrix(np.array([[7.0, 0.0], [0.0, 0.5]])).tolist()
        [[0.5, 0.0], [0.0, 7.0]]
        """
        found = np.zeros((self.width, self.width), dtype=M.dtype)
        np.fill_diagonal(found, M[-1, -1])
        found[np.ix_(self.columns, self.columns)] = M[:-1, :-1]
        return found

    def gradients(self, G: NDArray[Any], X: Any) -> NDArray[Any]:
        """Return gradients with respect to rows X from those with respect to the short rows, (m, c, s + 1)."""
        found = self.directions(G)
        if G[..., -1].any():
            outside = self._outside(X)
            norms, entries = self._norms(outside)[:, None], outside.toarray()
            slopes = np.sign(entries) if self.absolute else entries / np.where(norms > 0, norms, 1)
            found[..., self._others] = G[..., -1:] * slopes[:, None, :]
        return found

    @property
    def _others(self) -> NDArray[np.int64]:
        return np.setdiff1d(np.arange(self.width), self.columns, assume_unique=True)

    def _outside(self, X: Any) -> Any:
        """Return the entries in the other columns, CSR."""
        found = sparse.csr_array(X[:, self._others])
        found.sum_duplicates()
        found.eliminate_zeros()
        return found

    def _norms(self, outside: Any) -> NDArray[np.float64]:
        m, sizes = outside.shape[0], np.abs(outside.data.astype(np.float64))
        row = np.repeat(np.arange(m), np.diff(outside.indptr))
        if self.absolute:
            return np.bincount(row, sizes, m).astype(np.float64)
        largest = np.zeros(m)  # taken out, so that no square overflows
        np.maximum.at(largest, row, sizes)
        return largest * np.sqrt(np.bincount(row, (sizes / largest[row]) ** 2, m))


def dense(X: Any, support: Support | None, budget: float, square: bool) -> NDArray[Any]:
    """Return rows X, CSR or an array, as an array: of a support's short rows, if there is one.

    Args:
        X: The rows.
        support: Of the training rows.
        budget: GiB that sparse rows may take.
        square: Whether an M of these rows is needed besides.

    Raises:
        InputError: they would take more.
    """
    rows: Any = X  # scipy's own types tell no shape
    if sparse.issparse(X):
        d = rows.shape[1] if support is None else support.size
        needed = rows.shape[0] * d * rows.dtype.itemsize + (d * d * 8 if square else 0)
        if needed > budget * GIB:
            used = "" if support is None else f", {d - 1:,} of them in use"
            raise InputError(
                "X",
                f"sparse, of {rows.shape[1]:,} columns{used}: takes {needed / GIB:.3g} GiB, beyond memory_budget="
                f"{budget:g}; fewer columns are enough, as sklearn.decomposition.TruncatedSVD makes in a pipeline",
            )
    if support is not None:
        return support.rows(X)
    return np.asarray(rows.toarray() if sparse.issparse(X) else X)
