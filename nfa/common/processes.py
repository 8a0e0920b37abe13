"""The processes that audit a network together: what they agree on, and how one that fails ends the others."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from nfa.common.errors import InputError

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds that a process waits for the others to begin with the same audit."""


class _OtherFailedError(InputError):
    """Another process has failed, and said so."""


@dataclass(frozen=True)
class Processes:
    """Processes of torch's default group, which do the same calls in the same order.

    Whatever one of them does by itself may fail. So they meet before they exchange anything: one that has failed comes
    to the meeting with its error, and all end there. Alone, every method returns at once.

    Args:
        rank: Which of them this is, from 0.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    @contextmanager
    def together(self) -> Iterator[None]:
        """Do something that all of them do; an error in one ends it in all.

        Raises:
            InputError: another process failed, with its message, or does not come.
        """
        if self.size == 1:
            yield
            return
        self._begin()
        try:
            yield
        except _OtherFailedError:
            raise
        except Exception as error:
            self._said(str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}")
            raise
        self.meet()

    def meet(self) -> None:
        """Wait for the others.

        Raises:
            InputError: one of them has failed; its message.
        """
        if self.size == 1:
            return
        for rank, problem in enumerate(self._said(None)):
            if problem is not None:
                raise _OtherFailedError("net", f"process {rank} failed: {problem}")

    def gathered(self, value: T) -> list[T]:
        """Return everyone's value, in the order of ranks, after a meeting."""
        if self.size == 1:
            return [value]
        self.meet()
        return self._exchanged(value)

    def first(self, value: T) -> T:
        """Return the value of the first process."""
        return self.gathered(value)[0]

    def all(self, value: bool) -> bool:
        """Return whether it is so in every process."""
        return all(self.gathered(value))

    def union(self, values: Iterable[str]) -> set[str]:
        """Return what is in any process's set."""
        return set().union(*self.gathered(set(values)))

    def merged(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return everyone's entries; of one key the first process's."""
        found: dict[str, str] = {}
        for each in self.gathered(dict(values)):
            found = each | found
        return found

    def sum(self, value: Tensor) -> Tensor:
        """Return the sum of everyone's tensor, of one shape and dtype, on the tensor's device; there was a meeting."""
        if self.size == 1:
            return value
        moved = value.to(_device(), copy=True).contiguous()
        try:
            distributed.all_reduce(moved)
        except RuntimeError as error:
            raise _ended(error) from error
        return moved.to(value.device)

    def _begin(self) -> None:
        """Wait for all to come here.

        Raises:
            InputError: one does not come within `PATIENCE`.
        """
        patience = timedelta(seconds=PATIENCE)
        try:
            if distributed.get_backend() == "gloo":
                distributed.monitored_barrier(timeout=patience, wait_all_ranks=True)
            else:
                distributed.barrier(async_op=True).wait(patience)
        except RuntimeError as error:
            raise InputError(
                "net",
                f"{self.size} processes train it together, and after {PATIENCE:g} seconds not all of them have come to "
                f"audit it: call it in every process ({_line(error)})",
            ) from error

    def _said(self, problem: str | None) -> list[str | None]:
        return self._exchanged(problem)

    def _exchanged(self, value: T) -> list[T]:
        found: list[Any] = [None] * self.size
        try:
            distributed.all_gather_object(found, value)
        except RuntimeError as error:
            raise _ended(error) from error
        return found


ALONE = Processes()
"""One process, whatever others there are."""


def processes() -> Processes:
    """Return the processes of torch's default group, or this one alone where there is none.

    >>> processes()
    Processes(rank=0, size=1)
    """
    if distributed.is_available() and distributed.is_initialized():
        return Processes(distributed.get_rank(), distributed.get_world_size())
    return ALONE


def _device() -> torch.device:
    """Return a device whose tensors the group exchanges."""
    backend = distributed.get_backend()
    # Torch 2.6 raises where it is built for a device that is not there.
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return torch.device("cpu") if accelerator is None or "gloo" in backend or "mpi" in backend else accelerator


def _ended(error: RuntimeError) -> InputError:
    return _OtherFailedError("net", f"another process ended without a word ({_line(error)})")


def _line(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[-1][:200]
