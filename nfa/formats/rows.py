"""Rows of data in the shape that a network from a file takes, and whether it answers each by itself."""

import math

import torch
from torch import Tensor

from nfa.common.errors import InputError

TOLERANCES = {torch.float16: 5e-2, torch.bfloat16: 1e-1}
"""Relative difference that batches of other sizes make; 1e-3 for wider numbers."""


def fit_rows(x: Tensor, shape: tuple[int | None, ...]) -> Tensor:
    """Return n rows in the shape (n, *shape), if it is certain which entry is which.

    It is where all entries of a row lie along one axis, in the data or in the network's shape, or where the shapes
    differ by axes of size 1 alone. Of two shapes of pictures with as many entries, one may have its channels last.

    Args:
        x: Shape (n, ...).
        shape: What the network takes for one row; None where any size will do.

    Raises:
        InputError: a row has another number of entries, or they are laid out in another way.

    >>> fit_rows(torch.zeros(5, 784), (1, 28, 28)).shape
    torch.Size([5, 1, 28, 28])
    """
    got = tuple(x.shape[1:])
    if len(got) == len(shape) and all(size in (None, n) for n, size in zip(got, shape, strict=True)):
        return x
    sizes = [size for size in shape if size is not None]
    long, wanted = ([size for size in each if size != 1] for each in (got, sizes))
    clear = long == wanted or (min(len(long), len(wanted)) <= 1 and math.prod(got) == math.prod(sizes))
    if len(sizes) < len(shape) or not clear:
        expected = " x ".join("any" if size is None else str(size) for size in shape)
        said = f"shape {' x '.join(map(str, got))}" if got else "a single number"
        raise InputError("data", f"rows of {said}, the network takes {expected or 'a single number'}")
    return x.reshape(len(x), *sizes)


def same_answers(got: Tensor, expected: Tensor) -> bool:
    """Return whether answers to the same rows in different batches are the same, but for rounding.

    >>> same_answers(torch.ones(2), torch.ones(2) + 1e-6)
    True
    """
    if got.shape != expected.shape or not got.is_floating_point():
        return False
    tolerance = TOLERANCES.get(got.dtype, 1e-3)
    finite = expected[expected.isfinite()].abs()
    size = float(finite.max()) if finite.numel() else 0.0
    return torch.allclose(got.double(), expected.double(), tolerance, tolerance * size, equal_nan=True)
