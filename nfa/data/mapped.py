"""Rows of arrays in memory-mapped files, brought into memory batch by batch."""

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfa.common.errors import InputError
from nfa.data.tensors import shared


def is_mapped(values: Any) -> bool:
    """Return whether an array lies in a memory-mapped file.

    >>> is_mapped(np.zeros(3))
    False
    """
    while isinstance(values, np.ndarray):
        if isinstance(values, np.memmap) or isinstance(values.base, mmap.mmap):
            return True
        values = values.base
    return False


@dataclass(frozen=True, eq=False)
class MappedRows:
    """The rows of a memory-mapped array, and what is done to those that are read.

    Args:
        array: Shape (n, ...), numbers of any dtype and order.
        steps: Functions of some rows (an array), applied one after the other, such as a scaling.

    >>> rows = MappedRows(np.arange(6).reshape(3, 2)).then(lambda rows: 2 * rows)
    >>> len(rows), rows.read(torch.tensor([2, 0])).tolist()
    (3, [[8, 10], [0, 2]])
    """

    array: NDArray[Any]
    steps: tuple[Callable[[NDArray[Any]], NDArray[Any]], ...] = ()

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.array)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array, before the steps."""
        return self.array.shape

    def then(self, step: Callable[[NDArray[Any]], NDArray[Any]]) -> "MappedRows":
        """Return the same rows with one more function applied to what is read."""
        return replace(self, steps=(*self.steps, step))

    def read(self, samples: Tensor) -> Tensor:
        """Return the rows of these numbers."""
        rows = np.asarray(self.array[samples.numpy()])
        for step in self.steps:
            rows = step(rows)
        return shared(rows)


def mapped(name: str, values: Any) -> MappedRows | None:
    """Return the rows of an array in a memory-mapped file; None for anything else.

    Raises:
        InputError: it has no rows, or holds something else than real numbers.
    """
    if isinstance(values, MappedRows):
        return values
    if not is_mapped(values):
        return None
    if values.dtype.kind not in "iufb":
        raise InputError(name, f"holds {values.dtype}, expected numbers")
    return MappedRows(values)


def in_parts(n: int, size: int) -> Iterator[Tensor]:
    """Yield the numbers 0 ... n - 1 in parts of some size; of several numbers, none comes alone.

    >>> [part.tolist() for part in in_parts(5, 2)]
    [[0, 1], [2, 3, 4]]
    """
    start = 0
    while start < n:
        stop = n if n - start <= size + 1 else start + size
        yield torch.arange(start, stop)
        start = stop
