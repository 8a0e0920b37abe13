"""Call any network on a batch: which of its modules to run, with which arguments, and which of its outputs."""

import copy
import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nfa.common.errors import InputError, out_of_memory
from nfa.data.inputs import Inputs, count, leaves, map_inputs
from nfa.network.as_written import as_written, running
from nfa.network.examinable import examinable
from nfa.network.model import Model

ForwardArgs = Callable[[Any], Any]
"""Maps a batch's inputs to the arguments of `forward`: a tuple of them, a dict of named ones, or a single one."""

_FAILURES = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)
"""Exceptions of networks at inputs that they cannot take."""


_WANTS_WHOLE = re.compile(
    r"scalar types: Long|tensor of type LongTensor|a long tensor|must be long,|to be Long|dtype int(32|64)"
    r"|only integer|interpreted as an integer|must be integers|\"(bitwise_|lshift|rshift|bincount)\w*\" not implemented"
)
"""What torch and Python say where they want whole numbers, as indices or for arithmetic of bits."""


@dataclasses.dataclass(frozen=True)
class _Way:
    """The dtype and shape of a single input: whole numbers, truth values or the weights' dtype.

    Args:
        whole: Whether as whole numbers.
        shape: The shape of a row; None for its own.
        truth: Whether as truth values.
        by_place: Whether the one input of a dict goes to the network's first argument, whatever that is called.
    """

    whole: bool
    shape: tuple[int, ...] | None = None
    truth: bool = False
    by_place: bool = False


