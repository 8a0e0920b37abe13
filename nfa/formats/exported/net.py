"""An exported program as a module: its parameters under their own names, its graph run step by step."""

import functools
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from nfa.formats.exported.graph import Known, Ref, Step, call_arguments
from nfa.formats.exported.program import Program
from nfa.formats.names import uncompiled
from nfa.formats.nested import Part, held, parts, put_all
from nfa.formats.rows import fit_rows


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
        named = {uncompiled(name): tensors[name] for name in program.tensors.values()}
        weights = {uncompiled(name) for name in program.parameters}
        put_all(self, named, weights, {uncompiled(step.module): step.kind for step in program.steps})
        # A name that no module of the user's has: the network's own parameters may be called anything.
        self._nfa_program = program

    def forward(self, x: Tensor) -> Tensor:
        """Return the answers for n rows, in the shape that the program takes, or another that `fit_rows` knows."""
        program = self._nfa_program
        answer: Tensor = run(program, own_values(self, program), fit_rows(x, program.shape), parts(self))
        return answer


def own_values(net: nn.Module, program: Program) -> dict[str, Tensor]:
    """Return a network's parameters and buffers by the names that its program has for them."""
    own = held(net)
    return {value: own[uncompiled(name)] for value, name in program.tensors.items()}


def run(
    program: Program,
    values: dict[str, Any],
    rows: Tensor,
    within: dict[str, Part],
    watch: Callable[[Step, list[Any], Any], None] | None = None,
) -> Any:
    """Run a program's steps.

    Args:
        program: The steps.
        values: Parameters and buffers by the names of the graph; gains all other values.
        rows: Shape (n, ...), as the program takes them.
        within: The modules in which steps run, by name.
        watch: Called with every step, its arguments by position and its result.
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
        given = filled(args)
        work = functools.partial(step.function, *given, **{name: filled(kwargs[name]) for name in kwargs})
        part = within.get(uncompiled(step.module))
        result = work() if part is None else part(work)
        for name, value in zip(step.outputs, result if step.many else [result], strict=False):
            if name is not None:
                values[name] = value
        if watch is not None:
            watch(step, given, result)
    return values[program.output]
