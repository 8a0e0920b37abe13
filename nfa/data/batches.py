"""Batches of samples, in an order that serves the jackknife.

Sample s belongs to group s mod 10. A batch comes sorted by group, and data in memory are read group by
group, so that each group's rows lie together and a batch touches few groups. No measured sum depends on
that order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from nfa.common.processes import Processes
from nfa.data.inputs import Inputs

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
