"""`nfa figure`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from nfa.commands.options import RESULTS, FolderOption, JsonOption, QuietOption, TargetOption, among
from nfa.commands.printing import Printer, records
from nfa.common.errors import InputError

DRAWN = "What is drawn"
"""The group of options that say what to draw."""

KINDS = ("layers", "training", "sweep", "spectrum", "powers", "features", "matrices")
"""The kinds of figures, for the completion."""


def figure_command(
    audits: Annotated[
        list[Path],
        typer.Argument(metavar="DIR", help="Folders that nfa audit wrote, or for training nfa train --audit-at."),
    ],
    *,
    kind: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="layers, training, sweep, spectrum, powers, features or matrices.",
            autocompletion=among(*KINDS),
            rich_help_panel=DRAWN,
        ),
    ],
    column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="layers, training, sweep: which column; cosine by default.",
            rich_help_panel=DRAWN,
        ),
    ] = None,
    null: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="layers, training, sweep: rotated, untrained or none.",
            autocompletion=among("rotated", "untrained", "none"),
            rich_help_panel=DRAWN,
        ),
    ] = None,
    x: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="sweep: width, depth, rows, a setting in the names, a column.",
            rich_help_panel=DRAWN,
        ),
    ] = None,
    heat: Annotated[
        bool, typer.Option("--heat", help="sweep: a heat map of layer by setting.", rich_help_panel=DRAWN)
    ] = False,
    together: Annotated[
        bool, typer.Option("--together", help="training: all layers in one panel.", rich_help_panel=DRAWN)
    ] = False,
    layer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="spectrum, powers, features, matrices: name or number.", rich_help_panel=DRAWN
        ),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(metavar="A", help="matrices: the power of the AGOP.", rich_help_panel=DRAWN),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="features: the data; their first row is drawn beside a first layer.",
            rich_help_panel=DRAWN,
        ),
    ] = None,
    target: TargetOption = None,
    folder: FolderOption = None,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FILE", help="A .pdf, .png or .svg file.", rich_help_panel=RESULTS),
    ],
    table: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Write the numbers behind the figure too.", rich_help_panel=RESULTS),
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
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
    try:
        drawn, numbers = drawn_kind(kind, list(audits), options)
    except InputError as error:
        if error.argument != "sample":
            raise
        # The sample is the first row of --data, and a table's target may be one column too many.
        named = target is None and hasattr(options["sample"], "index")
        more = f" (without --target all {len(options['sample'])} columns are features)" if named else ""
        raise InputError("data", error.problem + more) from error
    written = [str(save(drawn, out))]
    if table is not None:
        with replacing("table", table) as (new,):
            numbers.to_csv(new, index=False)
        written.append(str(table))
    printer = Printer(json, quiet)
    printer.say(f"Wrote {' and '.join(written)}.")
    printer.document({"rows": records(numbers), "written": written})


def _first_row(data: str, target: str | None, folder: Path | None) -> Any:
    """Return the first row of the data, by the names of its columns where they have names."""
    import pandas as pd

    from nfa.data import load_data

    rows = load_data(data, target, folder)
    return rows.X[0] if rows.feature_names is None else pd.Series(rows.X[0], index=list(rows.feature_names))
