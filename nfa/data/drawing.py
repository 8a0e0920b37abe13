"""A few samples of any data, drawn at random and held in memory."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, SequentialSampler, Subset
from torch.utils.data import Dataset as TorchDataset

from nfa.data.inputs import Inputs, count, is_sparse, joined, map_inputs
from nfa.data.loaders import items, loader_of
from nfa.data.mapped import MappedRows
from nfa.data.pairs import paired
from nfa.data.samples import ArraySamples
from nfa.data.streaming import StreamSamples


@dataclass(frozen=True)
class Drawn:
    """How some samples were chosen: at random from `of` samples; the first ones, where `of` is None."""

    of: int | None


def drawn(data: Any, samples: int, seed: int = 0) -> tuple[Any, Drawn | None]:
    """Return that many samples drawn at random without replacement, in their order; all where there are no more.

    A loader's samples are read once, in this process, from its data set, so that neither its workers nor its sources of
    random numbers notice. Of a stream, and of a loader with a sampler of its own, the first samples are taken.

    Args:
        data: Anything that `nfa.data.as_samples` takes but a `Dataset`, which has `Dataset.sample`.
        samples: How many.
        seed: Of the draw.

    Returns:
        Inputs, or a pair of inputs and targets, and how they were chosen, None for all; data of which no samples can
        be taken come back as they are.

    >>> drawn((torch.arange(6).reshape(3, 2), ["a", "b", "c"]), 2)
    ((tensor([[2, 3],
            [4, 5]]), ['b', 'c']), Drawn(of=3))
    """
    if isinstance(data, StreamSamples):
        data = data.loader
    if isinstance(data, (DataLoader, TorchDataset)):
        return _of_loader(loader_of(data), samples, seed)
    X, y = (data.X, data.y) if isinstance(data, ArraySamples) else paired(data)
    parts = [*X.values()] if isinstance(X, Mapping) else [*X] if isinstance(X, tuple) else [X]
    sizes = {_length(each) for each in (*parts, *([] if y is None else [y]))}
    n = sizes.pop()
    # What is no data, or of several lengths, is refused where data are read.
    if sizes or n is None or isinstance(X, str) or n <= samples:
        return data, None
    numbers = _numbers(n, samples, seed)
    if isinstance(X, Mapping):
        X = {name: _taken(each, numbers) for name, each in X.items()}
    else:
        X = tuple(_taken(each, numbers) for each in X) if isinstance(X, tuple) else _taken(X, numbers)
    alone = y is None and not isinstance(X, (tuple, Mapping))
    return X if alone else (X, None if y is None else _taken(y, numbers)), Drawn(n)


def _numbers(n: int, samples: int, seed: int) -> list[int]:
    found: list[int] = np.sort(np.random.default_rng(seed).choice(n, samples, replace=False)).tolist()
    return found


def _length(values: Any) -> int | None:
    if is_sparse(values):
        return int(values.shape[0])
    return len(values) if hasattr(values, "__len__") else None


def _taken(values: Any, numbers: list[int]) -> Any:
    if is_sparse(values):
        if isinstance(values, Tensor):
            return values.to_sparse_coo().index_select(0, torch.tensor(numbers))
        return values.tocsr()[numbers]
    if isinstance(values, MappedRows):
        return values.read(torch.tensor(numbers))
    if hasattr(values, "iloc"):
        return values.iloc[numbers]
    if isinstance(values, (Tensor, np.ndarray)):
        return values[numbers]
    return [values[number] for number in numbers]


def _of_loader(loader: "DataLoader[Any]", samples: int, seed: int) -> tuple[Any, Drawn | None]:
    xs: list[Inputs] = []
    ys: list[Tensor] = []
    read = 0
    reader, chosen = _reader(loader, samples, seed)
    with _generators_kept(loader):
        for x, y in _first(reader, samples):
            xs.append(x)
            if y is not None:
                ys.append(y)
            read += count(x)
    if not read:
        return loader, None  # empty: refused where data are read
    if read < samples:
        chosen = None
    x = map_inputs(lambda x: x[:samples].clone(), joined(xs))
    return (x, torch.cat(ys)[:samples] if ys else None) if ys or isinstance(x, tuple) else x, chosen


@contextmanager
def _generators_kept(loader: "DataLoader[Any]") -> Iterator[None]:
    """Give the generators of a loader and its sampler back as they were."""
    owners = (loader, loader.sampler, loader.batch_sampler)
    found = [each for owner in owners if isinstance(each := getattr(owner, "generator", None), torch.Generator)]
    states = [each.get_state() for each in found]
    try:
        yield
    finally:
        for each, state in zip(found, states, strict=True):
            each.set_state(state)


def _first(loader: "DataLoader[Any]", samples: int) -> Iterator[tuple[Inputs, Tensor | None]]:
    read = 0
    for x, y in items(loader):
        yield x, y
        read += count(x)
        if read >= samples:
            return


def _reader(loader: "DataLoader[Any]", samples: int, seed: int) -> tuple["DataLoader[Any]", Drawn | None]:
    """Return a loader of the samples to read that leaves the given one's workers and random numbers alone.

    How they are chosen comes with it; None where the loader has no more.
    """
    own: dict[str, Any] = {"collate_fn": loader.collate_fn, "generator": torch.Generator().manual_seed(seed)}
    batches, sampler, source = loader.batch_sampler, loader.sampler, loader.dataset
    if type(batches) is not BatchSampler or isinstance(source, IterableDataset):
        return loader, Drawn(None)
    if not isinstance(sampler, (SequentialSampler, RandomSampler)):
        return DataLoader(source, loader.batch_size, sampler=sampler, **own), Drawn(None)
    n = len(source)  # type: ignore[arg-type]  # its samplers have counted it
    if n > samples:
        source = Subset(source, _numbers(n, samples, seed))
    return DataLoader(source, loader.batch_size, **own), Drawn(n) if n > samples else None
