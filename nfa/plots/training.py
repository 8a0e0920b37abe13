"""A network while it is trained: similarities beside their nulls, score and loss, over epochs or steps."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from nfa.plots.conventions import FREE, THEME, dressed, figure_of, letters, named, refuse_axes, shades, titles
from nfa.plots.theme import INK, MARKERS, ROLES
from nfa.tables.drawn import drawn
from nfa.tables.training import Trainings, training_table

_FAR = 8.0  # audits, or losses, so unevenly far apart have a logarithmic axis
_STYLES = ("-", "--", "-.", ":")


def training(
    trainings: Trainings,
    column: str = "cosine",
    null: str | None = "rotated",
    *,
    together: bool = False,
    figure: Figure | SubFigure | None = None,
    theme: str | None = THEME,
    ax: None = None,
) -> Figure | SubFigure:
    """Draw what audits during training found: a panel for each layer, one for the score, one for the loss.

    Nulls are dashed. Of several trainings lines are means at the epochs (or steps) that all of them have, and each
    training is a thin line. Layers whose gradient is the same for every row are left out, where there are others.
    Losses are what was recorded under a name with "loss" in it.

    Args:
        trainings: A `Tracker`, its `History`, its folder or one of several, or a list of these: runs of one network.
        column: A column of numbers that was measured.
        null: "rotated" or "untrained", where the column has such a null; None for none.
        together: Whether all layers share a panel.
        figure: Where to draw, a Figure or SubFigure; by default a new Figure of a column's width.
        theme: "paper", or None for the rcParams as they are.
        ax: Refused: this function draws a whole figure.

    Raises:
        InputError: nothing was audited yet, a folder without a tracker's file, trainings of different layers, a column
            that was not measured, axes.

    >>> import nfa, torch
    >>> tracker = nfa.Tracker(torch.nn.Linear(3, 2), torch.eye(3))
    >>> for epoch in (0, 1):
    ...     _ = tracker.record(epoch=epoch, loss=0.5)
    >>> [panel.get_title() for panel in training(tracker).axes]
    ['weight', 'loss']
    """
    refuse_axes(ax, "training", "sweep(audits, x, ax=ax)")
    table = training_table(trainings, column, null)
    with dressed(theme):
        return draw_training(table, column, together, figure)


def draw_training(
    table: pd.DataFrame, column: str, together: bool = False, figure: Figure | SubFigure | None = None
) -> Figure | SubFigure:
    """Draw a table of `nfa.tables.training.training_table` on a figure."""
    layers = table[table["layer"] != ""]
    layers = layers if layers["trivial"].all() else layers[~layers["trivial"].astype(bool)]
    order = list(dict.fromkeys(layers.sort_values("number", kind="stable")["layer"]))
    score = table[table["column"] == "score"]
    losses = table[(table["layer"] == "") & (table["column"] != "score")]
    ends = [rows for rows in (score, losses) if len(rows)]
    count = (1 if together else len(order)) + len(ends)
    columns = min(2, count)
    lines = -(-count // columns)
    drawn_on = figure_of(figure, 0.55 + (1.25 if columns == 2 else 1.75) * lines)
    grid = drawn_on.add_gridspec(lines, 2 * columns)
    places = [grid[i // columns, 2 * (i % columns) : 2 * (i % columns) + 2] for i in range(count)]
    if count % columns and together:  # the first panel of three takes a whole line, ...
        places = [grid[0, :], *(grid[1, 2 * i : 2 * i + 2] for i in range(columns))]
    elif count % columns:  # ... else the last one of an odd number
        places[-1] = grid[lines - 1, :]
    axes: list[Axes] = []
    for place in places:
        axes.append(drawn_on.add_subplot(place, sharex=axes[0] if axes else None))
    handles = _all_layers(layers, order, axes[0]) if together else _each_layer(layers, order, axes)
    for ax in axes[: count - len(ends)]:
        _range(layers, ax)
    for ax in axes[0 : count - len(ends) : columns]:
        ax.set_ylabel(drawn(column).axis)
    if together:
        axes[0].set_title(drawn(column).label)
    for rows, ax in zip(ends, axes[count - len(ends) :], strict=True):
        _whole(rows, ax)
    _time(table, axes[0])
    for ax, place in zip(axes, places, strict=True):
        if place.rowspan.stop == lines:
            ax.set_xlabel(table["unit"].iloc[0])
        below = (each.colspan for each in places if each.rowspan.start > place.rowspan.start)
        ax.tick_params(labelbottom=place.colspan not in below)
    for ax in axes:
        ax.grid(axis="y", alpha=0.25)
    if count > 1:
        letters(axes)
    fitting = min(len(handles), 3)
    drawn_on.legend(handles=handles, loc="outside upper center", ncols=fitting, handlelength=1.4, columnspacing=0.9)
    return drawn_on


def _each_layer(layers: pd.DataFrame, order: list[str], axes: list[Axes]) -> list[Line2D]:
    """Draw a panel for each layer; return what the legend names."""
    for ax, name, title in zip(axes, order, titles(order, axes[0]), strict=False):
        of_layer = layers[layers["layer"] == name]
        for _, rows in of_layer.groupby("column", sort=False):
            _line(rows, ax, rows["role"].iloc[0], ROLES[rows["role"].iloc[0]], MARKERS[rows["role"].iloc[0]])
        ax.set_title(title)
    looks = layers.drop_duplicates("column")
    handles = [
        Line2D([], [], color=ROLES[role], marker=MARKERS[role], ms=3, label=label)
        for role, label in zip(looks["role"], looks["series"], strict=True)
    ]
    return [*handles, *_null_handle(layers)]


def _all_layers(layers: pd.DataFrame, order: list[str], ax: Axes) -> list[Line2D]:
    """Draw all layers in one panel, lighter for the first ones; return what the legend names."""
    own = layers[layers["column"] == layers["column"].iloc[-1]]
    names, handles = named(order), []
    for number, (name, colour) in enumerate(zip(order, shades(own["role"].iloc[0], len(order)), strict=True)):
        mark = FREE[number % len(FREE)]
        _line(own[own["layer"] == name], ax, "", colour, mark)
        if names[name] != "_":
            handles.append(Line2D([], [], color=colour, marker=mark, ms=3, label=names[name]))
    return [*handles, *_null_handle(own)]


def _null_handle(layers: pd.DataFrame) -> list[Line2D]:
    if layers["null"].isna().all():
        return []
    kind = "untrained" if (layers["null_kind"] == "untrained").any() else "by chance"
    return [Line2D([], [], color=ROLES["null"], linestyle="--", lw=0.8, label=kind)]


def _line(rows: pd.DataFrame, ax: Axes, role: str, colour: Any, mark: str) -> None:
    """Draw the mean over runs, its null dashed, and each of several runs thin."""
    means = _means(rows)
    ax.plot(means.index, means["null"], color=colour, linestyle="--", lw=0.8, zorder=1)
    _thin(rows, ax, colour)
    face = "white" if role == "init" else colour
    ax.plot(means.index, means["value"], color=colour, marker=mark, ms=3, mfc=face, clip_on=False, zorder=3)


def _thin(rows: pd.DataFrame, ax: Axes, colour: Any) -> None:
    """Draw each of several runs thin; one with a single audit, which makes no line, as a dot."""
    runs = [run for _, run in rows.groupby("run", sort=False)]
    for run in runs if len(runs) > 1 else []:
        dot = "." if len(run) == 1 else ""
        ax.plot(run["time"], run["value"], color=colour, marker=dot, ms=3, lw=0.5, alpha=0.6, zorder=2)


def _means(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the means of value and null over runs at the times that all have; NaN where one of them is undefined.

    Means over some runs here and over others there would go up and down with the runs.
    """
    at_time = rows.groupby("time")
    values = at_time[["value", "null"]]
    means = values.mean().where(values.count().eq(at_time.size(), axis=0))
    return means[at_time["run"].nunique() == rows["run"].nunique()]


