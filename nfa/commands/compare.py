"""`nfa compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nfa.commands.printing import say, show

if TYPE_CHECKING:
    import pandas as pd


def compare_command(
    audits: Annotated[list[Path], typer.Argument(metavar="A B ...", help="Folders that nfa audit wrote.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FILE.html|DIR", help="An .html file, or a folder for compare.html: any other name."
        ),
    ],
    columns: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Columns of the table, with commas between.")
    ] = None,
) -> None:
    """Put several audits side by side on one page: scores, layers by name, figures; means where they are runs."""
    from nfa.report import compare
    from nfa.report.comparing import COMPARED, named_audits
    from nfa.tables.networks import pooled
    from nfa.tables.runs import run_table

    chosen = COMPARED if columns is None else [name.strip() for name in columns.split(",")]
    named = named_audits(audits)
    written = compare(named, out, chosen)
    table = run_table(pooled(named), _PRINTED)
    if len(table):
        _print(table)
    say(f"Wrote {written}.")


_PRINTED = ("alignment", "cosine")
"""The columns whose means over runs are printed."""


def _print(runs: "pd.DataFrame") -> None:
    """Print means over runs: a row for each network and layer."""
    from rich.markup import escape
    from rich.table import Table

    from nfa.report.comparing import row_words, run_words

    shown = Table(caption="mean ± standard deviation over runs; over rows: the 95 % interval, mean over runs")
    for heading in ("network", "layer", "verdict"):
        shown.add_column(heading)
    for column in _PRINTED:
        shown.add_column(column, justify="right")
        shown.add_column("over rows", justify="right")
    for (network, layer), rows in runs.groupby(["network", "layer"], sort=False):
        cells = [str(network), str(layer), rows["verdicts"].iloc[0]]
        for row in rows.itertuples():
            cells += [run_words(row), row_words(row)]
        shown.add_row(*map(escape, cells))
    show(shown)
