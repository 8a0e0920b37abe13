"""Samples that come in batches of somebody else's: those of a loader."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from nfa.common.checks import check_finite
from nfa.common.errors import InputError
from nfa.common.processes import ALONE
from nfa.data.batches import GROUPS, Batch
from nfa.data.inputs import Inputs, count, joined, leaves, map_inputs, taken
from nfa.data.loaders import items, loader_of
from nfa.data.targets import target_tensor


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
