"""Batches of samples from whatever people keep data in."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from nfa.common.checks import check_finite
from nfa.common.errors import InputError, Place
from nfa.common.processes import ALONE
from nfa.data.batches import GROUPS, Batch, Samples
from nfa.data.dataset import Dataset
from nfa.data.inputs import Inputs, agreed, as_inputs, count, is_sparse, leaves, map_inputs, taken
from nfa.data.mapped import MappedRows, in_parts, is_mapped, mapped
from nfa.data.pairs import paired
from nfa.data.streaming import StreamSamples
from nfa.data.targets import target_array, target_tensor
from nfa.data.tensors import as_tensor, shared

__all__ = ["GROUPS", "ArraySamples", "Batch", "MappedSamples", "Samples", "SparseSamples", "StreamSamples",
           "as_samples", "in_order"]  # fmt: skip


class ArraySamples:
    """Samples in memory: inputs X with a leading axis of samples, y or None.

    >>> samples = ArraySamples(torch.zeros(12, 3), None)
    >>> [batch.samples.tolist() for batch in samples.batches(8)]
    [[0, 10, 1, 11, 2, 3, 4, 5], [6, 7, 8, 9]]
    """

    processes = ALONE

    def __init__(self, X: Inputs, y: Tensor | None, columns: tuple[str, ...] | None = None) -> None:
        """Check that there are samples and that every entry is finite."""
        for name, x in leaves(X):
            if x.numel() == 0 or x.ndim < (2 if isinstance(X, Tensor) else 1):
                shape = tuple(x.shape)
                way = "; X[:, None] is one feature, X[None] one sample" if x.ndim == 1 and x.numel() else ""
                raise InputError(name, f"shape {shape}, expected (samples, features) with at least one of each{way}")
            if x.layout is not torch.strided:
                raise InputError(name, f"a tensor of layout {x.layout}, expected a dense one, X.to_dense()")
            if x.is_complex():
                raise InputError(name, f"{x.dtype}, expected real numbers")
            check_finite(name, x, columns=columns)
        self.X = X
        self.y = None if y is None else target_tensor(y)
        self.n: int | None = count(X)
        self._check_counts()

    def _check_counts(self) -> None:
        if self.y is not None and len(self.y) != self.n:
            raise InputError("data", f"X has {self.n} rows, y has {len(self.y)}")

    def _taken(self, samples: Tensor) -> Inputs:
        """Return the inputs of the samples with these numbers."""
        return taken(self.X, samples)

    def with_targets(self, y: Any) -> "ArraySamples":
        """Return the same samples with other targets, or none; the inputs are not checked again."""
        other = copy.copy(self)
        other.y = None if y is None else target_tensor(_targets(y))
        return other

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Yield all samples, group by group."""
        n = self.n or 0
        order = torch.cat([torch.arange(g, n, GROUPS, device="cpu") for g in range(min(GROUPS, n))])
        parts = list(order.split(batch_size))
        if len(parts) > 1 and len(parts[-1]) == 1:
            parts[-2:] = [torch.cat(parts[-2:])]
        for samples in parts:
            yield Batch(self._taken(samples), None if self.y is None else self.y[samples], samples)

    def first(self, count: int) -> Inputs:
        """Return the inputs of the first samples."""
        return map_inputs(torch.clone, self._taken(torch.arange(min(count, self.n or 0), device="cpu")))


class SparseSamples(ArraySamples):
    """Sparse rows in memory, made dense batch by batch.

    Args:
        X: A sparse matrix of scipy's, or a sparse tensor, n x d.
        y: Targets, or None.

    >>> samples = SparseSamples(torch.eye(3).to_sparse(), None)
    >>> samples.first(2)
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """

    def __init__(self, X: Any, y: Tensor | None) -> None:
        """Check that there are samples and that every entry is finite."""
        self._rows = X.detach().to_sparse_coo().coalesce() if isinstance(X, Tensor) else X.tocsr()
        values = self._rows.values() if isinstance(X, Tensor) else shared(np.asarray(self._rows.data))
        if X.ndim != 2 or 0 in X.shape:
            raise InputError("data", f"sparse rows of shape {tuple(X.shape)}, expected (samples, features)")
        if values.is_complex():
            raise InputError("data", f"{values.dtype}, expected real numbers")
        check_finite(Place("data", "entries that are not 0"), values)
        self.X = X
        self.y = None if y is None else target_tensor(y)
        self.n = int(X.shape[0])
        self._check_counts()

    def _taken(self, samples: Tensor) -> Inputs:
        if isinstance(self._rows, Tensor):
            return self._rows.index_select(0, samples.to(self._rows.device)).to_dense()
        return shared(np.asarray(self._rows[samples.numpy()].toarray()))


