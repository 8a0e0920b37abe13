"""`python -m figures` lists the figures; `python -m figures NAME` draws one from its analysis's table.

A module `figures.NAME` has `draw(table)`, which returns a matplotlib figure and computes nothing but means and spreads;
where the table is that of an analysis of another name, `TABLE` says which.
"""

import argparse
import importlib
import sys
from pathlib import Path

from rich.console import Console

from analyses.analysis import listed
from analyses.running import QUICK, table_of
from analyses.table import read
from nfa.common import InputError
from nfa.common.checks import one_of
from nfa.plots import save, themed

HERE = Path(__file__).parent
PICTURES = HERE.parent / "docs" / "pictures"


def names() -> list[str]:
    """Return the names of all figures."""
    return sorted(file.stem for file in HERE.glob("*.py") if "\ndef draw(" in file.read_text())


@themed()
def drawn(name: str, table: Path, out: Path) -> Path:
    """Draw one figure from a table into a file.

    Raises:
        InputError: an unknown name, a table that cannot be read, or a file that cannot be written.
    """
    module = importlib.import_module(f"figures.{one_of('figure', name, names())}")
    out.parent.mkdir(parents=True, exist_ok=True)
    return save(module.draw(read(table)), out)


def analysis_of(name: str) -> str:
    """Return the analysis whose table a figure draws: that of its name, or its module's `TABLE`."""
    return getattr(importlib.import_module(f"figures.{one_of('figure', name, names())}"), "TABLE", name)


def main(given: list[str] | None = None) -> int:
    """Draw what is asked for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m figures", description="Draw a figure, or list all.")
    parser.add_argument("name", nargs="?", help="which; `all` for every one")
    parser.add_argument("--from", dest="table", type=Path, help="the table (analyses/results/NAME.csv)")
    parser.add_argument("--out", type=Path, help="a .png, .pdf or .svg (docs/pictures/NAME.png)")
    parser.add_argument("--quick", action="store_true", help="from the tables of quick runs, beside these")
    call, console = parser.parse_args(given), Console(highlight=False, soft_wrap=True)
    if call.name is None:
        console.print(listed(names(), HERE), markup=False)
        return 0
    try:
        for name in names() if call.name == "all" else [call.name]:
            out = call.out or (QUICK if call.quick else PICTURES) / f"{name}.png"
            console.print(str(drawn(name, call.table or table_of(analysis_of(name), call.quick), out)), markup=False)
    except InputError as error:
        Console(stderr=True).print(str(error), markup=False, style="red")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
