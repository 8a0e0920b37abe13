"""What an analysis is: cells to compute, the rows that each gives, and what the table of all rows says."""

import ast
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from nfa.common.checks import one_of

Cell = Mapping[str, Any]
"""All settings of one computation, words and numbers: the columns that tell it from the others."""
Row = Mapping[str, Any]

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Options:
    """What every analysis can be asked for.

    Args:
        datasets: Names; None for the analysis's own choice.
        folder: Where data sets lie that are not built in.
        download: Fetch a picture set that is not there.
        quick: Small: to see that all works, not to believe the numbers.
    """

    datasets: tuple[str, ...] | None = None
    folder: Path | None = None
    download: bool = False
    quick: bool = False


@dataclass(frozen=True)
class Analysis:
    """A question, answered cell by cell. A module `analyses.NAME` keeps one as `ANALYSIS`.

    Its docstring has the claim, its place in the paper, what would refute it, and what the columns are.

    Args:
        cells: What there is to compute, all with the same keys; every number that matters is among them, so that a
            changed setting is another cell.
        rows: Computes one cell. Its rows are tidy: one observation each, without the cell's settings.
        findings: What the table says, in sentences; the table may be incomplete.
        variant: What stands behind the analysis's name in its table's: data of another kind are a table of their own.
    """

    cells: Callable[[Options], Sequence[Cell]]
    rows: Callable[[Cell, Options], Iterable[Row]]
    findings: Callable[[pd.DataFrame], list[str]]
    variant: Callable[[Options], str] = lambda options: ""


def names() -> list[str]:
    """Return the names of all analyses."""
    # Told from their text: to import all of them takes seconds.
    return sorted(file.stem for file in HERE.glob("*.py") if "\nANALYSIS = " in file.read_text())


def named(name: str) -> Analysis:
    """Return an analysis by name.

    Raises:
        InputError: there is none of this name.
    """
    found: Analysis = importlib.import_module(f"analyses.{one_of('analysis', name, names())}").ANALYSIS
    return found


def benchmarks() -> list[str]:
    """Return the names of all benchmarks: modules that are run by themselves."""
    return sorted(file.stem for file in HERE.glob("benchmark_*.py"))


def docstring(name: str, folder: Path = HERE) -> str:
    """Return the docstring of a module, of an analysis's unless another folder is given, without importing it."""
    return ast.get_docstring(ast.parse((folder / f"{name}.py").read_text())) or ""


def listed(names: Iterable[str], folder: Path = HERE) -> str:
    """Return a line for each module: its name, and the first line of its docstring."""
    return "\n".join(f"{name:18} {docstring(name, folder).partition(chr(10))[0]}" for name in names)
