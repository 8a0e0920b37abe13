"""The units of rows' columns: standard deviations, and what columns are divided by."""

import torch
from torch import Tensor

from nfa.common.scale import relative

CONSTANT = 16
"""A column whose deviation is below this many roundings of its largest entry is constant, but for rounding."""


def deviations(X: Tensor, weights: Tensor | None) -> Tensor:
    """Return the standard deviations of the columns of X (n x d), each row counting by its weight; float64, (d,).

    >>> deviations(torch.tensor([[1.0, 5.0], [3.0, 5.0]]), None)
    tensor([1., 0.], dtype=torch.float64)
    """
    largest = X.abs().amax(0).double()
    unit = largest.where(largest > 0, 1)
    rows = X.double() / unit
    shares = torch.ones_like(rows[:, 0]) if weights is None else relative(weights)
    shares = shares / shares.sum()
    found = (shares @ (rows - shares @ rows).square_()).sqrt()
    return torch.where(found > CONSTANT * torch.finfo(X.dtype).eps, found * unit, 0)


def column_scales(X: Tensor, weights: Tensor | None) -> Tensor:
    """Return what the columns of X are divided by: their deviations; 1 where all entries are 0 or 1, or the same.

    >>> column_scales(torch.tensor([[1.0, 1.0], [5.0, 0.0]]), None)
    tensor([2., 1.], dtype=torch.float64)
    """
    found = deviations(X, weights)
    binary = ((X == 0) | (X == 1)).all(0)
    return found.where((found > 0) & ~binary, 1)
