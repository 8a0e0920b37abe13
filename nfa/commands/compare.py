"""`nfa compare`."""

from pathlib import Path
from typing import Annotated

import typer

from nfa.commands.printing import say


def compare_command(
    audits: Annotated[list[Path], typer.Argument(metavar="A B ...", help="Folders that nfa audit wrote.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.html|DIR", help="The page, or the folder for it.")],
    columns: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Columns of the table, with commas between.")
    ] = None,
) -> None:
    """Put several audits side by side on one page: scores, layers by name, a figure."""
    from nfa.report import compare
    from nfa.report.comparing import COMPARED

    chosen = COMPARED if columns is None else [name.strip() for name in columns.split(",")]
    say(f"Wrote {compare(audits, out, chosen)}.")
