"""Batches of samples from whatever people keep data in, in an order that serves the jackknife.

Sample s belongs to group s mod 10. A batch comes sorted by group, and data in memory are read group by
group, so that each group's rows lie together and a batch touches few groups. No measured sum depends on
that order.
"""

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from nfa.common.checks import check_finite
from nfa.common.errors import InputError, Place
from nfa.common.processes import ALONE, Processes
from nfa.data.dataset import Dataset
from nfa.data.inputs import Inputs, as_inputs, count, is_sparse, joined, leaves, map_inputs, taken
from nfa.data.loaders import items, loader_of
from nfa.data.pairs import paired
from nfa.data.targets import target_array, target_tensor
from nfa.data.tensors import as_tensor, shared

GROUPS = 10
"""Groups of the jackknife."""


@dataclass(frozen=True)
class Batch:
    """Some samples: inputs, targets where there are any, and the samples' numbers (sorted by group)."""

    x: Inputs
    y: Tensor | None
    samples: Tensor


@runtime_checkable
class Samples(Protocol):
    """Samples that can be read any number of times.

    `n` is None until a stream has been read once; `processes` are those that have a share of them each.
    """

    processes: Processes

    @property
    def n(self) -> int | None:
        """How many there are, in all processes together."""
        ...

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Yield all samples in batches of `batch_size`; of several samples, none comes alone in its batch."""
        ...

    def first(self, count: int) -> Inputs:
        """Return the inputs of the first `count` samples, or of as many as a first batch has."""
        ...


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
        order = torch.cat([torch.arange(g, n, GROUPS) for g in range(min(GROUPS, n))])
        parts = list(order.split(batch_size))
        if len(parts) > 1 and len(parts[-1]) == 1:
            parts[-2:] = [torch.cat(parts[-2:])]
        for samples in parts:
            yield Batch(self._taken(samples), None if self.y is None else self.y[samples], samples)

    def first(self, count: int) -> Inputs:
        """Return the inputs of the first samples."""
        return map_inputs(torch.clone, self._taken(torch.arange(min(count, self.n or 0))))


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


class StreamSamples:
    """Samples from a DataLoader, which yields inputs, or (inputs, y), in the loader's own order and batches."""

    processes = ALONE

    def __init__(
        self,
        loader: "DataLoader[Any] | TorchDataset[Any]",
        relabel: Callable[[Tensor], Tensor] | None = None,
        in_order: bool = False,
    ) -> None:
        """Keep the loader (for a torch data set, make one); nothing is read yet.

        Args:
            loader: What yields the samples.
            relabel: Applied to the targets.
            in_order: Whether every pass has to yield the same samples in the same order.
        """
        self.loader = loader_of(loader)
        self.relabel = relabel
        self.in_order = in_order
        self.n: int | None = None
        self._seen: bytes | None = None

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Yield all samples in the loader's order, the loader's batches joined and cut to `batch_size`."""
        xs: list[Inputs] = []
        ys: list[Tensor] = []
        waiting = read = 0
        for x, y in self._items():
            xs.append(x)
            if y is not None:
                ys.append(y)
            waiting += count(x)
            # One more than a batch is left to join the next: no sample comes alone.
            if waiting > batch_size + 1:
                x, ys = joined(xs), [torch.cat(ys)] if ys else []
                while waiting > batch_size + 1:
                    taken = map_inputs(lambda x: x[:batch_size], x)
                    yield self._batch(taken, ys[0][:batch_size] if ys else None, read)
                    x = map_inputs(lambda x: x[batch_size:], x)
                    ys = [ys[0][batch_size:]] if ys else []
                    waiting -= batch_size
                    read += batch_size
                xs = [x]
        if waiting:
            yield self._batch(joined(xs), torch.cat(ys) if ys else None, read)
        self.n = read + waiting
        if self.n == 0:
            raise InputError("data", "empty, the loader yields no samples")

    def first(self, count: int) -> Inputs:
        """Return the inputs of the loader's first samples, at most its first batch."""
        for x, _ in self._items():
            return map_inputs(lambda x: x[:count].clone(), x)
        raise InputError("data", "empty, the loader yields no samples")

    def _items(self) -> Iterator[tuple[Inputs, Tensor | None]]:
        """Yield checked inputs and targets, batch by batch."""
        start = 0
        digest = hashlib.blake2b()
        for x, y in items(self.loader):
            for name, leaf in leaves(x):
                check_finite(name, leaf, first_row=start)
            if y is not None:
                y = target_tensor(y if self.relabel is None else self.relabel(y), start)
            if self.in_order:
                for leaf in (*(leaf for _, leaf in leaves(x)), *([] if y is None else [y])):
                    digest.update(leaf.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
            start += count(x)
            yield x, y
        if self.n not in (None, start):
            raise InputError("data", f"the loader yields {start} samples, and {self.n} in an earlier pass")
        if self.in_order and self._seen not in (None, digest.digest()):
            raise InputError(
                "data",
                "the loader brings other samples in each pass, or another order; make it without shuffle=True",
            )
        self._seen = digest.digest()

    def _batch(self, x: Inputs, y: Tensor | None, start: int) -> Batch:
        numbers = torch.arange(start, start + count(x))
        order = (numbers % GROUPS).argsort(stable=True)
        return Batch(taken(x, order), None if y is None else y[order], numbers[order])


def as_samples(data: Any) -> Samples:
    """Return a reader of samples for tensors, arrays, tables, (X, y) pairs, a `Dataset` or a loader.

    Args:
        data: A tensor or array (n x d, further axes allowed), a pandas data frame, a list of rows, a dict of
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
        return ArraySamples(shared(data.X), targets, data.feature_names)
    if isinstance(data, (DataLoader, TorchDataset)):
        return StreamSamples(data)
    X, y = paired(data)
    if is_sparse(X):
        return SparseSamples(X, None if y is None else _targets(y))
    columns = tuple(str(name) for name in X.columns) if hasattr(X, "columns") else None
    # A list is a list of rows; what names several inputs is a dict or a tuple.
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
