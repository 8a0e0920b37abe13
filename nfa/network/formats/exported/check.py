"""Try an exported program on a few random rows before anyone relies on it."""

from typing import Any

import torch
from torch import Tensor

from nfa.common.errors import InputError
from nfa.network.formats.archive import shown
from nfa.network.formats.exported.net import ExportedNet, own_values, run
from nfa.network.formats.exported.program import Program

ROWS = 3
"""Rows that are tried."""

MOST = 1 << 28
"""Entries that all values together may have for so few rows, beside those of the weights: a gigabyte in float32."""

ADVICE = "export it with dynamic_shapes=({0: torch.export.Dim('batch')},)"


def check_program(net: ExportedNet, program: Program, where: str) -> None:
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
        budget = _Budget(MOST + 16 * sum(tensor.numel() for tensor in own.values()))
        try:
            blank_rows = torch.empty((ROWS, *program.sample), dtype=program.dtype, device="meta")
            budget.spend(blank_rows)
            run(program, blank, blank_rows, {}, budget.spend)
            rows = _rows(program)
            before = [tensor._version for tensor in own.values()]
            together = net(rows.clone())
            alone = torch.cat([net(rows[number : number + 1].clone()) for number in range(ROWS)])
        except Exception as error:
            # An operator may raise anything at sizes that do not fit; its first line says most.
            reason = shown(str(error).partition("\n")[0] or type(error).__name__)
            raise InputError(f"{where} cannot be run on {ROWS} rows ({reason}){advice}") from error
        if [tensor._version for tensor in own.values()] != before:
            raise InputError(f"{where} changes its own weights; hand over the network itself")
    if not isinstance(together, Tensor) or together.ndim == 0 or len(together) != ROWS:
        raise InputError(f"{where} does not give one answer for each row{advice}")
    tolerance = 0.05 if program.dtype in (torch.float16, torch.bfloat16) else 1e-3
    scale = float(together.float().abs().nan_to_num(0.0).max()) if together.numel() else 0.0
    if alone.shape != together.shape or not torch.allclose(
        alone.double(), together.double(), tolerance, tolerance * scale, equal_nan=True
    ):
        raise InputError(f"{where} answers a row differently alone and among others: it mixes them{advice}")


def _rows(program: Program) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn((ROWS, *program.sample), generator=generator, dtype=torch.float64).to(program.dtype)


class _Budget:
    """Refuses values of sizes that only a hostile or damaged file can ask for."""

    def __init__(self, entries: int) -> None:
        self._left = entries

    def spend(self, value: Any) -> None:
        """Count a value's entries."""
        if isinstance(value, Tensor):
            self._left -= value.numel()
            if self._left < 0:
                raise InputError("its values have too many entries")
        if isinstance(value, (list, tuple)):
            for item in value:
                self.spend(item)
        if isinstance(value, int) and abs(value) > 1 << 62:
            raise InputError("a size of more than 62 bits")
