"""`nfa figure`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from nfa.commands.options import FolderOption, TargetOption
from nfa.commands.printing import say
from nfa.common.errors import InputError


def figure_command(
    audits: Annotated[
        list[Path],
        typer.Argument(metavar="DIR ...", help="Folders that nfa audit wrote, or for training nfa train --audit-at."),
    ],
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="layers, training, sweep, spectrum, powers, features or matrices.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="A .pdf, .png or .svg file.")],
    table: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Write the numbers behind the figure too.")
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="layers, training, sweep: which column; cosine by default.")
    ] = None,
    null: Annotated[str | None, typer.Option(help="layers, training, sweep: rotated, untrained or none.")] = None,
    x: Annotated[
        str | None, typer.Option(metavar="NAME", help="sweep: width, depth, rows, a setting in the names, a column.")
    ] = None,
    heat: Annotated[bool, typer.Option("--heat", help="sweep: a heat map of layer by setting.")] = False,
    together: Annotated[bool, typer.Option("--together", help="training: all layers in one panel.")] = False,
    layer: Annotated[
        str | None, typer.Option(metavar="NAME", help="spectrum, powers, features, matrices: name or number.")
    ] = None,
    alpha: Annotated[float | None, typer.Option(help="matrices: the power of the AGOP.")] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="features: the data; their first row is drawn beside a first layer."),
    ] = None,
    target: TargetOption = None,
    folder: FolderOption = None,
) -> None:
    """Draw a figure of audits, of a column's width, and write it to FILE."""
    from nfa.common.writing import replacing
    from nfa.plots.kinds import drawn_kind
    from nfa.plots.theme import save, suffix_of

    suffix_of("out", out)
    if table is not None and table.suffix.lower() != ".csv":
        raise InputError("table", f"got {table.name!r}, expected a .csv file")
    given = {"column": column, "x": x, "alpha": alpha, "heat": heat or None, "together": together or None}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if null is not None:
        options["null"] = None if null == "none" else null
    if layer is not None:
        options["layer"] = layer
    if data is not None:
        options["sample"] = _first_row(data, target, folder)
    drawn, numbers = drawn_kind(kind, list(audits), options)
    written = [str(save(drawn, out))]
    if table is not None:
        with replacing("table", table) as (new,):
            numbers.to_csv(new, index=False)
        written.append(str(table))
    say(f"Wrote {' and '.join(written)}.")


def _first_row(data: str, target: str | None, folder: Path | None) -> Any:
    from nfa.data import load_data

    return load_data(data, target, folder).X[0]
