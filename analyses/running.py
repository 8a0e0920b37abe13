"""Run an analysis: compute what its table lacks, say how it goes, then what the table says."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from analyses.analysis import Cell, Options, named
from analyses.table import Results, read
from analyses.workers import computed
from nfa.common import InputError
from nfa.common.checks import one_of, positive

RESULTS, QUICK = Path("analyses/results"), Path("runs/quick")
"""Where the tables lie: those to believe, and the small ones."""


def table_of(name: str, quick: bool) -> Path:
    """Return where an analysis, or a variant of it, keeps its table."""
    return (QUICK if quick else RESULTS) / f"{name}.csv"


def run(
    name: str,
    options: Options,
    console: Console,
    *,
    out: Path | None = None,
    only: Mapping[str, Sequence[str]] | None = None,
    jobs: int = 1,
) -> int:
    """Compute the cells that the table lacks, and print the findings; return the number of cells that failed.

    Args:
        name: Of the analysis.
        options: What is asked of it.
        console: Where to print.
        out: The table; by default `table_of` the analysis's variant.
        only: By setting, the values to which to keep: other cells are left out.
        jobs: Processes.

    Raises:
        InputError: an unknown name, data or a table that cannot be used, no cell left.
    """
    analysis = named(name)
    path = out or table_of(name + analysis.variant(options), options.quick)
    cells = kept(analysis.cells(options), only or {})
    results = Results(path, cells[0])
    todo = [cell for cell in cells if results.key(cell) not in results.done]
    console.print(f"{name}: {len(cells)} cells, {len(cells) - len(todo)} of them done already.")
    started, failed = time.monotonic(), 0
    for number, (cell, future) in enumerate(computed(name, todo, options, positive("jobs", jobs)), 1):
        what = " ".join(results.key(cell))
        if (error := future.exception()) is not None:
            failed += 1
            console.print(f"{what}: failed, {type(error).__name__}: {error}", markup=False)
            continue
        rows, seconds = future.result()
        results.add(cell, rows, seconds)
        clock = time.strftime("%H:%M:%S", time.gmtime(time.monotonic() - started))
        console.print(f"{clock} {number} of {len(todo)}: {what}: {seconds:.1f} s", markup=False)
    if path.exists():
        show(name, path, console)
    return failed


def show(name: str, path: Path, console: Console) -> None:
    """Print what a table says."""
    for finding in named(name).findings(read(path)):
        console.print(finding, markup=False)
    console.print(f"Table: {path}", markup=False)


def kept(cells: Sequence[Cell], only: Mapping[str, Sequence[str]]) -> Sequence[Cell]:
    """Return the cells whose settings are among the wanted ones.

    Raises:
        InputError: an unknown setting or value, or no cell.

    >>> kept([{"fold": 0}, {"fold": 1}], {"fold": ["1"]})
    [{'fold': 1}]
    """
    for setting, values in only.items():
        one_of("only", setting, cells[0] if cells else [])
        known = {str(cell[setting]): None for cell in cells}
        wanted = {one_of(f"only: {setting}", value, known) for value in values}
        cells = [cell for cell in cells if str(cell[setting]) in wanted]
    if not cells:
        raise InputError("only", "no cell of the analysis is left")
    return cells
