"""An exported program as a module: its parameters under their own names, its graph run step by step."""

import functools
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from nfa.network.formats.exported.graph import Known, Ref, call_arguments
from nfa.network.formats.exported.program import Program
from nfa.network.formats.nested import Part, put
from nfa.network.formats.rows import fit_rows
from nfa.network.formats.weights.torch_file import uncompiled


class ExportedNet(nn.Module):
    """A network from an exported program, always as in evaluation.

    Args:
        program: What is computed.
        tensors: Its weights, buffers and constants by name, and perhaps more. Weights that are the same memory
            become one parameter.

    Raises:
        KeyError: a tensor is missing, or has a name that no module can have.
    """

    def __init__(self, program: Program, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        shared: dict[tuple[int, tuple[int, ...], tuple[int, ...]], nn.Parameter] = {}
        for name in program.tensors.values():
            tensor = tensors[name]
            if name in program.parameters and tensor.is_floating_point():
                key = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride())
                tensor = shared.setdefault(key, nn.Parameter(tensor))
            put(self, uncompiled(name), tensor)
        # A name that no module of the user's has: the network's own parameters may be called anything.
        self._nfa_program = program

    def forward(self, x: Tensor) -> Tensor:
        """Return the answers for n rows, in the shape that the program takes or any other of as many entries."""
        program = self._nfa_program
        parts = {name: part for name, part in self.named_modules() if isinstance(part, Part)}
        answer: Tensor = run(program, {**own_values(self, program)}, fit_rows(x, program.shape), parts)
        return answer


def own_values(net: nn.Module, program: Program) -> dict[str, Tensor]:
    """Return a network's parameters and buffers by the names that its program has for them."""
    own = dict(net.named_parameters(remove_duplicate=False)) | dict(net.named_buffers(remove_duplicate=False))
    return {value: own[uncompiled(name)] for value, name in program.tensors.items()}


def run(
    program: Program,
    values: dict[str, Any],
    rows: Tensor,
    parts: dict[str, Part],
    watch: Callable[[Any], None] | None = None,
) -> Any:
    """Run a program's steps.

    Args:
        program: The steps.
        values: Parameters and buffers by the names of the graph; gains all other values.
        rows: Shape (n, ...), as the program takes them.
        parts: The modules in which steps run, by name.
        watch: Called with every result.
    """
    known = {Known.BATCH: len(rows), Known.DEVICE: rows.device}

    def filled(argument: Any) -> Any:
        if isinstance(argument, list):
            return [filled(item) for item in argument]
        if isinstance(argument, Known):
            return known[argument]
        return values[argument.name] if isinstance(argument, Ref) else argument

    values[program.rows] = rows
    for step in program.steps:
        args, kwargs = call_arguments(step)
        work = functools.partial(step.function, *filled(args), **{name: filled(kwargs[name]) for name in kwargs})
        part = parts.get(uncompiled(step.module))
        result = work() if part is None else part(work)
        for name, value in zip(step.outputs, result if step.many else [result], strict=False):
            if name is not None:
                values[name] = value
            if watch is not None:
                watch(value)
    return values[program.output]
