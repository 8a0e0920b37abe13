"""Kernel ridge regression with the whole kernel matrix in memory, by Cholesky."""

import math
import warnings

import torch
from torch import Tensor

NOISE = 8
"""Roundings of the kernel matrix's entries, times the root of their number in a row, that its spectrum is known to."""


class SingularKernelWarning(UserWarning):
    """The kernel matrix plus ridge is singular to rounding; the message says what was done instead."""


def solve_dense(K: Tensor, ridge: Tensor, Y: Tensor, out: Tensor | None = None) -> Tensor:
    """Return a with (K + diag(ridge)) a = Y.

    By Cholesky in K's dtype; where that is too short for it, in float64; where the matrix is singular to the rounding
    of K's own entries, the solution of least norm, with a warning: what lies below that rounding, as of copies of a
    row that came out differently in their last digit, is not divided by.

    Args:
        K: Symmetric, positive semidefinite, shape (n, n); the ridge is added to its diagonal in place, and stays.
        ridge: Shape (n,), at least 0.
        Y: Shape (n, c).
        out: Memory (n, n) that may be used for the factor.

    >>> solve_dense(torch.eye(2), torch.ones(2), torch.tensor([[2.0], [4.0]])).tolist()
    [[1.0], [2.0]]
    """
    K.diagonal().add_(ridge)
    # As the norm of a matrix of independent errors grows with the root of n.
    noise = NOISE * math.sqrt(len(K)) * torch.finfo(K.dtype).eps
    for dtype in dict.fromkeys((K.dtype, torch.float64)):
        A = K.to(dtype)
        # Column by column, as LAPACK wants it: otherwise the factor is copied.
        factor = (torch.empty_like(A) if out is None or dtype != K.dtype else out).mT
        info = torch.empty((), dtype=torch.int32, device=K.device)
        torch.linalg.cholesky_ex(A, out=(factor, info))
        # A pivot within rounding of 0 is none: what it would divide by is noise. Each against its own row's entry, as
        # rounding of entries and of their elimination is relative to those of the rows they belong to.
        floor = max(noise, len(A) * torch.finfo(dtype).eps)
        if int(info) == 0 and bool((factor.diagonal().square() > floor * A.diagonal()).all()):
            half = torch.linalg.solve_triangular(factor, Y.to(dtype), upper=False)
            a: Tensor = torch.linalg.solve_triangular(factor.mT, half, upper=True)
            return a.to(K.dtype)
    values, V = torch.linalg.eigh(A)
    floor = max(noise * float(A.diagonal().max()), len(A) * torch.finfo(A.dtype).eps * float(values[-1]))
    kept = values > floor
    V, values = V[:, kept], values[kept]
    warnings.warn(
        f"the kernel matrix of {len(A):,} rows plus ridge is singular (rank {len(values):,}); "
        "took the solution of least norm. A larger ridge avoids this.",
        SingularKernelWarning,
        stacklevel=2,
    )
    return (V @ ((V.T @ Y.to(A.dtype)) / values[:, None])).to(K.dtype)
