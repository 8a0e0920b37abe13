"""Run parts of a network under `torch.utils.checkpoint` with their graph kept, as if they were not checkpointed.

A checkpointed part runs twice, the second time during the backward pass. No function mode sees its products there, and
torch compares what both runs saved. An audit runs few rows at a time, so that it can keep their graph.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch.utils.checkpoint as checkpointing

from nfa.common.process_wide import process_wide

_NAMES = ("CheckpointFunction", "_checkpoint_hook")
"""The names that torch's `checkpoint` looks up in its module: one for the reentrant kind, one for the other."""

_here = threading.local()


@contextmanager
def graphs_kept() -> Iterator[None]:
    """While active, in this thread, checkpointed functions are called as they are.

    While any thread is inside, both names that torch's `checkpoint` looks up stand for functions that ask which thread
    calls them.
    """
    with _names_exchanged():
        before, _here.kept = getattr(_here, "kept", False), True
        try:
            yield
        finally:
            _here.kept = before


@process_wide
def _names_exchanged() -> Iterator[None]:
    found = [getattr(checkpointing, name) for name in _NAMES]
    for name, replacement in zip(_NAMES, (_Reentrant(found[0]), _hook(found[1])), strict=True):
        setattr(checkpointing, name, replacement)
    try:
        yield
    finally:
        for name, original in zip(_NAMES, found, strict=True):
            setattr(checkpointing, name, original)


class _Reentrant:
    """Stands in for torch's function of the reentrant kind."""

    def __init__(self, original: Any) -> None:
        self.original = original

    def apply(self, function: Callable[..., Any], preserve_rng_state: bool, *args: Any) -> Any:
        if getattr(_here, "kept", False):
            return function(*args)
        return self.original.apply(function, preserve_rng_state, *args)


def _hook(original: Callable[[Any], AbstractContextManager[None]]) -> Callable[[Any], AbstractContextManager[None]]:
    """Return what stands in for torch's hook of the other kind, which drops saved tensors."""

    def hook(frame: Any) -> AbstractContextManager[None]:
        return nullcontext() if getattr(_here, "kept", False) else original(frame)

    return hook
