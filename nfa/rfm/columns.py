"""The units of columns: means, standard deviations, and what columns are divided by."""

import torch
from torch import Tensor

from nfa.common.scale import relative

CONSTANT = 16
"""A column whose deviation is below this many roundings, in float64, of its largest entry is constant."""


def means_and_deviations(X: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return means and standard deviations of the columns of X (n x d), each row counting by its weight; float64, (d,).

    The mean of a constant column is its entry, and its deviation 0.

    >>> means_and_deviations(torch.tensor([[1.0, 5.0], [3.0, 5.0]]), None)
    (tensor([2., 5.], dtype=torch.float64), tensor([1., 0.], dtype=torch.float64))
    """
    largest = X.abs().amax(0).double()
    # A power of two, which rounds no entry; divided by it, no sum of squares overflows.
    unit = torch.where(largest > 0, largest / (2 * torch.frexp(largest).mantissa), 1)
    rows = X.double() / unit
    first = rows[0].clone()
    # Beside its first entry a constant column is 0, and a large offset is gone.
    rows -= first
    shares = torch.ones_like(rows[:, 0]) if weights is None else relative(weights)
    shares = shares / shares.sum()
    mean = shares @ rows
    deviation = (shares @ (rows - mean).square_()).sqrt()
    varies = deviation > CONSTANT * torch.finfo(torch.float64).eps * (largest / unit)
    return (first + mean) * unit, torch.where(varies, deviation * unit, 0)


def column_scales(X: Tensor, weights: Tensor | None) -> Tensor:
    """Return what the columns of X are divided by: their deviations; 1 where all entries are 0 or 1, or the same.

    >>> column_scales(torch.tensor([[1.0, 1.0], [5.0, 0.0]]), None)
    tensor([2., 1.], dtype=torch.float64)
    """
    _, found = means_and_deviations(X, weights)
    binary = ((X == 0) | (X == 1)).all(0)
    return found.where((found > 0) & ~binary, 1)
