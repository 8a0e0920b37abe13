"""Exact leave-one-out predictions of kernel ridge regression with a fixed kernel, for many ridges at once."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from nfa.common.scale import power_of_two, relative


def leave_one_out(
    K: Tensor, Y: Tensor, weights: Tensor | None, ridges: Sequence[float], centered: bool = False
) -> Iterator[Tensor]:
    """Yield for each ridge the prediction for every row by a machine fitted without it, shape (n, c).

    With A = W^(1/2) K W^(1/2) + ridge I and W the rows' weights: y_i - f_(-i)(x_i) = [A^-1 W^(1/2) y]_i /
    (w_i^(1/2) [A^-1]_ii). It is linear in y. So where each machine takes off the mean m_i of its own rows, y - m_i 1
    stands for y, and [A^-1 W^(1/2) 1]_i is one more column. One eigendecomposition serves all ridges. It is no estimate
    if the kernel itself has seen y, as with an updated M. It is in float64, since small eigenvalues count when the
    ridge is small.

    Args:
        K: Symmetric, positive semidefinite, shape (n, n).
        Y: Shape (n, c).
        weights: Shape (n,), above 0; None for 1.
        ridges: Each above 0.
        centered: Each machine takes off the weighted mean of its rows' targets, and adds it to what it predicts.

    >>> [f] = leave_one_out(torch.eye(2), torch.tensor([[1.0], [2.0]]), None, [1.0])
    >>> f.flatten().abs().max() < 1e-6  # no row says anything of the other
    tensor(True)
    """
    dtype, K, Y = Y.dtype, K.double(), Y.double()
    root = torch.ones_like(Y[:, :1]) if weights is None else relative(weights).sqrt()[:, None]
    # In units of the weights, so that no sum of them overflows.
    unit = 1.0 if weights is None else power_of_two(weights)
    values, V = torch.linalg.eigh(K if weights is None else K * root * root.T)
    values = values.clamp(min=0)
    means = left_out_means(Y, root) if centered else torch.zeros_like(Y)
    VY, V1 = V.T @ (Y * root), V.T @ root
    # What does not depend on y for all ridges at once, so that V passes through the processor once.
    inverses = torch.stack([1 / (values + ridge / unit) for ridge in ridges], 1)
    of_one, diagonals = V @ (V1 * inverses), (V * V) @ inverses
    for number, inverse in enumerate(inverses.T):
        # [A^-1 W^(1/2) (y - m_i 1)]_i
        solved = V @ (VY * inverse[:, None]) - means * of_one[:, number, None]
        residual = solved / diagonals[:, number, None]
        yield (Y - residual / root).to(dtype)


def left_out_means(Y: Tensor, root: Tensor) -> Tensor:
    """Return for each row the weighted mean of the others' targets, (n, c); 0 where there are no others.

    Args:
        Y: Shape (n, c), float64.
        root: Square roots of the weights, (n, 1).

    >>> left_out_means(torch.tensor([[1.0], [2.0], [6.0]]), torch.ones(3, 1)).flatten().tolist()
    [4.0, 3.5, 1.5]
    """
    if len(Y) == 1:
        return torch.zeros_like(Y)
    weights = root.square()
    mean = (weights * Y).sum(0) / weights.sum()
    # Around the mean, so that nothing large cancels. Beside a row that is all of the weight, the others count nothing.
    others = weights.sum() - weights
    return torch.where(others > 0, mean - weights * (Y - mean) / others.where(others > 0, 1), mean)
