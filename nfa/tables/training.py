"""The audits of one training, or of several trainings of one network, over epochs or steps."""

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from nfa.common.errors import InputError
from nfa.common.shown import few, writable
from nfa.tables.drawn import drawn, null_of
from nfa.tables.networks import Folder
from nfa.tracking.history import FILE, History, Moment
from nfa.tracking.tracker import Tracker

Training = Tracker | History | Folder
Trainings = Training | Sequence[Training]
"""The trainings that figures take: a tracker, its history, its folder, a folder of several, or a list of these."""

COLUMNS = (
    *("run", "unit", "time", "layer", "number", "column", "series", "role", "value"),
    *("null", "null_kind", "trivial"),
)


def training_table(trainings: Trainings, column: str = "cosine", null: str | None = "rotated") -> pd.DataFrame:
    """Return a column of every layer over time, the NFM against init's beside it, the score and the losses.

    Columns: run, unit ("epoch" or "step"), time, layer (name; "" for the whole network), number (in forward order, -1
    for the whole network), column, series (what is compared, in words), role (whose colour, "" for the whole network),
    value, null (NaN without one; of the score that of a constant answer) and its kind, trivial (whether the layer's
    gradient was the same for every row in all audits). Losses are what was recorded under a name with "loss" in it.

    Args:
        trainings: One, or several of one network.
        column: A column of numbers that was measured.
        null: "rotated" or "untrained": which null, where the column has one of the kind; None for none.

    Raises:
        InputError: nothing was audited yet, a folder without a tracker's file, trainings of different layers,
            trainings of epochs beside trainings of steps, an unknown column or null, or a column that was not measured.
    """
    found = _histories(trainings)
    look, own_null = drawn(column), null_of(column, null)[1]
    for run, history in found.items():
        for name in filter(None, (column, own_null)):
            if name not in history.settings["columns"]:
                raise InputError("column", f"{run} was tracked without {name}; columns= of the tracker adds it")
    moments = [(run, moment) for run, history in found.items() for moment in history.moments]
    unit = _unit(moments)
    rows = []
    for run, moment in moments:
        of_run = {"run": run, "unit": unit, "time": getattr(moment, unit)}
        rows += [of_run | row for row in _of_layers(moment, filter(None, (look.beside, column)), null)]
        rows += [of_run | row for row in _of_network(moment)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["trivial"] = table.groupby("layer")["trivial"].transform("all")
    return table[(table["column"] == column) | table["value"].notna()].reset_index(drop=True)


def _unit(moments: Sequence[tuple[str, Moment]]) -> str:
    """Return what all audits have: "epoch", else "step"."""
    without = {unit: [run for run, moment in moments if getattr(moment, unit) is None] for unit in ("epoch", "step")}
    for unit, runs in without.items():
        if not runs:
            return unit
    raise InputError(
        "tracker", f"{without['epoch'][0]} has no epochs and {without['step'][0]} has no steps: draw each by itself"
    )


def _of_layers(moment: Moment, columns: Iterator[str], null: str | None) -> list[dict[str, Any]]:
    rows = []
    for column in columns:
        look, (kind, null_column) = drawn(column), null_of(column, null)
        rows += [
            {
                "layer": writable(layer["name"]),
                "number": layer["layer"],
                "column": column,
                "series": look.label,
                "role": look.role,
                "value": float(layer[column]),
                "null": layer.get(null_column, math.nan),
                "null_kind": kind,
                "trivial": layer.get("trivial", False),
            }
            for layer in moment.layers
            if column in layer
        ]
    return rows


def _of_network(moment: Moment) -> list[dict[str, Any]]:
    whole = {"layer": "", "number": -1, "role": "", "null_kind": "", "trivial": False}
    return [
        whole
        | {
            "column": name,
            "series": name.replace("_", " "),
            "value": float(value),
            "null": moment.run.get("score_baseline", math.nan) if name == "score" else math.nan,
        }
        for name, value in moment.run.items()
        if name == "score" or "loss" in name.lower()
    ]


def _histories(trainings: Trainings) -> dict[str, History]:
    """Return histories by name; of folders by their paths.

    Raises:
        InputError: as `training_table`.
    """
    given: list[Any] = list(trainings) if isinstance(trainings, (list, tuple)) else [trainings]
    found: dict[str, History] = {}
    for number, each in enumerate(given):
        if isinstance(each, (Tracker, History)):
            found[f"run {number}"] = each.history if isinstance(each, Tracker) else each
        elif isinstance(each, (str, os.PathLike)):
            for folder in _tracked(Path(each)):
                found[writable(folder)] = History.load(folder)
        else:
            raise InputError("tracker", f"got {type(each).__name__}, expected a Tracker or the folder of one")
    if not found:
        raise InputError("tracker", "got none, expected at least one")
    names = {run: _layers(run, history) for run, history in found.items()}
    (first, expected), *rest = names.items()
    for run, layers in rest:
        if layers != expected:
            raise InputError("tracker", f"{run} has the layers {few(layers)}, but {first} has {few(expected)}")
    return found


def _layers(run: str, history: History) -> list[str]:
    if not history.moments:
        raise InputError("tracker", f"{run} is empty: no audit was due yet")
    return [writable(layer["name"]) for layer in history.moments[0].layers]


def _tracked(folder: Path) -> list[Path]:
    """Return a folder that holds a tracker's file, or the folders in it that do."""
    within = [] if (folder / FILE).exists() else sorted(file.parent for file in folder.rglob(FILE))
    return within or [folder]
