"""Parameters and buffers under dotted names, as in the network that was written to the file."""

from collections.abc import Callable, Container, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from nfa.formats.names import DEPTH

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Part(nn.Module):
    """A module that holds tensors, and runs the work that is done with them.

    Hooks on modules then see which part each operation belongs to, as in the original network.
    """

    def forward(self, work: Callable[[], Any]) -> Any:
        """Return what `work` returns."""
        return work()


def parts(net: nn.Module) -> dict[str, Part]:
    """Return the parts of a network by the names of their modules."""
    return {name: module for name, module in net.named_modules() if isinstance(module, Part)}


def held(net: nn.Module) -> dict[str, Tensor]:
    """Return a network's parameters and buffers by all of their names."""
    return dict(net.named_parameters(remove_duplicate=False)) | dict(net.named_buffers(remove_duplicate=False))


def put_all(
    root: nn.Module, tensors: Mapping[str, Tensor], weights: Container[str], kinds: Mapping[str, str] = _NOTHING
) -> None:
    """Register tensors under dotted names: weights of floating point as parameters, the rest as buffers.

    Args:
        root: The network.
        tensors: By name. Weights that share their memory become one parameter.
        weights: The names of those that are weights.
        kinds: As `put` takes them.

    Raises:
        KeyError: as `put`.
    """
    shared: dict[tuple[int, tuple[int, ...], tuple[int, ...]], nn.Parameter] = {}
    for name, tensor in tensors.items():
        if name in weights and tensor.is_floating_point():
            key = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride())
            put(root, name, shared.setdefault(key, nn.Parameter(tensor)), kinds)
        else:
            put(root, name, tensor, kinds)


def put(root: nn.Module, name: str, tensor: Tensor, kinds: Mapping[str, str] = _NOTHING) -> None:
    """Register a parameter or a buffer under a dotted name, and make the modules in between.

    Args:
        root: The network.
        name: The tensor's.
        tensor: What to register.
        kinds: The names of modules' classes, by the module's name, so that an audit can name what it skips.

    Raises:
        KeyError: a part of the name is empty, the name is taken or is an attribute of every module, or it has too many
            parts.

    >>> import torch
    >>> net = nn.Module()
    >>> put(net, "layers.0.weight", nn.Parameter(torch.zeros(2, 3)), {"layers.0": "Linear"})
    >>> net
    Module(
      (layers): Part(
        (0): Linear()
      )
    )
    """
    *path, last = name.split(".")
    if len(path) >= DEPTH:
        raise KeyError(f"{len(path)} modules within one another")
    module = root
    for depth, part in enumerate(path, 1):
        if part not in module._modules:
            module.add_module(part, _kind(kinds.get(".".join(path[:depth]), ""))())
        inner = module._modules[part]
        assert inner is not None
        module = inner
    if last in module._parameters or last in module._buffers:
        raise KeyError(f"{name} is taken")
    if isinstance(tensor, nn.Parameter):
        module.register_parameter(last, tensor)
    else:
        module.register_buffer(last, tensor)


@cache
def _kind(name: str) -> type[Part]:
    """Return a class of parts with the name that the file says; `Part` itself where that is no name."""
    return type(name, (Part,), {}) if name.isidentifier() and len(name) < 100 else Part
