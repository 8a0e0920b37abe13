"""Exact leave-one-out predictions of kernel ridge regression with a fixed kernel, for many ridges at once."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


def leave_one_out(K: Tensor, Y: Tensor, weights: Tensor | None, ridges: Sequence[float]) -> Iterator[Tensor]:
    """Yield for each ridge the prediction for every row by a machine fitted without it, shape (n, c).

    With A = W^(1/2) K W^(1/2) + ridge I and W the rows' weights: y_i - f_(-i)(x_i) = [A^-1 W^(1/2) y]_i /
    (w_i^(1/2) [A^-1]_ii). One eigendecomposition serves all ridges. It is no estimate if the kernel itself has seen y,
    as with an updated M. It is in float64, since small eigenvalues count when the ridge is small.

    Args:
        K: Symmetric, positive semidefinite, shape (n, n).
        Y: Shape (n, c).
        weights: Shape (n,), above 0; None for 1.
        ridges: Each above 0.

    >>> [f] = leave_one_out(torch.eye(2), torch.tensor([[1.0], [2.0]]), None, [1.0])
    >>> f.flatten().abs().max() < 1e-6  # no row says anything of the other
    tensor(True)
    """
    root = None if weights is None else weights.double().sqrt()[:, None]
    dtype, K, Y = Y.dtype, K.double(), Y.double()
    values, V = torch.linalg.eigh(K if root is None else K * root * root.T)
    values = values.clamp(min=0)
    VY = V.T @ (Y if root is None else Y * root)
    squares = V * V
    for ridge in ridges:
        inverse = 1 / (values + ridge)
        residual = V @ (VY * inverse[:, None]) / (squares @ inverse)[:, None]
        yield (Y - (residual if root is None else residual / root)).to(dtype)
