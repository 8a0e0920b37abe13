"""Kernel ridge regression with the whole kernel matrix in memory, by Cholesky."""

import math
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from nfa.common.warned import SingularKernelWarning

NOISE = 8
"""Eigenvalues of an n x n kernel matrix are known up to this many times sqrt(n) roundings of its entries."""
HEAVIEST = 1e6
"""In a singular system a weight counts as at most this many times the median; the row's target is met either way."""


Report = Callable[[str], None]
"""Called with a message that a system is singular, and what was done instead."""


def warn_singular(message: str) -> None:
    """Warn of a singular system, with what avoids it."""
    warnings.warn(f"{message}. A larger ridge avoids this.", SingularKernelWarning, stacklevel=3)


def solve_dense(
    K: Tensor,
    ridge: Tensor,
    Y: Tensor,
    out: Tensor | None = None,
    weights: Tensor | None = None,
    report: Report = warn_singular,
) -> Tensor:
    """Return a with (K + diag(ridge)) a = Y.

    It is solved by Cholesky in K's dtype, or in float64 where that has too few digits. If the matrix is singular to the
    rounding of K's own entries, as where a row is given twice, a warning says so, and the solution of least norm is
    returned: eigenvalues below that rounding are left out.

    The least norm is that of W^(1/2) (K + diag(ridge)) W^(1/2), with W the rows' weights. So the prediction for equal
    rows with different targets is their weighted mean, and rows of almost no weight change nothing.

    Args:
        K: Symmetric, positive semidefinite, shape (n, n); the ridge is added to its diagonal, in place.
        ridge: Shape (n,), at least 0.
        Y: Shape (n, c).
        out: Memory (n, n), not K's own, that may be used for the factor.
        weights: Of the rows, shape (n,), above 0; None for 1.
        report: Called with a message about a singular system, instead of a warning.

    >>> solve_dense(torch.eye(2), torch.ones(2), torch.tensor([[2.0], [4.0]])).tolist()
    [[1.0], [2.0]]
    """
    seen = ridge <= K.diagonal()  # rows whose diagonal entry is not lost in the ridge
    K.diagonal().add_(ridge)
    # The norm of a matrix of independent errors grows with the root of n.
    noise = NOISE * math.sqrt(len(K)) * torch.finfo(K.dtype).eps
    for dtype in dict.fromkeys((K.dtype, torch.float64)):
        A = K.to(dtype)
        # In column order, as LAPACK needs it, or else the factor is copied. A is symmetric, so a copy of it is in that
        # order already.
        factor = (torch.empty_like(A) if out is None or dtype != K.dtype else out).copy_(A).mT
        info = torch.empty((), dtype=torch.int32, device=K.device)
        torch.linalg.cholesky_ex(factor, out=(factor, info))
        # A pivot within rounding of 0 is noise, and must not divide. Each is compared with its own row's entry, since
        # the rounding of entries and of their elimination is relative to the entries of their rows.
        floor = max(noise, len(A) * torch.finfo(dtype).eps)
        if int(info) == 0 and bool((factor.diagonal().square() > floor * A.diagonal()).all()):
            half = torch.linalg.solve_triangular(factor, Y.to(dtype), upper=False)
            a: Tensor = torch.linalg.solve_triangular(factor.mT, half, upper=True)
            return a.to(K.dtype)
    root = torch.ones_like(A.diagonal())
    if weights is not None and bool(seen.any()):
        w = weights.to(A.dtype)
        root = (w / w[seen].median()).clamp(max=HEAVIEST).sqrt()
    del factor  # an eigendecomposition takes more memory than all before
    A = A * root * root[:, None]
    values, V = torch.linalg.eigh(A)
    # Like the pivots, each is compared with the entries of the rows that it is made of.
    kept = values > torch.clamp(noise * (A.diagonal() @ V.square()), min=len(A) * torch.finfo(A.dtype).eps * values[-1])
    V, values = V[:, kept], values[kept]
    report(
        f"the kernel matrix of {len(A):,} rows plus ridge is singular (rank {len(values):,}); "
        "took the solution of least norm"
    )
    return (root[:, None] * (V @ (V.T @ (root[:, None] * Y) / values[:, None]))).to(K.dtype)
