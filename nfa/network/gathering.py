"""Networks whose weights lie in parts with several processes (FSDP), as a whole in each of them."""

from collections import OrderedDict
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from nfa.common.errors import InputError
from nfa.network.examinable import unwrapped
from nfa.network.model import Model

_KEPT = "__composable_api_state_key"
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


def whole(model: Model) -> Model:
    """Return a model whose network has all of its weights in this process; the same one where it has them.

    Of a network that `fully_shard` divides this is a copy as the weights are now, and all processes have to ask for it
    together. Its own hooks stay, those that bring weights together and apart do not.

    Raises:
        InputError: a network in the older `FullyShardedDataParallel`, whose weights have no shapes of their own.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return model
    from torch.distributed.fsdp import FullyShardedDataParallel
    from torch.distributed.tensor import DTensor

    net = unwrapped(model.net)
    if any(isinstance(module, FullyShardedDataParallel) for module in net.modules()):
        raise InputError("net", "FullyShardedDataParallel flattens its weights; divide it with fully_shard (FSDP2)")
    if not any(isinstance(tensor, DTensor) for tensor in (*net.parameters(), *net.buffers())):
        return model
    return replace(model, net=_plain(net, {}))


def _plain(module: nn.Module, done: dict[int, Any]) -> nn.Module:
    """Return a module over whole tensors; what is one module, or one parameter, stays one."""
    from torch.distributed.fsdp import FSDPModule

    if id(module) in done:
        found: nn.Module = done[id(module)]
        return found
    kind: type[nn.Module] = type(module)
    if isinstance(module, FSDPModule):
        kind = next(each for each in kind.__bases__ if each is not FSDPModule)  # the class as it was written
    plain = done[id(module)] = kind.__new__(kind)
    # What torch's functions for several processes keep about a module goes by keys of that name.
    plain.__dict__.update({key: each for key, each in module.__dict__.items() if not key.startswith(_KEPT)})
    plain._parameters = {name: _full(each, done) for name, each in module._parameters.items()}
    plain._buffers = {name: _full(each, done) for name, each in module._buffers.items()}
    plain._modules = {name: None if each is None else _plain(each, done) for name, each in module._modules.items()}
    for name in _HOOKS:
        kept = {key: hook for key, hook in getattr(module, name).items() if not _of_torch(hook)}
        setattr(plain, name, OrderedDict(kept))
    return plain


def _full(tensor: Any, done: dict[int, Any]) -> Any:
    from torch.distributed.tensor import DTensor

    if not isinstance(tensor, DTensor):
        return tensor
    if id(tensor) not in done:
        value: Tensor = DTensor.full_tensor(tensor).detach()
        done[id(tensor)] = (
            nn.Parameter(value, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else value
        )
    return done[id(tensor)]


def _of_torch(hook: Any) -> bool:
    """Return whether a hook is of torch's own for several processes."""
    return str(getattr(hook, "__module__", "")).startswith("torch.distributed")
