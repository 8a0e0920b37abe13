"""Numbers of whatever size, brought near 1 without rounding them."""

import math

import torch
from torch import Tensor


def power_of_two(values: Tensor) -> float:
    """Return the power of two just above the largest magnitude; 1 where all are 0. Dividing by it rounds nothing."""
    largest = float(torch.linalg.vector_norm(values, math.inf)) if values.numel() else 0.0
    return 2.0 ** min(math.frexp(largest)[1], 1023) if largest > 0 else 1.0


def relative(weights: Tensor) -> Tensor:
    """Return weights over a power of two near the largest, float64: no sum or product of them overflows.

    >>> relative(torch.tensor([2.0**127, 2.0**126])).tolist()
    [0.5, 0.25]
    """
    weights = weights.double()
    return weights / power_of_two(weights)
