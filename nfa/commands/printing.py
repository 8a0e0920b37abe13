"""What commands print, and what they leave in a folder."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nfa.common.shown import printable

if TYPE_CHECKING:
    from rich.table import Table

    from nfa.audits.audit import Audit


def finish(result: "Audit", out: Path, report: bool) -> None:
    """Save an audit, print its table, then its sentences."""
    from nfa.report import sentences, write

    result.save(out)
    written = ["audit.json", "features.safetensors"]
    if report:
        written.append(write(result, out).name)
    for note in result.about["notes"]:
        say(note)
    _table(result)
    if result.skipped:
        say("Not measured: " + ", ".join(f"{each['name']} ({each['kind']})" for each in result.skipped) + ".")
    for sentence in sentences(result):
        say(sentence)
    say(f"Wrote {', '.join(written)} to {out}.")


def _table(result: "Audit") -> None:
    from rich.table import Table

    # Headings and the way from a row to each cell.
    shown: dict[str, Callable[[dict[str, Any]], str]] = {
        "layer": lambda row: row["name"],
        "d": lambda row: str(row["d_in"]),
        "k": lambda row: str(row["d_out"]),
        "cosine": lambda row: _number(row["cosine"]),
        "95 %": lambda row: f"{_number(row['ci_low'])} {_number(row['ci_high'])}",
        "untrained": lambda row: _number(row["untrained_cosine"]),
        "k/(k+d)": lambda row: _number(row["d_out"] / (row["d_out"] + row["d_in"])),
        "centered": lambda row: _number(row["cosine_centered"]),
        "sqrt": lambda row: _number(row["cosine_sqrt"]),
        "best alpha": lambda row: f"{_number(row['cosine_alpha_best'])} at {_number(row['alpha_best'])}",
        "with init": lambda row: _number(row["init_cosine"]),
        "overlap": lambda row: _number(row["subspace_overlap"]),
        "remark": lambda row: "trivial" if row["trivial"] else "",
    }
    about = result.about
    table = Table(
        title=cell(f"NFM against AGOP of {about['model']}, {result.rows} of {about['data']}"),
        caption="untrained and k/(k+d): nulls of cosine; with init: NFM against init's",
    )
    for heading in shown:
        table.add_column(heading, justify="left" if heading in ("layer", "remark") else "right")
    for layer in result:
        table.add_row(*(cell(text(layer.row)) for text in shown.values()))
    show(table)


def cell(text: str) -> str:
    """Return the text of a table's cell as rich takes it, whatever names it holds."""
    from rich.markup import escape

    return escape(printable(text))


def _number(value: float) -> str:
    return "–" if value != value else f"{value:.2f}"


def show(table: "Table") -> None:
    """Print a table, as wide as the terminal, or for 150 columns."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 150, highlight=False).print(table)


def say(sentence: str) -> None:
    """Print a sentence; names in it may be anybody's."""
    typer.echo(printable(sentence))
