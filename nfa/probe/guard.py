"""Hand a network back exactly as it came, and examine one at a time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

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
    with _LOCK:
        modes = [(module, module.training) for module in net.modules()]
        buffers = [
            (module, name, buffer, None if buffer is None else buffer.detach().clone())
            for module in net.modules()
            for name, buffer in module._buffers.items()
        ]
        tables = [
            (table, table.detach().clone())
            for module in net.modules()
            if getattr(module, "max_norm", None) is not None
            for table in module.parameters(recurse=False)
        ]
        try:
            for module, _ in modes:
                # Not `eval()`, which some networks forbid (exported programs) or use to change their weights.
                module.training = False
            yield
        finally:
            for module, mode in modes:
                module.training = mode
            kept = {(module, name) for module, name, _, _ in buffers}
            for module in net.modules():
                for name in [name for name in module._buffers if (module, name) not in kept]:
                    del module._buffers[name]  # registered while it ran
            with torch.no_grad():
                for table, rows in tables:
                    if not torch.equal(table, rows):
                        table.copy_(rows)
            for module, name, buffer, value in buffers:
                module._buffers[name] = buffer
                if buffer is not None and buffer.grad_fn is not None and value is not None:
                    buffer.detach_()  # written to by what needs gradients
                if buffer is not None and value is not None and not torch.equal(buffer, value):
                    with torch.no_grad():
                        buffer.copy_(value)
