"""A node of an ONNX graph, and what an operator of the table is."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from nfa.common.shown import shown

ELEMENTS = 1 << 26
"""Entries for each row that an operator may make out of less: a small file may ask for a large tensor."""

LONGEST = 300
"""Characters of what others say of an error that a message repeats."""


@dataclass(frozen=True)
class Node:
    """One operation of a graph.

    Args:
        operator: Its type, with the domain in front where that is not ONNX's own.
        name: What the file calls it, or its number.
        path: The dotted path of the module it came from, or "" where the file does not say.
        inputs: Names of values; "" for an input that is left out.
        outputs: Names of values; "" for an output nobody wants.
        attributes: By name, with the defaults of the operator's version.
        version: The version of the operator's domain that the file uses.
    """

    operator: str
    name: str
    path: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    version: int

    def __str__(self) -> str:
        return f"{self.operator} {shown(self.name)!r}"

    def unsupported(self, attribute: str) -> ValueError:
        """Return the error that names an attribute whose value is not supported."""
        return ValueError(f"attribute {attribute} = {self.attributes[attribute]!r} is not supported")


@dataclass(frozen=True)
class Operator:
    """How an operator is run.

    Args:
        run: Takes the node and its inputs (None for one left out), returns a tensor or several.
        host: Places of inputs that are read as Python numbers.
        outputs: How many outputs it has here; None for as many as the node names.
        size: From the node and its inputs, how many entries the result will have; for operators that make
            more out of less.
        work: From the node and its inputs, how many multiply-adds it takes; for operators that take more than
            they read and make.
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
