"""Run a step of an exported program, and charge its cost."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nfa.formats.exported.operators import base_name
from nfa.formats.exported.step import Known, Ref, Step
from nfa.formats.graph.budget import GraphBudget
from nfa.formats.graph.node import RunContext


def run_step(step: Step, values: Mapping[str, Any], batch: RunContext) -> Sequence[Any]:
    """Return the results of a step.

    Args:
        step: What to run.
        values: By name.
        batch: Its budget, if any, is charged for the step's results. Values should then be without numbers (torch's
            meta device), so that nothing takes memory before its size is known.

    Raises:
        Exception: whatever torch raises where the arguments do not fit.
    """
    known = {Known.BATCH: batch.rows, Known.DEVICE: batch.device}

    def filled(argument: Any) -> Any:
        if isinstance(argument, list):
            return [filled(item) for item in argument]
        if isinstance(argument, Known):
            return known[argument]
        return values[argument.name] if isinstance(argument, Ref) else argument

    args, kwargs = _arguments({name: filled(argument) for name, argument in step.given.items()}, step)
    result = step.function(*args, **kwargs)
    if batch.budget is not None:
        _charge(batch.budget, step, args, result)
    results: Sequence[Any] = result if step.many else [result]
    return results


def _arguments(given: dict[str, Any], step: Step) -> tuple[list[Any], dict[str, Any]]:
    """Return a step's arguments by position and by name: by position as long as none is left out."""
    if not isinstance(step.function, torch._ops.OpOverload):
        return list(given.values()), {}
    args: list[Any] = []
    kwargs = {}
    gap = False
    for argument in step.function._schema.arguments:
        if argument.name not in given:
            gap = True
        elif gap or argument.kwarg_only:
            kwargs[argument.name] = given[argument.name]
        else:
            args.append(given[argument.name])
    return args, kwargs


def _charge(budget: GraphBudget, step: Step, args: list[Any], result: Any) -> None:
    """Charge a step's results, and the work that no counter of matrix products sees."""
    budget.hold_all(result)
    budget.spend(sum(value.numel() for value in args if isinstance(value, Tensor)))
    base = base_name(step.target)
    if "pool" in base and isinstance(step.given.get("kernel_size"), list):
        made = result[0] if isinstance(result, tuple) else result
        budget.spend(made.numel() * math.prod(args[1]))
    elif base == "bilinear":
        budget.spend(result.numel() * args[0].shape[-1] * args[1].shape[-1])
    elif base == "addbmm":
        budget.spend(args[1].numel() * args[2].shape[-1])
