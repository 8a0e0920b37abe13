"""Printing of results, and writing them to a folder."""

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nfa.common.shown import printable

if TYPE_CHECKING:
    from rich.table import Table

    from nfa.audits.audit import Audit


def check_page() -> None:
    """Refuse a page before the work, not after it, where its figures cannot be drawn."""
    importlib.import_module("nfa.plots")


def finish(result: "Audit", out: Path, report: bool) -> None:
    """Save an audit, print its table, then its sentences."""
    from nfa.report import sentences, write
    from nfa.report.page import REPORT

    result.save(out)
    written = ["audit.json", "features.safetensors"]
    page = out / REPORT
    if report:
        written.append(write(result, out).name)
    elif page.exists():
        say(f"{page} stays as it was: it is of an earlier audit (--no-report).")
    for note in result.about.notes:
        say(note)
    _table(result)
    if result.skipped:
        say("Not measured: " + ", ".join(f"{each['name']} ({each['kind']})" for each in result.skipped) + ".")
    for sentence in sentences(result):
        say(sentence)
    say(f"Wrote {', '.join(written)} to {out}.")


def _table(result: "Audit") -> None:
    from rich.table import Table

    from nfa.features.columns import printed, printed_cell

    cells = printed(result.about.groups)
    table = Table(
        title=cell(f"NFM against AGOP of {result.about.model}, {result.rows} of {result.about.data}"),
        caption="alignment of W's left vectors with the output's gradients: null and z with the gradients turned at "
        "random; cosine of NFM and AGOP: rotated (the same turned) and untrained are its nulls; with init: NFM against "
        "init's, null k/(k+d). Verdicts are by the conventions below",
    )
    for heading, (first, *_) in cells.items():
        table.add_column(heading, justify="left" if first.kind in (str, bool) else "right")
    for layer in result:
        table.add_row(*(cell(printed_cell(members, layer.row)) for members in cells.values()))
    show(table)


def cell(text: str) -> str:
    """Return the text of a table's cell, escaped for rich."""
    from rich.markup import escape

    return escape(printable(text))


def show(table: "Table") -> None:
    """Print a table as wide as the terminal; elsewhere 150 columns wide."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 150, highlight=False).print(table)


def say(sentence: str) -> None:
    """Print a sentence, in which names may have any characters."""
    typer.echo(printable(sentence))
