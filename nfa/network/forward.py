"""Call any network on a batch: which of its modules to run, with which arguments, and which of its outputs."""

import copy
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nfa.common.errors import InputError
from nfa.data.inputs import Inputs, count, leaves, map_inputs
from nfa.network.model import Model

ForwardArgs = Callable[[Any], Any]
"""Maps a batch's inputs to the arguments of `forward`: a tuple of them, a dict of named ones, or the only one."""

_FAILURES = (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError, NotImplementedError)


class Forward:
    """A network as a function from a batch's inputs to one floating-point tensor, samples first.

    Inputs go to the network's device; floating-point inputs, and a single input of whole numbers, become the
    dtype of its weights. Whole numbers stay whole in a dict or a tuple of inputs, and where the network
    cannot take them otherwise (an embedding). A dict becomes the arguments of these names, a tuple the
    arguments in this order.

    Args:
        net: A module, or a `Model`. `torch.compile`, `DataParallel` and `DistributedDataParallel` are looked
            through: their network runs as it was written.
        forward_args: Makes the arguments of `forward` from a batch's inputs where the above does not fit.
        head: Which output, by key or position, where the network returns several.

    Raises:
        InputError: no network, or one whose operations cannot be seen.

    >>> net = nn.Bilinear(2, 3, 4)
    >>> Forward(net)((torch.ones(5, 2), torch.ones(5, 3))).shape
    torch.Size([5, 4])
    """

    def __init__(
        self, net: "nn.Module | Model", forward_args: ForwardArgs | None = None, head: str | int | None = None
    ) -> None:
        self.ending = net.ending if isinstance(net, Model) else None
        module = net.net if isinstance(net, Model) else net
        if not isinstance(module, nn.Module):
            raise InputError(f"net: got {type(module).__name__}, expected a torch.nn.Module")
        self.net = unwrapped(module)
        if isinstance(self.net, torch.jit.ScriptModule):
            raise InputError("net: TorchScript hides its operations; hand over the nn.Module that it was made from")
        for name, parameter in self.net.named_parameters():
            if isinstance(parameter, nn.parameter.UninitializedParameter):
                raise InputError(f"net: {name} has no shape yet; run the network once on a batch of data")
        if any(tensor.is_inference() for tensor in (*self.net.parameters(), *self.net.buffers())):
            with torch.inference_mode(mode=False):  # only a copy made outside can take part in gradients
                self.net = copy.deepcopy(self.net)
        self.forward_args, self.head = forward_args, head
        floating = [p for p in self.net.parameters() if p.is_floating_point()]
        if not floating:
            raise InputError("net: it has no linear layer, and no floating-point weights at all")
        self.device, self.dtype = floating[0].device, floating[0].dtype
        self._keep_whole = False

    def __call__(self, inputs: Inputs) -> Tensor:
        """Return the chosen output (n x ...) for a batch.

        Raises:
            InputError: the output is no floating-point tensor with the samples first, or there is no such
                `head`. What the network itself raises goes through.
        """
        f = self._chosen(self._run(inputs))
        n = count(inputs)
        if not isinstance(f, Tensor) or not f.is_floating_point():
            kind = f.dtype if isinstance(f, Tensor) else type(f).__name__
            raise InputError(f"net: its output is {kind}, expected a floating-point tensor")
        if f.ndim == 0 or len(f) != n:
            raise InputError(f"net: its output has shape {tuple(f.shape)} for {n} rows of data")
        return f

    def settle(self, inputs: Inputs) -> None:
        """Find out on a few samples how the network takes whole numbers.

        Raises:
            InputError: the network cannot take the inputs at all.
        """
        try:
            self._run(inputs)
        except InputError:
            raise
        except _FAILURES as error:
            # An embedding wants the whole numbers that any other network would rather have as real ones.
            self._keep_whole = isinstance(inputs, Tensor) and not inputs.is_floating_point()
            if self._keep_whole:
                try:
                    self._run(inputs)
                except _FAILURES:
                    self._keep_whole = False
                else:
                    return
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            shapes = ", ".join(str(tuple(x.shape[1:])) for _, x in leaves(inputs))
            raise InputError(f"data: the network cannot take rows of shape {shapes}: {reason}") from error

    def _run(self, inputs: Inputs) -> Any:
        whole = self._keep_whole or not isinstance(inputs, Tensor)

        def moved(x: Tensor) -> Tensor:
            dtype = self.dtype if x.is_floating_point() or not whole else x.dtype
            return x.to(self.device, dtype, non_blocking=True)

        here = map_inputs(moved, inputs)
        arguments = here if self.forward_args is None else self.forward_args(here)
        with _as_written():
            if isinstance(arguments, Mapping):
                return self.net(**arguments)
            if isinstance(arguments, (tuple, list)):
                return self.net(*arguments)
            return self.net(arguments)

    def _chosen(self, output: Any) -> Any:
        if isinstance(output, Mapping):
            names: list[Any] = list(output)
        elif isinstance(output, Sequence) and not isinstance(output, str):
            names = list(range(len(output)))
        elif self.head is None:
            return output
        else:
            raise InputError(f"head: the network has one output, so there is none called {self.head!r}")
        if self.head is None and len(names) != 1:
            choices = ", ".join(f"head={name!r}" for name in names)
            raise InputError(f"net: its output is a {type(output).__name__} of {len(names)}; choose one: {choices}")
        head = names[0] if self.head is None else self.head
        if isinstance(head, str) and head not in names and head.isdecimal():
            head = int(head)
        if head not in names:
            raise InputError(f"head: no output {head!r}; the network has {', '.join(map(repr, names))}")
        return output[head]


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


@contextmanager
def _as_written() -> Iterator[None]:
    """Run compiled parts of a network as they were written, operation by operation."""
    with ExitStack() as stack:
        # Nothing can be compiled where the compiler was never imported, and importing it takes seconds.
        if "torch._dynamo" in sys.modules:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield
