"""Rows of data in the shape that a network from a file takes."""

import math

from torch import Tensor

from nfa.common.errors import InputError


def fit_rows(x: Tensor, shape: tuple[int | None, ...]) -> Tensor:
    """Return n rows in the shape (n, *shape), whichever way their entries are laid out.

    Args:
        x: Shape (n, ...).
        shape: What the network takes for one row; None where any size will do.

    Raises:
        InputError: a row has another number of entries.

    >>> import torch
    >>> fit_rows(torch.zeros(5, 784), (1, 28, 28)).shape
    torch.Size([5, 1, 28, 28])
    """
    got = tuple(x.shape[1:])
    if len(got) == len(shape) and all(size in (None, n) for n, size in zip(got, shape, strict=True)):
        return x
    sizes = [size for size in shape if size is not None]
    if len(sizes) < len(shape) or math.prod(got) != math.prod(sizes):
        expected = " x ".join("any" if size is None else str(size) for size in shape)
        raise InputError(f"data: rows of shape {' x '.join(map(str, got))}, the network takes {expected}")
    return x.reshape(len(x), *sizes)
