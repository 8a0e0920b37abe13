"""Batches of samples from whatever people keep data in, in an order that serves the jackknife.

Sample s belongs to group s mod 10. A batch comes sorted by group, and data in memory are read group by
group, so that each group's rows lie together and a batch touches few groups. No measured sum depends on
that order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from nfa.common.checks import check_finite
from nfa.common.errors import InputError
from nfa.data.dataset import Dataset

GROUPS = 10
"""Groups of the delete-a-group jackknife."""


@dataclass(frozen=True)
class Batch:
    """Some samples: inputs, targets where there are any, and the samples' numbers (sorted by group)."""

    x: Tensor
    y: Tensor | None
    samples: Tensor


class Samples(Protocol):
    """Samples that can be read any number of times; `n` is None until a stream has been read once."""

    n: int | None

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Yield all samples in batches of at most `batch_size`."""
        ...

    def first(self, count: int) -> Tensor:
        """Return the inputs of the first `count` samples, or of as many as a first batch has."""
        ...


class ArraySamples:
    """Samples in memory: X with a leading axis of samples, y or None.

    >>> samples = ArraySamples(torch.zeros(12, 3), None)
    >>> [batch.samples.tolist() for batch in samples.batches(8)]
    [[0, 10, 1, 11, 2, 3, 4, 5], [6, 7, 8, 9]]
    """

    def __init__(self, X: Tensor, y: Tensor | None, columns: tuple[str, ...] | None = None) -> None:
        """Check that there are samples and that every entry is finite."""
        if X.ndim < 2 or X.numel() == 0:
            raise InputError(f"data: shape {tuple(X.shape)}, expected (samples, features) with at least one of each")
        if X.is_complex():
            raise InputError(f"data: {X.dtype}, expected real numbers")
        check_finite("data", X, columns=columns)
        self.X = X
        self.y = None if y is None else checked_targets(y)
        self.n: int | None = len(X)

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Yield all samples, group by group."""
        order = torch.cat([torch.arange(g, len(self.X), GROUPS) for g in range(min(GROUPS, len(self.X)))])
        for samples in order.split(batch_size):
            yield Batch(self.X[samples], None if self.y is None else self.y[samples], samples)

    def first(self, count: int) -> Tensor:
        """Return the inputs of the first samples."""
        return self.X[:count].clone()


