"""Hand a network back exactly as it came, and examine one at a time."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

_LOCK = threading.RLock()
"""Held while a network is examined. One for all: networks may share modules, and threads share flags of torch."""


@contextmanager
def untouched(net: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode; on the way out, whatever happened, restore modes and buffers.

    Other threads that want to examine a network wait, whichever network it is.

    Buffers are restored as objects and, where their values changed, in value; so are the tables of modules with
    `max_norm`, such as `nn.Embedding`, which write to them when they run. Other weights, `requires_grad`, gradients and
    hooks are never touched in the first place.

    >>> net = nn.Sequential(nn.Linear(2, 2), nn.Dropout()).train()
    >>> with untouched(net):
    ...     net.training
    False
    >>> net.training
    True
    """
    with _LOCK, ExitStack() as restored:
        for module in net.modules():
            restored.callback(setattr, module, "training", module.training)
            # A scripted module keeps its buffers out of Python's reach, as objects, but not their values.
            if not isinstance(module, torch.jit.ScriptModule):
                restored.callback(_put_back, module, dict(module._buffers))
            for buffer in module.buffers(recurse=False):
                restored.callback(_write_back, buffer, buffer.detach().clone())
            if getattr(module, "max_norm", None) is not None:
                for table in module.parameters(recurse=False):
                    restored.callback(_write_back, table, table.detach().clone())
        for module in net.modules():
            # Not `eval()`, which some networks forbid (exported programs) or use to change their weights.
            module.training = False
        yield


def _put_back(module: nn.Module, buffers: dict[str, Tensor | None]) -> None:
    """Give a module the buffers that it had, and no others."""
    for name in [name for name in module._buffers if name not in buffers]:
        del module._buffers[name]  # registered while it ran
    module._buffers.update(buffers)


def _write_back(tensor: Tensor, values: Tensor) -> None:
    """Write values back to a tensor where they have changed."""
    if tensor.grad_fn is not None:
        tensor.detach_()  # written to by what needs gradients
    if not torch.equal(tensor, values):
        with torch.no_grad():
            tensor.copy_(values)
