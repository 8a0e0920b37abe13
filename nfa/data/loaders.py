"""Batches of a torch loader, all of one form; where it fails, the error is one line."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate
from torch.utils.data import Dataset as TorchDataset

from nfa.common.errors import InputError
from nfa.common.shown import shown
from nfa.data.inputs import Inputs, as_inputs, count, leaves
from nfa.data.pairs import paired_batch

READ_SIZE = 256
"""Samples of a torch data set that are read together."""


def loader_of(data: "DataLoader[Any] | TorchDataset[Any]") -> "DataLoader[Any]":
    """Return a loader as it is; for a data set, a loader in its order."""
    return data if isinstance(data, DataLoader) else DataLoader(data, READ_SIZE, collate_fn=_collated)


def items(loader: "DataLoader[Any]") -> Iterator[tuple[Inputs, Tensor | None]]:
    """Yield inputs and targets (or None) of each batch that has samples.

    Raises:
        InputError: the loader, its data set or one of its workers fails; a batch is no tensors, is no pair (inputs,
            targets), or has another form than the first one.
    """
    first: dict[str, str] = {}
    for number, batch in enumerate(_batches(loader)):
        given, y = paired_batch(batch)
        x = as_inputs(given, _loaded)
        if y is not None and not isinstance(y, Tensor):
            raise InputError(
                "data",
                f"the loader yields targets of type {type(y).__name__}, expected tensors; torch.tensor(targets) in its "
                "collate_fn makes one",
            )
        n = count(x)
        if y is not None and (y.ndim == 0 or len(y) != n):
            targets = len(y) if y.ndim else "no list of"
            whole = "" if loader.batch_size or loader.batch_sampler else "; with batch_size=None each item is a batch"
            raise InputError("data", f"batch {number} of the loader has {n} rows and {targets} targets{whole}")
        if n == 0:
            continue
        form = {name: _form(leaf) for name, leaf in leaves(x)} | ({} if y is None else {"targets": _form(y)})
        first = first or form
        for name in (*first, *form):
            if form.get(name) != first.get(name):
                now, before = form.get(name, "nothing"), first.get(name, "nothing")
                raise InputError("data", f"batch {number} of the loader has {now} for {name}, the first has {before}")
        yield x, y


def _batches(loader: "DataLoader[Any]") -> Iterator[Any]:
    number = 0
    try:
        for batch in loader:
            yield batch
            number += 1
    except Exception as error:
        # A data set may raise anything. A worker's message has the reason in its last line.
        lines = str(error).strip().splitlines() or [""]
        reason = f"{type(error).__name__}: {shown(lines[-1].strip(), 200)}"
        raise InputError("data", f"the loader fails at batch {number}: {reason}") from error


def _collated(samples: list[Any]) -> Any:
    """Collate samples as torch does; targets may be None besides."""
    if all(isinstance(each, (tuple, list)) and len(each) == 2 and each[1] is None for each in samples):
        return default_collate([each[0] for each in samples]), None
    return default_collate(samples)


def _loaded(name: str, x: Any) -> Tensor:
    if not isinstance(x, Tensor):
        raise InputError(
            name,
            f"the loader yields {type(x).__name__}, expected tensors; torch.as_tensor(...) in its collate_fn makes one",
        )
    if x.ndim == 0 or x.layout is not torch.strided or x.is_complex():
        got = f"{x.dtype} of shape {tuple(x.shape)} and layout {x.layout}"
        raise InputError(name, f"the loader yields {got}, expected dense real numbers, samples first")
    return x


def _form(x: Tensor) -> str:
    return f"{str(x.dtype).removeprefix('torch.')} rows of shape {tuple(x.shape[1:])}"
