"""`nfa compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nfa.commands.options import RESULTS, JsonOption, QuietOption
from nfa.commands.printing import Printer, cell, records

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from rich.table import Table

    from nfa.audits.audit import Audit


def compare_command(
    audits: Annotated[
        list[Path], typer.Argument(metavar="DIR", help="Folders that nfa audit wrote, or that hold such folders.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE.html|DIR",
            help="An .html file, or a folder for compare.html: any other name.",
            rich_help_panel=RESULTS,
        ),
    ],
    columns: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Columns of the table, with commas between.", rich_help_panel=RESULTS),
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Put several audits side by side on one page: scores, layers by name, figures; means where they are runs."""
    from nfa.report import compare
    from nfa.report.comparing import COMPARED, compared, named_audits
    from nfa.tables.networks import pooled
    from nfa.tables.runs import run_table

    chosen = COMPARED if columns is None else [name.strip() for name in columns.split(",")]
    named = named_audits(audits)
    written = compare(named, out, chosen)
    printer, table = Printer(json, quiet), run_table(pooled(named), _PRINTED)
    if len(table):
        printer.show(_table(table), caption=CAPTION)
    else:
        printer.show(_brief(named))
    printer.say(f"Wrote {written}.")
    printer.document({"layers": compared(named, chosen), "runs": records(table), "written": [str(written)]})


CAPTION = "mean ± standard deviation over runs; over rows: the 95 % interval, mean over runs"

_PRINTED = ("alignment", "cosine")
"""The columns whose means over runs are printed."""


def _brief(named: "Mapping[str, Audit]") -> "Table":
    """Return a row for each audit: its score, and how many layers have each verdict."""
    from rich import box
    from rich.table import Table

    from nfa.report.comparing import in_brief

    shown = Table("audit", "score", "layers", box=box.SIMPLE_HEAD)
    for name, audit in named.items():
        shown.add_row(*map(cell, [name, *in_brief(audit)]))
    return shown


def _table(runs: "pd.DataFrame") -> "Table":
    """Return means over runs for print: a row for each network and layer."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from nfa.report.comparing import row_words, run_words

    shown = Table(box=box.SIMPLE_HEAD)
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
    return shown
