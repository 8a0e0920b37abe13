"""Accuracy against the share of coordinates kept, chosen by AGOP or M, by variance or F score, at random; the masks."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from figures.parts import above, dashed, letter
from nfa.plots import DOUBLE, ROLES, literal
from nfa.plots.parts.picture import photograph
from nfa.plots.theme import INK, MARKERS

CHOICES = {
    "agop": ("AGOP (network), M (RFM)", ROLES["agop"], MARKERS["agop"]),
    "agop_sgd": ("AGOP of a network by SGD", ROLES["nfm"], MARKERS["nfm"]),
    "f_score": ("F score", ROLES["kernel"], MARKERS["kernel"]),
    "variance": ("variance", ROLES["init"], MARKERS["init"]),
    "random": ("random", ROLES["null"], "x"),
}
MODELS = {"network": "network", "rfm": "kernel machine"}
TASKS = {"classes": ("all classes", 10), "pair": ("two classes", 2)}
"""What a task is called, and of how many classes one is right by chance."""
MASKS = (
    ("network", "agop", "AGOP"),
    ("network", "agop_sgd", "SGD"),
    ("rfm", "agop", "M"),
    ("network", "f_score", "F"),
    ("network", "variance", "var."),
)
"""Whose choice is drawn as a picture: model, choice, name."""
MASK_SHARE = 0.1


def draw(table: pd.DataFrame) -> Figure:
    """Draw axes for each model, data set and task, on one range; dots are means over seeds, bars their range."""
    columns = list(table[["dataset", "task"]].drop_duplicates().itertuples(index=False, name=None))
    masks = _masks_of(table, columns)
    fig = Figure(figsize=(DOUBLE, 3.7 + 0.75 * bool(masks)))
    upper, lower = fig.subfigures(2, 1, height_ratios=[3.7, 0.75]) if masks else (fig, None)
    axes = upper.subplots(len(MODELS), len(columns), squeeze=False, sharey=True, sharex="col")
    for line, (model, name) in zip(axes, MODELS.items(), strict=True):
        for ax, (dataset, task) in zip(line, columns, strict=True):
            part = table[(table["dataset"] == dataset) & (table["task"] == task) & (table["model"] == model)]
            words, classes = TASKS[task]
            _accuracies(part, ax)
            ax.axhline(100 / classes, color=ROLES["null"], linestyle=":", linewidth=1)
            ax.set_ylim(0, 102)
            if model == next(iter(MODELS)):
                ax.set_title(f"{literal(dataset)},\n{words}")
            else:
                ax.set_xlabel("largest kept, %")
        line[0].set_ylabel(f"{name}:\ntest accuracy, %")
    lettered = [*axes[:, 0]]
    if lower is not None:
        lettered += _masks(table, columns, masks, lower)
    letter(lettered)
    seeds = table["seed"].nunique()
    handles = [
        Line2D([], [], color=colour, marker=mark, label=name)
        for choice, (name, colour, mark) in CHOICES.items()
        if (table["choice"] == choice).any()
    ]
    handles.append(Line2D([], [], color=INK, linestyle="--", label="all coordinates"))
    handles += [dashed("chance", ":"), Line2D([], [], color=INK, linewidth=1, label=f"range of {seeds} seeds")]
    above(fig, handles, columns=4)
    return fig


def _accuracies(part: pd.DataFrame, ax: Axes) -> None:
    part = part.assign(kept=100 * part["fraction"], accuracy=100 * part["accuracy"])
    whole = part.loc[part["choice"] == "all", "accuracy"]
    if len(whole):
        ax.axhline(whole.mean(), color=INK, linestyle="--", linewidth=0.8)
    for choice, (_, colour, marker) in CHOICES.items():
        groups = part[(part["choice"] == choice) & (part["fraction"] < 1)].groupby("kept")["accuracy"]
        means = groups.mean()
        if len(means):
            ax.vlines(means.index, groups.min(), groups.max(), color=colour, linewidth=1)
            ax.plot(means.index, means, color=colour, marker=marker, markersize=4)
    ax.set_xscale("log")
    kept = sorted(part.loc[part["fraction"] < 1, "kept"].unique())
    ax.set_xticks(kept, [f"{value:g}" for value in kept], minor=False)
    ax.minorticks_off()
    ax.grid(axis="y", alpha=0.25)


def _masks_of(table: pd.DataFrame, columns: list[Any]) -> list[tuple[str, str, str]]:
    """Return those of `MASKS` that the table has for every task; others would leave gaps."""
    if "places" not in table:
        return []
    known = table[table["places"].notna() & np.isclose(table["fraction"], MASK_SHARE)]
    found = set(known[["dataset", "task", "model", "choice"]].itertuples(index=False, name=None))
    return [mask for mask in MASKS if all((*column, *mask[:2]) in found for column in columns)]


def _masks(table: pd.DataFrame, columns: list[Any], masks: list[tuple[str, str, str]], lower: SubFigure) -> list[Axes]:
    """Draw the coordinates that seed 0 keeps, a few choices for each task; return the first picture of the row."""
    grid, first = lower.add_gridspec(1, len(columns)), []
    known = table[table["places"].notna()]
    for number, (dataset, task) in enumerate(columns):
        inner = grid[number].subgridspec(1, len(masks), wspace=0.05)
        of_task = known[(known["dataset"] == dataset) & (known["task"] == task)]
        for place, (model, choice, name) in enumerate(masks):
            ax = lower.add_subplot(inner[place])
            ax.set_axis_off()
            first += [ax] if not (number or place) else []
            rows = of_task[(of_task["model"] == model) & (of_task["choice"] == choice)]
            rows = rows[np.isclose(rows["fraction"], MASK_SHARE)]
            mask = np.zeros(int(rows["d"].iloc[0]))
            mask[[int(each) for each in str(rows["places"].iloc[0]).split()]] = 1
            side = round(len(mask) ** 0.5)
            photograph(mask, (side, side) if side**2 == len(mask) else (3, *2 * [round((len(mask) / 3) ** 0.5)]), ax)
            ax.set_title(f"{name}\n{100 * MASK_SHARE:.0f} %" if place == 0 else f"{name}\n", fontsize=7, pad=2)
    return first
