"""The entries of the operators' tables, and functions that several operators need."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from nfa.formats.onnx.node import Node


@dataclass(frozen=True)
class Operator:
    """The functions and sizes of an operator.

    Args:
        run: Takes the node and its inputs (None for one left out), returns a tensor or several.
        host: Positions of inputs that are read as Python numbers.
        outputs: The number of outputs; None for as many as the node names.
        size: From the node and its inputs, the number of entries of the result; for operators whose result may be
            larger than what they read.
        work: From the node and its inputs, the number of multiply-adds; for operators that take more of them than
            they read and make entries.
    """

    run: Callable[..., Any]
    host: tuple[int, ...] = ()
    outputs: int | None = 1
    size: Callable[..., int] | None = None
    work: Callable[..., int] | None = None


def broadcast_size(node: Node, *inputs: torch.Tensor | None) -> int:
    """Return how many entries an elementwise operation makes.

    >>> broadcast_size(Node("Add", "", "", (), (), {}, 13), torch.zeros(2, 1), torch.zeros(3))
    6
    """
    return math.prod(torch.broadcast_shapes(*(each.shape for each in inputs if each is not None)))


def axis_of(axis: int, ndim: int) -> int:
    """Return an axis counted from the front.

    Raises:
        ValueError: there is no such axis.

    >>> axis_of(-1, 3)
    2
    """
    if not -ndim <= axis < ndim:
        raise ValueError(f"axis {axis} of a tensor with {ndim} axes")
    return axis % ndim


def axes_of(axes: Sequence[int], ndim: int) -> list[int]:
    """Return axes counted from the front, in ascending order.

    Raises:
        ValueError: there is no such axis, or one is named twice.

    >>> axes_of([-1, 0], 3)
    [0, 2]
    """
    found = sorted(axis_of(axis, ndim) for axis in axes)
    if len(set(found)) < len(found):
        raise ValueError(f"axes {list(axes)} name an axis twice")
    return found
