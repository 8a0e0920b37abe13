"""Parameters and buffers under dotted names, as the network that a file comes from had them."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


class Part(nn.Module):
    """A part of a network that holds tensors and runs what is done with them.

    Whoever watches modules run sees which part each operation belongs to, as in the original network.
    """

    def forward(self, work: Callable[[], Any]) -> Any:
        """Return what `work` returns."""
        return work()


def put(root: nn.Module, name: str, tensor: Tensor) -> None:
    """Register a tensor under a dotted name, making the modules in between: a `Parameter` as one, else a buffer.

    Raises:
        KeyError: the name is empty in a part, taken, or that of something every module has.

    >>> import torch
    >>> net = nn.Module()
    >>> put(net, "layers.0.weight", nn.Parameter(torch.zeros(2, 3)))
    >>> [name for name, _ in net.named_parameters()]
    ['layers.0.weight']
    """
    *path, last = name.split(".")
    module = root
    for part in path:
        if part not in module._modules:
            module.add_module(part, Part())
        inner = module._modules[part]
        assert inner is not None
        module = inner
    if isinstance(tensor, nn.Parameter):
        module.register_parameter(last, tensor)
    else:
        module.register_buffer(last, tensor)
