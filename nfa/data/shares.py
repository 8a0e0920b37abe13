"""One process's share of samples that all processes have."""

import hashlib
from collections.abc import Iterator

import torch

from nfa.common.processes import Processes
from nfa.data.batches import Batch, Samples
from nfa.data.inputs import Inputs, leaves, taken


class Share:
    """The samples of one process: of every batch, cut into as many parts as there are processes, its own part.

    What the first samples show (`first`) is the same for all processes.

    Args:
        whole: The samples, the same ones in every process.
        processes: Who shares them.

    >>> from nfa.data.samples import as_samples
    >>> whole = as_samples(torch.zeros(5, 2))
    >>> [[batch.samples.tolist() for batch in Share(whole, Processes(rank, 2)).batches(8)] for rank in (0, 1)]
    [[[0, 1]], [[2, 3, 4]]]
    """

    def __init__(self, whole: Samples, processes: Processes) -> None:
        self.whole, self.processes = whole, processes

    @property
    def n(self) -> int | None:
        """How many samples all of them have together."""
        return self.whole.n

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Yield this process's part of each batch; nothing where it has none."""
        rank, size = self.processes.rank, self.processes.size
        for batch in self.whole.batches(batch_size * size):
            start, stop = (len(batch.samples) * each // size for each in (rank, rank + 1))
            if start < stop:
                own = torch.arange(start, stop)
                yield Batch(taken(batch.x, own), None if batch.y is None else batch.y[own], batch.samples[own])

    def first(self, count: int) -> Inputs:
        """Return the inputs of the first samples of all."""
        return self.whole.first(count)


def fingerprint(samples: Samples) -> tuple[int | None, bytes]:
    """Return what two processes with the same samples have in common: their number, and a hash of the first two."""
    digest = hashlib.blake2b()
    for name, leaf in leaves(samples.first(2)):
        digest.update(name.encode())
        digest.update(leaf.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return samples.n, digest.digest()
