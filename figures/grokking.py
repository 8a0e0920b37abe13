"""Grokking: accuracies, the patch's shares of NFM, AGOP and M, and diagonals, over epochs and over updates."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from analyses.grokking import models
from figures.parts import above, dashed, grid, letter
from nfa.plots import DOUBLE, ROLES, literal
from nfa.plots.conventions import FREE, shades
from nfa.plots.parts.picture import picture
from nfa.plots.theme import INK, MARKERS

LINES = {
    "train_accuracy": ("training accuracy", INK, None, ":"),
    "test_accuracy": ("test accuracy", INK, None, "-"),
    "nfm": ("NFM", ROLES["nfm"], MARKERS["nfm"], "-"),
    "agop": ("AGOP", ROLES["agop"], MARKERS["agop"], "-"),
}
"""Of a network: quantity -> label, colour, marker, line."""
ROWS = {"accuracy": ("test_accuracy", 0.5), "patch's share of the trace": ("M", None)}
"""What a row of axes shows: its name, the RFM's quantity, and the chance level (None: the share of the pixels)."""
PICTURED = 5


def draw(table: pd.DataFrame) -> Figure:
    """Draw accuracies and shares of each data set, network beside RFMs, with pictures of the diagonals below."""
    datasets = list(dict.fromkeys(table["dataset"]))
    pictured = bool(table["quantity"].str.endswith("_at").any())
    fig = Figure(figsize=(DOUBLE, 3.7 + 1.0 * pictured))
    halves = fig.subfigures(1, len(datasets), squeeze=False)[0]
    names = list(dict.fromkeys(name for _, model, name, _ in models(table) if model == "rfm"))
    looks = dict(zip(names, zip(shades("rfm", max(2, len(names))), FREE * 2, strict=False), strict=False))
    lettered: list[Axes] = []
    for half, dataset in zip(halves, datasets, strict=True):
        lettered += _half(table[table["dataset"] == dataset], half, looks, pictured)
    letter(lettered)
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle=style, markersize=3, label=label)
        for quantity, (label, colour, marker, style) in LINES.items()
        if (table["quantity"] == quantity).any()
    ]
    handles += [
        Line2D([], [], color=colour, marker=marker, markersize=3, label=name.replace("rfm", "RFM"))
        for name, (colour, marker) in looks.items()
    ]
    handles.append(dashed("chance"))
    above(fig, handles, columns=5)
    return fig


def _half(part: pd.DataFrame, half: SubFigure, looks: dict[str, Any], pictured: bool) -> list[Axes]:
    """Draw a data set: axes for the network and for RFMs by rows, then pictures; return the axes that are lettered."""
    by_model = {
        model: [(name, rows) for _, m, name, rows in models(part) if m == model] for model in ("network", "rfm")
    }
    there = [model for model, found in by_model.items() if found]
    outer = half.add_gridspec(2 + pictured, len(there), height_ratios=[1, 1, *[0.8] * pictured])
    lettered = []
    for line, (quantity_name, (of_rfm, chance)) in enumerate(ROWS.items()):
        for place, model in enumerate(there):
            ax = half.add_subplot(outer[line, place])
            for name, rows in by_model[model]:
                if model == "rfm":
                    colour, marker = looks[name]
                    _path(rows[rows["quantity"] == of_rfm], ax, colour, marker, "-")
                else:
                    wanted = [each for each in LINES if each.endswith("accuracy") == (line == 0)]
                    for each in wanted:
                        _, colour, marker, style = LINES[each]
                        _path(rows[rows["quantity"] == each], ax, colour, marker, style)
            pixels = part.loc[part["quantity"] == "pixels", "value"]
            level = chance if chance is not None else pixels.mean()
            ax.axhline(level, color=ROLES["null"], linestyle="--", linewidth=0.8, zorder=0)
            _axes(ax, model, line, first=place == 0, about=part, ylabel=quantity_name)
            lettered += [ax] if place == 0 else []
    if pictured:
        lettered += _pictures(part, half, outer[-1, :])
    return lettered


def _axes(ax: Axes, model: str, line: int, *, first: bool, about: pd.DataFrame, ylabel: str) -> None:
    ax.set_ylim(-0.03, 1.03)
    ax.grid(axis="y", alpha=0.25)
    if first:
        ax.set_ylabel(ylabel if line == 0 else ylabel.replace(" of", "\nof"))
    else:
        ax.set_yticklabels([])
    if model == "network":
        ax.set_xscale("symlog", linthresh=1, linscale=0.3)
        last = int(about.loc[about["model"] == "network", "time"].max())
        ticks = [tick for tick in (0, 1, 10, 100, 1000, 10_000) if tick <= last]
        ax.set_xticks(ticks, [str(tick) for tick in ticks])
        ax.minorticks_off()
        ax.set_xlim(left=-0.1)
    else:
        ax.set_xticks(range(0, int(about.loc[about["model"] == "rfm", "time"].max()) + 1, 2))
    if line == 0:
        n = int(about["n"].iloc[0])
        ax.set_title(f"{literal(about['dataset'].iloc[0])}, {n} rows,\nnetwork" if model == "network" else "RFM")
    else:
        ax.set_xlabel("epochs" if model == "network" else "updates of M")


def _path(rows: pd.DataFrame, ax: Axes, colour: Any, marker: str | None, style: str) -> None:
    """Draw the mean over seeds, with their range as a band."""
    times = rows.groupby("time")["value"]
    if not len(rows):
        return
    means = times.mean()
    ax.fill_between(means.index, times.min(), times.max(), color=colour, alpha=0.2, linewidth=0)
    ax.plot(means.index, means, color=colour, marker=marker, linestyle=style, markersize=3, markeredgewidth=0)


def _pictures(part: pd.DataFrame, half: SubFigure, place: Any) -> list[Axes]:
    """Draw the network's AGOP over epochs and an RFM's M after its last update, each over its largest entry."""
    found = []
    agop = part[part["quantity"] == "agop_at"]
    for time in sorted(agop["time"].unique()):
        found.append((f"AGOP,\nepoch {time:g}", agop[agop["time"] == time]))
    M = part[part["quantity"] == "M_at"]
    if len(M):
        last = M[(M["time"] == M["time"].max()) & (M["bandwidth"] == M["bandwidth"].iloc[0])]
        last = last[last["scale"] == last["scale"].iloc[0]]
        found.append((f"M, update\n{last['time'].max():g}", last))
    found = found[-PICTURED:]
    if not found:
        return []
    inner = place.subgridspec(1, len(found))
    axes = []
    for number, (title, entries) in enumerate(found):
        ax = half.add_subplot(inner[number])
        pixels = grid(entries)
        picture(pixels.ravel(), pixels.shape, ax)
        ax.set_title(title, fontsize=7)
        axes.append(ax)
    return axes[:1]