class MappedSamples(ArraySamples):
    """Samples in memory-mapped files, read batch by batch in their order; no array is ever copied whole.

    Args:
        X: An array in a memory-mapped file, `MappedRows` of one, or several inputs of which some are.
        y: Targets, or None.
        columns: Names of the columns.

    >>> samples = MappedSamples(MappedRows(np.arange(24, dtype=np.uint8).reshape(12, 2)), None)
    >>> [(batch.samples.tolist(), batch.x[1].tolist()) for batch in samples.batches(11)]
    [([0, 10, 1, 11, 2, 3, 4, 5, 6, 7, 8, 9], [20, 21])]
    """

    def __init__(self, X: Any, y: Tensor | None, columns: tuple[str, ...] | None = None) -> None:
        """Check that there are samples; their entries are checked when they are read."""
        self._columns = columns
        self.y = None if y is None else target_tensor(y)
        sizes: dict[str, int] = {}

        def rows_of(name: str, values: Any) -> Any:
            rows = mapped(name, values)
            found = as_tensor(name, values) if rows is None else rows
            shape = tuple(found.shape)
            if 0 in shape or len(shape) < (1 if isinstance(X, (Mapping, tuple)) else 2):
                raise InputError(name, f"shape {shape}, expected (samples, features) with at least one of each")
            sizes[name] = shape[0]
            return found

        self.X = as_inputs(X, rows_of)
        self.n = agreed(sizes)
        self._check_counts()

    def _taken(self, samples: Tensor) -> Inputs:
        return as_inputs(self.X, lambda name, rows: _read(name, rows, samples, self._columns))

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Yield all samples in their order, since a file is read fastest so."""
        for numbers in in_parts(self.n or 0, batch_size):
            order = (numbers % GROUPS).argsort(stable=True)
            samples = numbers[order]
            yield Batch(taken(self._taken(numbers), order), None if self.y is None else self.y[samples], samples)


def _read(name: str, rows: MappedRows | Tensor, samples: Tensor, columns: tuple[str, ...] | None) -> Tensor:
    found = rows.read(samples) if isinstance(rows, MappedRows) else rows[samples]
    check_finite(name, found, int(samples[0]), columns)
    return found


def as_samples(data: Any) -> Samples:
    """Return a reader of samples for tensors, arrays, tables, (X, y) pairs, a `Dataset` or a loader.

    Args:
        data: A tensor or array (n x d, further axes allowed; of one in a memory-mapped file, rows are read batch by
            batch), a pandas data frame, a list of rows, a dict of
            tensors or arrays (several inputs); sparse rows (scipy's, or a sparse tensor), which are made dense batch by
            batch; a pair (X, y), X any of these or a tuple of several inputs, y the
            targets or None (see `nfa.data.pairs.paired`: a tuple of two is always such a pair); an
            `nfa.data.Dataset` (all its rows); a torch `Dataset` or `DataLoader`, which yields x, (x, y) or
            ((x1, x2, ...), y).

    Raises:
        InputError: the type is none of these, the data are empty, not numbers, or not finite.

    >>> as_samples(np.zeros((5, 2), dtype=np.float32)).n
    5
    >>> as_samples(((torch.zeros(4, 2), torch.zeros(4, 3)), None)).n
    4
    >>> as_samples(({"left": torch.zeros(4, 2), "right": torch.zeros(4, 3)}, torch.zeros(4))).n
    4
    """
    if isinstance(data, (ArraySamples, StreamSamples)) or (isinstance(data, Samples) and data.processes != ALONE):
        return data
    if isinstance(data, Dataset):
        targets = None if data.y is None else shared(data.y)
        if is_mapped(data.X):
            return MappedSamples(data.X, targets, data.feature_names)
        return ArraySamples(shared(data.X), targets, data.feature_names)
    if isinstance(data, (DataLoader, TorchDataset)):
        return StreamSamples(data)
    X, y = paired(data)
    if is_sparse(X):
        return SparseSamples(X, None if y is None else _targets(y))
    columns = tuple(str(name) for name in X.columns) if hasattr(X, "columns") else None
    # A list is a list of rows; what names several inputs is a dict or a tuple.
    parts = X.values() if isinstance(X, Mapping) else X if isinstance(X, tuple) else [X]
    if any(isinstance(part, MappedRows) or is_mapped(part) for part in parts):
        return MappedSamples(X, None if y is None else _targets(y))
    inputs = as_inputs(X, as_tensor) if isinstance(X, (Mapping, tuple)) else as_tensor("data", X)
    return ArraySamples(inputs, None if y is None else _targets(y), columns)


def in_order(data: Any) -> Any:
    """Return data whose samples keep their order; a loader that changes it is refused in its second pass."""
    if isinstance(data, StreamSamples):
        return StreamSamples(data.loader, data.relabel, in_order=True)
    return StreamSamples(data, in_order=True) if isinstance(data, (DataLoader, TorchDataset)) else data


def _targets(y: Any) -> Tensor:
    """Return targets as a tensor; text counts in sorted order, as no network is known that could have another."""
    if isinstance(y, Tensor):
        return y.detach()
    values = target_array(y, None)
    if values.dtype.kind == "U":
        values = np.unique(values, return_inverse=True)[1]
    return shared(values)
