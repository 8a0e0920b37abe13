"""Where the samples lie among a layer's rows: first as a rule, second where a network puts time first."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """An axis of z along which the samples lie.

    Args:
        axis: The axis.
        fastest: Whether neighbours on the axis are of different samples, where a sample has several rows there.
    """

    axis: int = 0
    fastest: bool = False

    def arranged(self, values: Tensor, n: int) -> Tensor:
        """Return values of every row (... x k) as n x (rows of a sample) x k.

        >>> import torch
        >>> Layout(0, fastest=True).arranged(torch.arange(4)[:, None], 2).tolist()
        [[[0], [2]], [[1], [3]]]
        """
        parts = (-1, n) if self.fastest else (n, -1)
        rows = math.prod(values.shape[:-1]) // n
        by_sample: Tensor = values.unflatten(self.axis, parts).movedim(self.axis + self.fastest, 0)
        return by_sample.reshape(n, rows, values.shape[-1])

    def rows_along(self, shape: Sequence[int], n: int) -> int | None:
        """Return the rows that each of n samples has along the axis; None where their number differs."""
        size = shape[self.axis] if self.axis < len(shape) - 1 else 0
        return size // n if size > 0 and size % n == 0 else None


SAMPLES_FIRST = Layout()
"""Samples come first."""


@dataclass
class Place:
    """Where samples lie among the rows of a layer.

    Args:
        layout: Along which axis.
        along: Rows that one sample has along it, at each use.
        routed: Whether rows are told apart in each batch anew, by gradients.
        traceable: Whether gradients can do so: each row reaches the outputs of one sample alone.
        unseen: Whether no gradient has reached the layer so far.
        unclear: Whether samples may lie in several ways, or not first as one sample alone shows.
    """

    layout: Layout = SAMPLES_FIRST
    along: set[int] = field(default_factory=set)
    routed: bool = False
    traceable: bool = False
    unseen: bool = False
    unclear: bool = False


def distinct(axes: int, shapes: Sequence[Sequence[int]], n: int) -> Iterator[Layout]:
    """Yield the layouts that n samples may have in every z of some shapes, samples first at the start.

    Args:
        axes: The axes that each z has, the last one of its entries.
        shapes: Their shapes.
        n: The samples.

    >>> list(distinct(2, [(8, 5)], 4))
    [Layout(axis=0, fastest=False), Layout(axis=0, fastest=True)]
    >>> list(distinct(2, [(4, 5)], 4))
    [Layout(axis=0, fastest=False)]
    """
    for axis in range(axes - 1 if n > 1 else 1):
        layout = Layout(axis)
        rows = [layout.rows_along(shape, n) for shape in shapes]
        if None not in rows:
            yield layout
            if n > 1 and any(each != 1 for each in rows):
                yield Layout(axis, fastest=True)
