"""Run a network as it was written: nothing compiled or checkpointed, and not from inside its own forward pass."""

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from nfa.common.errors import InputError
from nfa.common.process_wide import process_wide
from nfa.network.checkpointed import graphs_kept


@contextmanager
def as_written() -> Iterator[None]:
    """Run compiled parts of a network as they were written, operation by operation."""
    with ExitStack() as stack:
        # Nothing can be compiled where the compiler was never imported, and importing it takes seconds.
        if "torch._dynamo" in sys.modules:
            stack.enter_context(_never_compiled())
        if "torch.utils.checkpoint" in sys.modules:
            stack.enter_context(graphs_kept())
        yield


@process_wide
def _never_compiled() -> Iterator[None]:
    with torch.compiler.set_stance("force_eager"):
        yield


_here = threading.local()


@contextmanager
def running(net: nn.Module) -> Iterator[None]:
    """Refuse to run a network from inside its own forward pass.

    Raises:
        InputError: it is running already, which would never end; a hook may do that.
    """
    nets: list[nn.Module] = _here.__dict__.setdefault("nets", [])
    if any(each is net for each in nets):
        raise InputError("net", "it is examined from inside its own forward pass (a hook?); do it after the pass")
    nets.append(net)
    try:
        yield
    finally:
        nets.pop()
