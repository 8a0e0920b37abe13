"""Numbers of whatever size, brought near 1 without rounding them."""

import math

import torch
from torch import Tensor


def power_of_two(values: Tensor) -> float:
    """Return the power of two just above the largest magnitude; 1 where all are 0. Dividing by it rounds nothing."""
    # Many times faster than torch's norm of order infinity.
    largest = max(map(abs, map(float, torch.aminmax(values)))) if values.numel() else 0.0
    return 2.0 ** min(math.frexp(largest)[1], 1023) if largest > 0 else 1.0


def unit_of(values: Tensor) -> float:
    """Return `power_of_two` where it is extreme, else 1.

    Divided by it, entries can be multiplied four at a time without leaving the range of float32.

    >>> unit_of(torch.tensor([3.0, -2.0**30])), unit_of(torch.tensor([3.0]))
    (2147483648.0, 1.0)
    """
    unit = power_of_two(values)
    return 1.0 if 2.0**-20 <= unit <= 2.0**20 else unit


def relative(weights: Tensor) -> Tensor:
    """Return weights over a power of two near the largest, float64: no sum or product of them overflows.

    >>> relative(torch.tensor([2.0**127, 2.0**126])).tolist()
    [0.5, 0.25]
    """
    weights = weights.double()
    return weights / power_of_two(weights)
