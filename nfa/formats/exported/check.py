"""Try an exported program on a few random rows before anyone relies on it."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from nfa.common.errors import Place
from nfa.common.shown import shown
from nfa.formats.exported.aten import base_name
from nfa.formats.exported.graph import Step
from nfa.formats.exported.net import ExportedNet, own_values, run
from nfa.formats.exported.program import Program
from nfa.formats.rows import same_answers

ROWS = 3
"""Rows that are tried."""

MOST = 1 << 28
"""Entries that all values together may have for so few rows, beside those of the weights: a gigabyte in float32."""

WORK = 1 << 36
"""Entries read and multiply-adds that so few rows may take, beside those that go with the weights: a few seconds."""

FOR_EACH = 1 << 17
"""How many more they may take for each entry of the weights: a weight may be applied at many places of a picture."""

ADVICE = "export it with dynamic_shapes=({0: torch.export.Dim('batch')},)"


def check_program(net: ExportedNet, program: Program, where: Place) -> None:
    """See that a program answers any number of rows, each by itself.

    The first run is without numbers (torch's meta device), so that no program takes memory before its
    sizes are known.

    Raises:
        InputError: it cannot be run, takes more memory than a network of its size can need, changes its
            weights, or does not answer rows one by one.
    """
    advice = "" if program.batch is None else f"; {ADVICE}"
    with torch.no_grad():
        own = own_values(net, program)
        blank = {value: tensor.to("meta") for value, tensor in own.items()}
        held = sum(tensor.numel() for tensor in own.values())
        budget = _Budget(MOST + 16 * held, WORK + FOR_EACH * held)
        try:
            blank_rows = torch.empty((ROWS, *program.sample), dtype=program.dtype, device="meta")
            budget.hold(blank_rows)
            with FlopCounterMode(display=False) as counter:
                run(program, blank, blank_rows, {}, budget.watch)
            budget.spend(counter.get_total_flops() // 2)
            rows = _rows(program)
            before = [tensor._version for tensor in own.values()]
            together = net(rows.clone())
            alone = torch.cat([net(rows[number : number + 1].clone()) for number in range(ROWS)])
        except Exception as error:
            # An operator may raise anything at sizes that do not fit; its first line says most.
            reason = shown(str(error).partition("\n")[0] or type(error).__name__)
            raise where.error(f"cannot be run on {ROWS} rows ({reason}){advice}") from error
        if [tensor._version for tensor in own.values()] != before:
            raise where.error("changes its own weights; hand over the network itself")
    if not isinstance(together, Tensor) or together.ndim == 0 or len(together) != ROWS:
        raise where.error(f"does not give one answer for each row{advice}")
    if not same_answers(alone, together):
        raise where.error(f"answers a row differently alone and among others: it mixes them{advice}")


def _rows(program: Program) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn((ROWS, *program.sample), generator=generator, dtype=torch.float64).to(program.dtype)


class _Budget:
    """Refuses sizes that only a hostile or damaged file can ask for.

    Args:
        entries: That all values may have.
        work: Entries read and multiply-adds that all steps may take.
    """

    def __init__(self, entries: int, work: int) -> None:
        self._entries = entries
        self._work = work

    def watch(self, step: Step, given: list[Any], result: Any) -> None:
        """Count what a step makes, and what it takes that no counter of matrix products sees."""
        self.hold(result)
        self.spend(sum(value.numel() for value in given if isinstance(value, Tensor)))
        base = base_name(step.target)
        if "pool" in base and isinstance(step.given.get("kernel_size"), list):
            made = result[0] if isinstance(result, tuple) else result
            self.spend(made.numel() * math.prod(given[1]))
        elif base == "bilinear":
            self.spend(result.numel() * given[0].shape[-1] * given[1].shape[-1])
        elif base == "addbmm":
            self.spend(given[1].numel() * given[2].shape[-1])

    def hold(self, value: Any) -> None:
        """Count a value's entries."""
        if isinstance(value, Tensor):
            self._entries -= value.numel()
            if self._entries < 0:
                raise ValueError("its values have too many entries")
        if isinstance(value, (list, tuple)):
            for item in value:
                self.hold(item)
        if isinstance(value, int) and abs(value) > 1 << 62:
            raise ValueError("a size of more than 62 bits")

    def spend(self, work: int) -> None:
        """Count work."""
        self._work -= work
        if self._work < 0:
            raise ValueError("it takes too long for a network of its size")
