"""Check that a network can be examined: that it is seen as it was written, and has real weights with values."""

import copy

import torch
from torch import nn

from nfa.common.errors import InputError

DEQUANTISE = "quantized networks are not supported: give the network before quantization, or dequantized"
REAL = "complex networks are not supported"
"""What to do about weights that are no real numbers."""

QUANTIZING = ("bitsandbytes", "torchao", "auto_gptq", "gptqmodel", "awq", "hqq", "quanto", "optimum")
"""Packages whose layers and parameters keep weights as codes."""


def examinable(module: nn.Module) -> nn.Module:
    """Return the network inside a module, in a state in which its operations and gradients can be seen.

    Raises:
        InputError: they cannot be, or its weights have no values or are no real numbers.
    """
    net = unwrapped(module)
    if torch.empty(0).is_meta:  # torch.get_default_device() does not know of the context in torch 2.6
        raise InputError("net", "inside torch.device('meta') nothing has values; leave that context first")
    if torch._C._functorch.peek_interpreter_stack() is not None:
        raise InputError("net", "inside a transform of torch.func gradients are the transform's; leave it first")
    if isinstance(net, torch.jit.ScriptModule):
        raise InputError("net", "TorchScript hides its operations; hand over the nn.Module that it was made from")
    for name, parameter in net.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise InputError("net", f"{name} has no shape yet; run the network once on a batch of data")
        if parameter.is_meta:
            raise InputError("net", f"{name} is on the meta device and has no values")
    _check_real(net)
    if any(tensor.is_inference() for tensor in (*net.parameters(), *net.buffers())):
        with torch.inference_mode(mode=False):  # only a copy made outside can take part in gradients
            return copied(net)
    return net


def copied(net: nn.Module) -> nn.Module:
    """Return a copy of a network, without the graph of its last run.

    Pruned and spectrally normed layers keep the weight that their last run computed; torch copies only what is no
    result of an operation. Raises whatever a module's own `__deepcopy__` raises.

    >>> import torch.nn.utils.prune as prune
    >>> net = prune.l1_unstructured(nn.Linear(3, 2), "weight", 0.5)
    >>> _ = net(torch.ones(1, 3))
    >>> torch.equal(copied(net).weight, net.weight)
    True
    """
    attributes = [value for module in net.modules() for value in vars(module).values()]
    tensors = [value for value in attributes if isinstance(value, torch.Tensor) and value.grad_fn is not None]
    with torch.no_grad():
        return copy.deepcopy(net, {id(value): value.detach().clone() for value in tensors})


def unwrapped(net: nn.Module) -> nn.Module:
    """Return the network inside `torch.compile`, `DataParallel` and `DistributedDataParallel`.

    >>> unwrapped(nn.DataParallel(nn.Linear(2, 1)))
    Linear(in_features=2, out_features=1, bias=True)
    """
    while True:
        if isinstance(net, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            net = net.module
        elif isinstance(inner := getattr(net, "_orig_mod", None), nn.Module):
            net = inner
        else:
            return net


def _check_real(net: nn.Module) -> None:
    """Check that weights are real numbers.

    Raises:
        InputError: they are complex, or codes of quantized ones.
    """
    for name, module in net.named_modules():
        home = type(module).__module__
        if "quantized" in home.split(".") or home.partition(".")[0] in QUANTIZING:
            raise InputError("net", f"{name or 'it'} is quantized ({type(module).__name__} of {home}); {DEQUANTISE}")
    for name, tensor in (*net.named_parameters(), *net.named_buffers()):
        if tensor.is_quantized or type(tensor).__module__.partition(".")[0] in QUANTIZING:
            raise InputError("net", f"{name} is quantized; {DEQUANTISE}")
    for name, parameter in net.named_parameters():
        if parameter.is_complex():
            raise InputError("net", f"{name} holds complex numbers; {REAL}")
