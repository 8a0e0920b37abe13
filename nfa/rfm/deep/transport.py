"""Carry a feature matrix from one set of features to another, of the same samples."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from nfa.common.checks import number
from nfa.common.errors import InputError
from nfa.features.polar import negligible
from nfa.rfm.network import single_rows
from nfa.rfm.start import WeightStart


def carried(R: Tensor, H: Tensor, X: Tensor, ridge: float) -> tuple[Tensor, float]:
    """Return the factor of M = RR', a matrix on rows h, in the coordinates of other rows x of the same samples.

    Ridge regression with both sides centered gives T (p x d) with h ~ T'x. So h'Mh ~ x'(TMT')x, and the factor is TR.
    The ridge is a share of the mean diagonal entry of X'X; with 0, T is the least-squares solution of least norm. It is
    computed from an SVD of X, at a cost of n^2 p for a layer wider than n.

    Args:
        R: Shape (d, m).
        H: Rows h, shape (n, d).
        X: Rows x, shape (n, p).
        ridge: At least 0.

    Returns:
        TR (p x m, float64), and the share of h'Mh's variance that x explains, at most 1; NaN where it does not vary.

    >>> X = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> TR, share = carried(torch.eye(2), X @ torch.tensor([[2.0, 0.0], [1.0, 1.0]]), X, ridge=0.0)
    >>> bool(torch.allclose(TR, torch.tensor([[2.0, 0.0], [1.0, 1.0]]).double())), round(share, 9)
    (True, 1.0)
    """
    X = X.double()
    wanted = H.to(X) @ R.to(X)
    X, wanted = X - X.mean(0), wanted - wanted.mean(0)
    U, s, Vt = torch.linalg.svd(X, full_matrices=False)
    lam = ridge * float((s**2).sum()) / X.shape[1]
    kept = s > negligible(X.dtype, *X.shape) * s.amax()
    U, s, Vt = U[:, kept], s[kept], Vt[kept]
    found = U.T @ wanted
    shrunk = s / (s**2 + lam)
    total = float((wanted**2).sum())
    residual = float(((wanted - U @ ((s * shrunk)[:, None] * found)) ** 2).sum())
    return Vt.T @ (shrunk[:, None] * found), 1 - residual / total if total > 0 else math.nan


class Carried:
    """The first M of each machine, made when the machine's rows are known: the network's M, carried to these rows.

    Args:
        starts: By the network's layer, its M.
        rows: By the network's layer, the rows h that reach it, n x 1 x d.
        ridge: Of the regression; see `carried`.

    Attributes:
        matrices: The matrices carried so far.

    Raises:
        InputError: a ridge below 0.
    """

    def __init__(self, starts: Mapping[str, WeightStart], rows: Mapping[str, Tensor], ridge: float) -> None:
        self.matrices: list[Tensor] = []
        self._starts, self._rows, self._ridge = starts, rows, number("transport_ridge", ridge)
        self._names, self._shares = list(starts), list[dict[str, Any]]()

    def __call__(self, place: int, x: Tensor) -> Tensor:
        """Return the first M (p x p) of a machine on rows x (n x p)."""
        name = self._names[place]
        H = single_rows(self._rows[name], name)
        TR, share = carried(self._starts[name].factor, H, x, self._ridge)
        if not bool(TR.any()):
            raise InputError("net", f"layer {name} sees the same for every sample (a dead layer); no M can be carried")
        self._shares.append({"layer": place, "name": name, "share": share})
        self.matrices.append(TR @ TR.T)
        return self.matrices[-1]

    def table(self) -> pd.DataFrame:
        """Return for each layer the share of its M's variance that the machine's rows explain."""
        return pd.DataFrame(self._shares)