def _whole(rows: pd.DataFrame, ax: Axes) -> None:
    """Draw the score beside that of a constant answer, or the losses."""
    names = list(dict.fromkeys(rows["column"]))
    for name, style in zip(names, _STYLES * len(names), strict=False):
        own = rows[rows["column"] == name]
        means = _means(own)
        _thin(own, ax, INK)
        ax.plot(means.index, means["value"], color=INK, linestyle=style, label=own["series"].iloc[0])
        if means["null"].notna().any():
            ax.plot(means.index, means["null"], color=ROLES["null"], linestyle="--", lw=0.8)
            ax.annotate(
                "constant", (1, means["null"].dropna().iloc[-1]), (0, 1.5), ax.get_yaxis_transform(),
                textcoords="offset points", ha="right", va="bottom", fontsize=7, color=ROLES["null"],
            )  # fmt: skip
    if len(names) > 1:
        ax.legend(handlelength=1.4, borderpad=0.1, borderaxespad=0.2)
    ax.set_title("score" if names == ["score"] else names[0].replace("_", " ") if len(names) == 1 else "losses")
    values = rows["value"].to_numpy(dtype=float)
    values = values[np.isfinite(values)]  # a loss may have become infinite
    if "score" in names:
        ax.set_ylim(min(0.0, 1.05 * float(values.min(initial=0.0))), 1.03)
    elif len(values) and values.min() > 0 and values.max() / values.min() >= _FAR:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.minorticks_off()


def _range(layers: pd.DataFrame, ax: Axes) -> None:
    """Let similarities share the range 0 to 1; other columns share their own."""
    values = layers[["value", "null"]].to_numpy(dtype=float)
    low, high = np.nanmin(values, initial=0.0), np.nanmax(values, initial=0.0)
    ax.set_ylim(1.05 * float(low), 1.03 if high <= 1 + 1e-6 else 1.05 * float(high))


def _time(table: pd.DataFrame, ax: Axes) -> None:
    """Lay out time, in whole numbers: logarithmic from the first audit after 0 where the audits become rarer."""
    times = np.unique(table["time"].to_numpy(dtype=float))
    gaps = np.diff(times)
    ax.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    if not len(gaps) or gaps.max() / gaps.min() < _FAR:
        return
    start = times[times > 0].min()
    ax.set_xscale("symlog", linthresh=start, linscale=0.3)
    ax.set_xlim(-0.1 * start if times[0] == 0 else 0.9 * start, 1.1 * times[-1])
    kept: list[float] = []
    for time in times[::-1]:  # from the last one back, as far apart as labels need
        if not kept or time == 0 or time <= kept[-1] * (times[-1] / start) ** -0.2:
            kept.append(time)
    ax.set_xticks(kept, [f"{time:g}" for time in kept])
    ax.minorticks_off()
