"""Try an exported program on a few random rows before anyone relies on it."""

import math

import torch
from torch.utils.flop_counter import FlopCounterMode

from nfa.common.errors import InputError, Place
from nfa.common.shown import shown
from nfa.formats.exported.program import Program
from nfa.formats.exported.step import Step
from nfa.formats.graph.budget import BudgetError, GraphBudget
from nfa.formats.graph.check import CHECKED_ROWS, check_rows
from nfa.formats.graph.net import GraphNet
from nfa.formats.graph.node import REASON, NodeError

ADVICE = "export it with dynamic_shapes=({0: torch.export.Dim('batch')},)"


def check_program(net: GraphNet[Step], program: Program, where: Place) -> None:
    """Check that a program answers any number of rows, each by itself.

    The first run is without numbers (torch's meta device), so that no program takes memory before its
    sizes are known.

    Raises:
        InputError: it cannot be run, takes more memory than a network of its size can need, changes its
            weights, or does not answer rows one by one.
    """
    advice = "" if program.batch is None else f"; {ADVICE}"
    with torch.no_grad():
        own = net.own_values()
        try:
            _run_without_numbers(net, program)
            rows = torch.randn(
                (CHECKED_ROWS, *program.sample), generator=torch.Generator().manual_seed(0), dtype=torch.float64
            )
            before = [tensor._version for tensor in own.values()]
            check_rows(net, rows.to(program.graph.dtype), where, advice)
        except NodeError as error:
            raise _cannot_run(where, error.reason, advice) from error
        except BudgetError as error:
            raise _cannot_run(where, str(error), advice) from error
        if [tensor._version for tensor in own.values()] != before:
            raise where.error("changes its own weights; hand over the network itself")


def _run_without_numbers(net: GraphNet[Step], program: Program) -> None:
    own = net.own_values()
    budget = GraphBudget.for_rows(sum(tensor.numel() for tensor in own.values()), CHECKED_ROWS)
    budget.hold(CHECKED_ROWS * math.prod(program.sample))
    blank_rows = torch.empty((CHECKED_ROWS, *program.sample), dtype=program.graph.dtype, device="meta")
    with FlopCounterMode(display=False) as counter:
        net.compute(blank_rows, {value: tensor.to("meta") for value, tensor in own.items()}, budget)
    budget.spend(counter.get_total_flops() // 2)


def _cannot_run(where: Place, reason: str, advice: str) -> InputError:
    return where.error(f"cannot be run on {CHECKED_ROWS} rows ({shown(reason, REASON)}){advice}")