class StreamSamples:
    """Samples from a DataLoader, which yields x, or (x, y, ...), in the loader's own order and batches."""

    def __init__(self, loader: "DataLoader[Any]") -> None:
        """Keep the loader; nothing is read yet."""
        self.loader = loader
        self.n: int | None = None

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Yield all samples in the loader's order, the loader's batches joined and cut to `batch_size`."""
        xs: list[Tensor] = []
        ys: list[Tensor] = []
        waiting = read = 0
        for x, y in self._items():
            xs.append(x)
            if y is not None:
                ys.append(y)
            waiting += len(x)
            if waiting >= batch_size:
                xs, ys = [torch.cat(xs)], [torch.cat(ys)] if ys else []
                while waiting >= batch_size:
                    yield self._batch(xs[0][:batch_size], ys[0][:batch_size] if ys else None, read)
                    xs[0] = xs[0][batch_size:]
                    ys = [ys[0][batch_size:]] if ys else []
                    waiting -= batch_size
                    read += batch_size
        if waiting:
            yield self._batch(torch.cat(xs), torch.cat(ys) if ys else None, read)
        self.n = read + waiting
        if self.n == 0:
            raise InputError("data: empty, the loader yields no samples")

    def first(self, count: int) -> Tensor:
        """Return the inputs of the loader's first samples, at most its first batch."""
        for x, _ in self._items():
            if len(x):
                return x[:count].clone()
        raise InputError("data: empty, the loader yields no samples")

    def _items(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        for item in self.loader:
            x, y = (item[0], item[1] if len(item) > 1 else None) if isinstance(item, (tuple, list)) else (item, None)
            if not isinstance(x, Tensor):
                raise InputError(f"data: the loader yields {type(x).__name__}, expected tensors")
            if y is not None and not isinstance(y, Tensor):
                raise InputError(f"data: the loader yields targets of type {type(y).__name__}, expected tensors")
            yield x, None if y is None else checked_targets(y)

    def _batch(self, x: Tensor, y: Tensor | None, start: int) -> Batch:
        check_finite("data", x, first_row=start)
        numbers = torch.arange(start, start + len(x))
        order = (numbers % GROUPS).argsort(stable=True)
        return Batch(x[order], None if y is None else y[order], numbers[order])


def as_samples(data: Any) -> Samples:
    """Return a reader of samples for a tensor, an array, a table, an (X, y) pair, a `Dataset` or a loader.

    Args:
        data: A tensor or array (n x d, further axes allowed), a pandas data frame, a pair (X, y) of these,
            an `nfa.data.Dataset` (all its rows), a torch `Dataset` or a torch `DataLoader` (one that
            yields its samples in the same order each time).

    Raises:
        InputError: the type is none of these, the data are empty, not numbers, or not finite.

    >>> as_samples(np.zeros((5, 2), dtype=np.float32)).n
    5
    """
    if isinstance(data, (ArraySamples, StreamSamples)):
        return data
    if isinstance(data, Dataset):
        targets = None if data.y is None else _shared(data.y)
        return ArraySamples(_shared(data.X), targets, data.feature_names)
    if isinstance(data, DataLoader):
        return StreamSamples(data)
    if isinstance(data, TorchDataset):
        return StreamSamples(DataLoader(data, batch_size=256))
    if isinstance(data, tuple) and len(data) == 2:
        X, columns = _as_tensor("data", data[0])
        y, _ = _as_tensor("y", data[1])
        if len(y) != len(X):
            raise InputError(f"data: X has {len(X)} rows, y has {len(y)}")
        return ArraySamples(X, y, columns)
    X, columns = _as_tensor("data", data)
    return ArraySamples(X, None, columns)


def _as_tensor(argument: str, values: Any) -> tuple[Tensor, tuple[str, ...] | None]:
    """Return a tensor over the same memory where possible, and the columns' names where there are any."""
    if isinstance(values, Tensor):
        return values.detach(), None
    columns = None
    if hasattr(values, "columns"):
        columns = tuple(str(name) for name in values.columns)
        for name, dtype in zip(columns, values.dtypes, strict=True):
            if argument != "y" and getattr(dtype, "kind", "O") not in "iufb":
                raise InputError(f"{argument}: column {name!r} holds {dtype}, expected numbers")
    if not (isinstance(values, (np.ndarray, list)) or hasattr(values, "__array__")):
        raise InputError(f"{argument}: got {type(values).__name__}, expected a tensor, array, data set or loader")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InputError(f"{argument}: a list of unequal parts; hand over a pair (X, y) as a tuple") from error
    if argument == "y" and array.dtype.kind in "OUST":
        array = np.unique(array.astype(str), return_inverse=True)[1]
    if array.dtype.kind not in "iufb":
        column = _first_text_column(array)
        raise InputError(f"{argument}: column {column} holds {array.dtype}, expected numbers")
    if array.dtype.kind in "iub":
        array = array.astype(np.int64 if argument == "y" else np.float32)
    return _shared(array), columns


def checked_targets(y: Tensor) -> Tensor:
    """Return targets as class numbers (n,) or real numbers (n,) or (n, c).

    Raises:
        InputError: whole numbers in several columns, which are neither.
    """
    if y.is_floating_point():
        return y
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise InputError(f"y: whole numbers of shape {tuple(y.shape)}; give class numbers (n,) or real targets")
    return y.long()


def _shared(array: np.ndarray[Any, Any]) -> Tensor:
    """Return a tensor over the array's memory; a copy where torch could write to what may not be written."""
    array = np.ascontiguousarray(array)
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _first_text_column(array: np.ndarray[Any, Any]) -> int:
    for column in range(array.shape[1] if array.ndim > 1 else 1):
        values = array[:, column] if array.ndim > 1 else array
        if any(not isinstance(value, (int, float, np.number)) for value in values):
            return column
    return 0