class Forward:
    """A network as a function from a batch's inputs to one floating-point tensor, samples first.

    Inputs go to the network's device, floating-point ones in the dtype of its weights. A single input of whole
    numbers becomes real where the network cannot take it as it is. A dict becomes the arguments of these
    names (a single one, the first argument, if the network has none of its name), a tuple the arguments in this order.

    Args:
        net: A module, or a `Model`. `torch.compile`, `DataParallel` and `DistributedDataParallel` are looked
            through: their network runs as it was written.
        forward_args: Makes the arguments of `forward` from a batch's inputs where the above does not fit.
        head: Which output, by key or position, where the network returns several.
        row_shape: The shape in which the network may want a row whose entries come flat.
        outputs: Makes n rows of numbers of what the network returns, if that is no tensor and `head` does not choose.

    Raises:
        InputError: no network, or one whose operations cannot be seen.

    >>> net = nn.Bilinear(2, 3, 4)
    >>> Forward(net)((torch.ones(5, 2), torch.ones(5, 3))).shape
    torch.Size([5, 4])
    """

    def __init__(
        self,
        net: "nn.Module | Model",
        forward_args: ForwardArgs | None = None,
        head: str | int | None = None,
        row_shape: tuple[int, ...] | None = None,
        outputs: Callable[[Any], Any] | None = None,
    ) -> None:
        self.ending, self.classes = (net.ending, net.classes) if isinstance(net, Model) else (None, None)
        module = net.net if isinstance(net, Model) else net
        if not isinstance(module, nn.Module):
            raise InputError("net", f"got {type(module).__name__}, expected a torch.nn.Module")
        self.net = examinable(module)
        self.forward_args, self.head, self.row_shape, self.outputs = forward_args, head, row_shape, outputs
        self.outputs_made = False  # whether `outputs` has made them in the last call
        self.of_several = False  # and whether of several, so that nothing says which one targets are of
        self._own = False
        floating = [p for p in self.net.parameters() if p.is_floating_point()]
        if not floating:
            raise InputError("net", "it has no linear layer, and no floating-point weights at all")
        self.device, self.dtype = floating[0].device, floating[0].dtype
        self._way = _Way(whole=False)

    def __call__(self, inputs: Inputs) -> Tensor:
        """Return the chosen output (n x ...) for a batch.

        Raises:
            InputError: the network cannot take the batch; the output is no floating-point tensor with the
                samples first, or there is no such `head`.
        """
        n = count(inputs)
        try:
            f = self._chosen(self._run(inputs), n)
        except InputError:
            raise
        except _FAILURES as error:
            if out_of_memory(error):
                raise
            raise _refusal(inputs, error) from error
        if not isinstance(f, Tensor) or not f.is_floating_point():
            kind = f.dtype if isinstance(f, Tensor) else type(f).__name__
            raise InputError(
                "net",
                f"its output is {kind}, expected a floating-point tensor; head= chooses one of several outputs, "
                "outputs= takes a function of what it returns",
            )
        if f.ndim == 0 and n == 1:
            return f.reshape(1)
        if f.ndim == 0 or len(f) != n:
            raise InputError("net", f"its output has shape {tuple(f.shape)} for {n} rows of data")
        return f

    def width(self, inputs: Inputs) -> int:
        """Return the number of outputs c, as `extent` finds it out.

        Raises:
            InputError: as `adapt`.
        """
        return self.extent(inputs)[1]

    def extent(self, inputs: Inputs) -> tuple[int, int]:
        """Return the number of positions at which the network answers, and of outputs c at each, from a few samples.

        Raises:
            InputError: as `adapt`.
        """
        # A network may keep tensors of this run for a later one that needs gradients.
        with torch.inference_mode(mode=False), torch.no_grad():
            self.adapt(map_inputs(torch.clone, inputs))
            f = self(map_inputs(torch.clone, inputs))
        return (math.prod(f.shape[1:-1]), f.shape[-1]) if f.ndim > 1 else (1, 1)

    def of(self, net: nn.Module) -> "Forward":
        """Return a `Forward` that calls a copy of the network in the same way; the copy may be of another dtype."""
        found = copy.copy(self)
        found.net = net
        found.dtype = next(p.dtype for p in net.parameters() if p.is_floating_point())
        return found

    def own(self) -> "Forward":
        """Return a `Forward` that answers with the network's only output itself, where it returns one by name."""
        found = copy.copy(self)
        found._own = True
        return found

    def adapt(self, inputs: Inputs) -> None:
        """Find out on a few samples how the network takes them.

        Raises:
            InputError: it cannot take them at all.
        """
        refusals: dict[_Way, InputError] = {}
        for way in self._ways(inputs):
            self._way = way
            try:
                self._run(inputs)
            except _FAILURES as error:
                if out_of_memory(error):
                    raise
                refusals[way] = error if isinstance(error, InputError) else _refusal(inputs, error)
            else:
                return
        # Where no way works, the message is that of the usual one, if it says more than that whole numbers are wanted.
        whole, refusal = _Way(whole=True), refusals.get(_Way(whole=False))
        if refusal is None or (whole in refusals and _WANTS_WHOLE.search(str(refusal))):
            refusal = refusals[whole]
        raise refusal

    def _ways(self, inputs: Inputs) -> list[_Way]:
        """Return the ways to try: whole numbers as they are first, rows in their own shape and guesses last."""
        if not isinstance(inputs, Tensor):
            alone = isinstance(inputs, dict) and len(inputs) == 1 and self.forward_args is None
            return [_Way(whole=True), *([_Way(whole=True, by_place=True)] if alone else [])]
        if not inputs.is_floating_point():
            kinds = [True, False]
        else:
            kinds = [False, True] if bool((inputs == inputs.round()).all()) else [False]
        truth = [True, False] if inputs.dtype == torch.bool else [False]
        shapes: list[tuple[int, ...] | None] = [None]
        if self.row_shape is not None and inputs.ndim == 2 and math.prod(self.row_shape) == inputs.shape[1]:
            shapes.append(self.row_shape)
        return [
            _Way(whole, shape, as_truth)
            for as_truth in truth
            for whole in kinds
            for shape in shapes
            if whole or not as_truth
        ]

    def _run(self, inputs: Inputs) -> Any:
        way = self._way

        def moved(x: Tensor) -> Tensor:
            if not isinstance(inputs, Tensor):
                return x.to(self.device, self.dtype if x.is_floating_point() else x.dtype, non_blocking=True)
            # int64, so that no arithmetic of the network's wraps around.
            kind = torch.bool if way.truth else torch.int64 if way.whole else self.dtype
            x = x.to(self.device, kind, non_blocking=True)
            return x if way.shape is None else x.reshape(len(x), *way.shape)

        here = map_inputs(moved, inputs)
        arguments = here if self.forward_args is None else _arguments(self.forward_args, here)
        with as_written(), running(self.net):
            if isinstance(arguments, Mapping):
                return self.net(*arguments.values()) if way.by_place else self.net(**arguments)
            if isinstance(arguments, (tuple, list)):
                return self.net(*arguments)
            return self.net(arguments)

    def _chosen(self, output: Any, n: int) -> Any:
        found = _named_outputs(output)
        self.outputs_made = self.outputs is not None and self.head is None and not isinstance(output, Tensor)
        if self._own and found is not None and len(found) == 1:
            self.outputs_made = not isinstance(next(iter(found.values())), Tensor)
        self.of_several = self.outputs_made and found is not None and len(found) != 1
        if self.outputs is not None and self.outputs_made:
            return made_by(self.outputs, output, n)
        if found is None:
            if self.head is not None:
                raise InputError("head", f"the network has one output, so there is none called {self.head!r}")
            return output
        if self.head is None:
            if len(found) == 1:
                return next(iter(found.values()))
            choices = ", ".join(f"head={name!r}" for name in found)
            raise InputError(
                "net",
                f"its output is a {type(output).__name__} of {len(found)}; choose one: {choices}, or give outputs= a "
                "function of it",
            )
        head = self.head
        if head not in found and str(head).isdecimal() and isinstance(output, Sequence):
            head = list(found)[int(head)] if int(head) < len(found) else head
        if head not in found:
            raise InputError("head", f"no output {head!r}; the network has {', '.join(map(repr, found))}")
        return found[head]


