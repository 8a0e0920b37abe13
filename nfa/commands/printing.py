"""Where a command's words go: sentences and tables for people, one JSON document for programs."""

import importlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nfa.common.shown import printable

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table
    from rich.text import Text

    from nfa.audits.audit import Audit
    from nfa.data import Dataset
    from nfa.features.columns import Column

WIDTH = 80
"""Columns of a terminal in which the main table fits; the least width where there is no terminal."""

MAIN = {
    "layer": ("name",),
    "cosine (95 %)": ("cosine", "ci_low", "ci_high"),
    "null": ("rotated_cosine",),
    "z": ("alignment_z",),
    "moved": ("moved",),
    "verdict": ("verdict",),
}
"""The main table: headings, and the columns of an audit that their cells show."""

MAIN_CAPTION = (
    "cosine of NFM and AGOP, with its interval over rows; null: the same with the gradients turned at random; z: of "
    "alignment, on which verdicts rest (--wide), standard deviations above chance; moved: 0 as initialised, 1 as far "
    "as unrelated weights."
)
WIDE_CAPTION = (
    "alignment of W's left vectors with the output's gradients: null and z with the gradients turned at random; cosine "
    "of NFM and AGOP: rotated (the same turned) and untrained are its nulls; with init: NFM against init's, null "
    "k/(k+d). Verdicts are by the conventions below; audit.json has every column."
)

COLOURS = {
    "learned": "bold green",
    "aligned": "cyan",
    "moved": "yellow",
    "kept": "blue",
    "unclear": "magenta",
    "dead": "red",
}
"""The colour of a verdict on a terminal; verdicts that judge nothing have none."""


@dataclass(frozen=True)
class Printer:
    """Where the words of a command go.

    Args:
        json: Whether standard output is for the document alone, so that everything else goes to standard error.
        quiet: Whether there are no words at all; errors and the document are there all the same.
    """

    json: bool = False
    quiet: bool = False

    def say(self, sentence: str) -> None:
        """Print a sentence, in which names may have any characters."""
        if not self.quiet:
            typer.echo(printable(sentence), err=self.json)

    def show(self, table: "Table", width: int | None = None, title: str = "", caption: str = "") -> None:
        """Print a table as wide as the terminal; elsewhere in a number of columns, or as wide as it is.

        Args:
            table: The table.
            width: Columns where there is no terminal.
            title: A line above it.
            caption: Sentences below it.
        """
        if self.quiet:
            return
        from rich.console import Console
        from rich.measure import Measurement
        from rich.text import Text

        stream = sys.stderr if self.json else sys.stdout
        # NO_COLOR takes bold and italics too, so that no escape sequence is left.
        colours = None if os.environ.get("NO_COLOR") else "auto"
        console = Console(stderr=self.json, highlight=False, color_system=colours)  # type: ignore[arg-type]
        if not stream.isatty():
            console.width = 10_000
            console.width = width or max(WIDTH, Measurement.get(console, console.options, table).maximum)
        for part in (Text(title, "bold"), table, Text(caption, "dim")):
            if part:
                console.print(part)

    def document(self, content: Mapping[str, Any]) -> None:
        """Print the command's result as JSON, if it is wanted."""
        if self.json:
            typer.echo(json.dumps(content, indent=1, allow_nan=False))


def check_page() -> None:
    """Refuse a page before the work, not after it, where its figures cannot be drawn."""
    importlib.import_module("nfa.plots")


def finish(printer: Printer, result: "Audit", rows: "Dataset", out: Path, report: bool, *, wide: bool = False) -> None:
    """Save an audit, print its table, then its sentences; the document is `audit.json` with the sentences."""
    from nfa.audits.files import TABLE
    from nfa.report import sentences, write
    from nfa.report.page import REPORT
    from nfa.report.words import conventions

    result.save(out)
    written = ["audit.json", "features.safetensors"]
    page = out / REPORT
    if report:
        written.append(write(result, out, rows.X[0] if rows.feature_shape else None).name)
    elif page.exists():
        printer.say(f"{page} stays as it was: it is of an earlier audit (--no-report).")
    for note in result.about.notes:
        printer.say(note)
    title = printable(f"NFM against AGOP of {result.about.model}, {result.about.rows_of_data}")
    cells, caption = (_wide(result), WIDE_CAPTION) if wide else (_main(), MAIN_CAPTION)
    printer.show(_table(result, cells), None if wide else WIDTH, title, caption)
    if result.skipped:
        printer.say("Not measured: " + ", ".join(f"{each['name']} ({each['kind']})" for each in result.skipped) + ".")
    said = sentences(result)
    for sentence in said:
        printer.say(sentence)
    printer.say(conventions(result))
    printer.say(f"Wrote {', '.join(written)} to {out}.")
    if printer.json:
        whole = json.loads((out / TABLE).read_text())
        printer.document(whole | {"sentences": said, "written": [str(out / name) for name in written]})


def _main() -> "dict[str, tuple[Column, ...]]":
    from nfa.features.columns import COLUMNS

    return {heading: tuple(COLUMNS[name] for name in members) for heading, members in MAIN.items()}


def _wide(result: "Audit") -> "dict[str, tuple[Column, ...]]":
    from nfa.features.columns import COLUMNS, printed

    return printed(result.about.columns) | {"moved": (COLUMNS["moved"],)}


def _table(result: "Audit", cells: Mapping[str, tuple["Column", ...]]) -> "Table":
    """Return a table with a row for each layer, of the cells that the audit has; a layer's name alone may be folded."""
    from rich import box
    from rich.table import Table

    there = set(result.about.columns)
    cells = {heading: members for heading, members in cells.items() if there.issuperset(each.name for each in members)}
    table = Table(box=box.SIMPLE_HEAD)
    for heading, (first, *_) in cells.items():
        text = first.kind in (str, bool)
        table.add_column(heading, justify="left" if text else "right", no_wrap=first.name != "name", overflow="fold")
    for layer in result:
        table.add_row(*(_shown(members, layer.row) for members in cells.values()))
    return table


def _shown(members: tuple["Column", ...], row: Mapping[str, Any]) -> "Text":
    """Return a cell: one column, or a value with its interval in brackets."""
    from rich.text import Text

    from nfa.features.columns import printed_cell

    first, *ends = members
    if first.name != "cosine" or not ends:
        text = printable(printed_cell(members, row))
        return Text(text, COLOURS.get(text, "") if first.name == "verdict" else "")
    value, low, high = (each.in_print(row[each.name]) for each in members)
    return Text(f"{value} ({low} to {high})" if row["ci_low"] == row["ci_low"] else value)


def records(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """Return a table's rows as JSON types, NaN as None."""
    found: list[dict[str, Any]] = json.loads(table.to_json(orient="records", double_precision=15))
    return found


def cell(text: str) -> str:
    """Return the text of a table's cell, escaped for rich."""
    from rich.markup import escape

    return escape(printable(text))