def made_by(function: Callable[[Any], Any], output: Any, n: int) -> Tensor:
    """Return what a function of the user's makes of a network's output, once it is known to be n rows of numbers.

    Raises:
        InputError: the function fails, or returns something else.
    """
    given = f"outputs of shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
    try:
        made = function(output)
    except _FAILURES as error:
        raise InputError("outputs", f"the function cannot take {given}: {' '.join(str(error).split())}") from error
    if not isinstance(made, Tensor) or not made.is_floating_point() or made.ndim == 0 or len(made) != n:
        got = f"{made.dtype} of shape {tuple(made.shape)}" if isinstance(made, Tensor) else type(made).__name__
        raise InputError("outputs", f"the function returned {got}, expected {n} rows of floating-point numbers")
    return made


def _arguments(function: ForwardArgs, inputs: Inputs) -> Any:
    """Return what a function of the user's makes of a batch's inputs.

    Raises:
        InputError: the function fails.
    """
    try:
        return function(inputs)
    except Exception as error:  # of whatever kind: the function is the user's
        if out_of_memory(error):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError("forward_args", f"the function raised {reason}") from error


def _refusal(inputs: Inputs, error: Exception) -> InputError:
    reason = (str(error).splitlines() or [""])[0] or type(error).__name__
    shapes = ", ".join(str(tuple(x.shape[1:])) for _, x in leaves(inputs))
    call = ""
    if isinstance(inputs, dict):
        first = next(iter(inputs))
        call = (
            f"; forward_args=lambda batch: batch[{first!r}] hands over that input alone, and "
            "forward_args=lambda batch: (batch,) the dict itself"
        )
    return InputError("data", f"the network cannot take rows of shape {shapes}: {reason}{call}")


def _named_outputs(output: Any) -> dict[Any, Any] | None:
    """Return the parts of a dict, a tuple (also a named one) or a dataclass by key or position; None for one output."""
    if isinstance(output, Mapping):
        return dict(output)
    if hasattr(output, "_fields"):
        return {name: getattr(output, name) for name in output._fields}
    if dataclasses.is_dataclass(output):
        return {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
    if isinstance(output, Sequence) and not isinstance(output, str):
        return dict(enumerate(output))
    return None
