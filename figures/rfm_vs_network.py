"""Features of an RFM and of a network's first layer as pictures; how alike they are, and how well both predict."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from analyses.rfm_vs_network_summary import errors, pair
from figures.parts import dashed, letter
from nfa.plots import DOUBLE, ROLES, literal
from nfa.plots.parts.picture import photograph, picture
from nfa.plots.theme import DIVERGING, INK, MARKERS, SEQUENTIAL

FIRST, SECOND = "sgd", "adam"
"""The optimizer whose network is shown in full, and the one it is compared with."""
PICTURES = (
    ("sample", "x", FIRST, "a sample"),
    ("diagonal", "rfm", FIRST, "M"),
    ("diagonal", "nfm", FIRST, "NFM,\nSGD"),
    ("diagonal", "agop", FIRST, "AGOP,\nSGD"),
    ("diagonal", "nfm", SECOND, "NFM,\nAdam"),
    ("diagonal", "agop", SECOND, "AGOP,\nAdam"),
    ("eigenvector", "rfm", FIRST, "M,\nvector 1"),
    ("eigenvector", "nfm", FIRST, "NFM, SGD,\nvector 1"),
    ("eigenvector", "nfm", SECOND, "NFM, Adam,\nvector 1"),
)
ROTATED = ("staircase",)
"""Their directions are random: matrices with nothing to see."""
CROPPED = 5
"""Coordinates of a polynomial's matrix that are drawn: those that it depends on are the first three."""

Look = tuple[str, str, str, str, str]
"""Optimizer, what is drawn, its role, "full" or "none" (how the marker is filled), label."""
SIMILARITIES: tuple[Look, ...] = (
    (FIRST, "nfm", "nfm", "full", "M and NFM, SGD"),
    (SECOND, "nfm", "nfm", "none", "M and NFM, Adam"),
    (FIRST, "agop", "agop", "full", "M and AGOP, SGD"),
    (SECOND, "agop", "agop", "none", "M and AGOP, Adam"),
    (FIRST, "init", "init", "full", "M and untrained NFM"),
    (FIRST, "covariance", "null", "full", "M and covariance of x"),
)
METHODS: tuple[Look, ...] = (
    (FIRST, "rfm", "rfm", "full", "RFM"),
    (FIRST, "network", "network", "full", "network, SGD"),
    (SECOND, "network", "network", "none", "network, Adam"),
    (FIRST, "kernel", "kernel", "full", "kernel, no updates"),
)
TICKS = {"onehot_mse": (1, 2, 5, 10, 20, 50, 90), "mse": (0.02, 0.05, 0.1, 0.2, 0.5, 1)}
"""By loss: where the axis of errors is written on; they lie orders of magnitude apart."""
ERRORS = {"onehot_mse": "test error, %", "mse": "test MSE / variance"}


def draw(table: pd.DataFrame) -> Figure:
    """Draw a row of pictures for each task that has some, then similarities, and test errors by their kind."""
    tasks = list(dict.fromkeys(table["task"]))
    shown = [task for task in tasks if _kinds(table, task) and task not in ROTATED]
    kinds = [loss for loss in ERRORS if (table["loss"] == loss).any()]
    heights = [0.1 + 0.85 * len(shown), 1.1 + 0.36 * len(tasks)]
    fig = Figure(figsize=(DOUBLE, sum(heights)))
    upper, lower = fig.subfigures(2, 1, height_ratios=heights) if shown else (None, fig)
    rows = []
    if upper is not None:
        axes = upper.subplots(len(shown), len(PICTURES), squeeze=False)
        for number, (task, row) in enumerate(zip(shown, axes, strict=True)):
            _row(table[table["task"] == task], task, row, titled=number == 0)
        _bars(upper, axes, [task for task in shown if "diagonal" in _kinds(table, task)], shown)
        rows = list(axes[:, 0])
    grid = lower.add_gridspec(1, 2, width_ratios=[1.1, 1])
    left = lower.add_subplot(grid[0])
    _marks(table, tasks, SIMILARITIES, left)
    left.set(xlim=(-0.03, 1.03), xlabel=f"cosine (strokes: range of {table['seed'].nunique()} seeds)")
    below = grid[1].subgridspec(len(kinds), 1)
    right = [lower.add_subplot(below[number]) for number in range(len(kinds))]
    for ax, loss in zip(right, kinds, strict=True):
        own = [task for task in tasks if (table.loc[table["task"] == task, "loss"] == loss).any()]
        _errors(table, own, loss, ax)
    _legend(left, SIMILARITIES, [])
    _legend(right[0], METHODS, [dashed("constant answer")])
    letter([*rows, left, *right])
    return fig


def _kinds(table: pd.DataFrame, task: str) -> set[str]:
    return {"diagonal", "entry"} & set(table.loc[table["task"] == task, "quantity"])


def _row(rows: pd.DataFrame, task: str, axes: Any, titled: bool) -> None:
    matrices = "entry" in set(rows["quantity"])
    for ax, (kind, name, optimizer, title) in zip(axes, PICTURES, strict=True):
        quantity = "entry" if matrices and kind == "diagonal" else kind
        chosen = (rows["quantity"] == quantity) & (rows["a"] == name) & (rows["optimizer"] == optimizer)
        values = rows[chosen].sort_values("index")["value"].to_numpy()
        ax.set_axis_off()
        if not len(values):
            continue
        if quantity == "sample":
            photograph(values, _shape(len(values)), ax)
        elif quantity == "entry":
            side = math.isqrt(len(values))
            corner = values.reshape(side, side)[:CROPPED, :CROPPED]
            picture(corner.ravel(), corner.shape, ax, signed=True, most=1.0)
        else:
            picture(values, _shape(len(values)), ax, signed=quantity != "diagonal")
        if titled:
            ax.set_title(title, fontsize=7)
    n = rows.loc[rows["quantity"] == "rows", "value"].max()
    about = f"{literal(task)}\nn = {n:,.0f}"
    if matrices:
        d = math.isqrt(int((rows[(rows["quantity"] == "entry")]["index"].max()) + 1))
        says = f"matrices,\ncoordinates\n1 to {CROPPED} of {d}"
        axes[0].text(0.5, 0.5, says, transform=axes[0].transAxes, ha="center", va="center", fontsize=7)
    where = {"transform": axes[0].transAxes, "rotation": 90, "va": "center", "ha": "right", "fontsize": 7}
    axes[0].text(-0.08, 0.5, about, **where)


def _bars(fig: SubFigure, axes: Any, pictures: list[str], shown: list[str]) -> None:
    """Say what colours mean, in the room beside the matrices, else beside the pictures."""
    maps = [("diagonals", Normalize(0, 1), SEQUENTIAL, [0, 1], ["0", "largest"])] if pictures else []
    maps.append(("vectors, matrices", Normalize(-1, 1), DIVERGING, [-1, 0, 1], ["−largest", "0", "largest"]))
    free = [ax for row, task in zip(axes, shown, strict=False) if task not in pictures for ax in row[6:]]
    for number, (label, norm, cmap, ticks, names) in enumerate(maps):
        mappable = ScalarMappable(norm, cmap)
        if free:
            place = free[0].inset_axes((0.15, 0.72 - 0.62 * number, 2.9, 0.16))
            bar = fig.colorbar(mappable, cax=place, orientation="horizontal", ticks=ticks)
            bar.ax.set_xticklabels(names)
            bar.ax.set_title(label, fontsize=7, pad=2)
            place.set_in_layout(False)


def _shape(entries: int) -> tuple[int, ...]:
    """Return the shape of a square picture, grey or in three colours.

    >>> _shape(64), _shape(3072)
    ((8, 8), (3, 32, 32))
    """
    side = math.isqrt(entries)
    return (side, side) if side * side == entries else (3, math.isqrt(entries // 3), math.isqrt(entries // 3))


def _errors(table: pd.DataFrame, tasks: list[str], loss: str, ax: Axes) -> None:
    scale = 100 if loss == "onehot_mse" else 1
    _marks(table, tasks, METHODS, ax, scale)
    for y, task in enumerate(tasks):
        constant = errors(table[table["task"] == task]).get("constant")
        if constant is not None:
            ax.vlines(scale * constant.mean(), y - 0.4, y + 0.4, color=ROLES["null"], linewidth=1, linestyle="--")
    ax.set(xscale="log", xlabel=ERRORS[loss])
    low, high = ax.get_xlim()
    ticks = [tick for tick in TICKS[loss] if low <= tick <= high]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()


def _marks(table: pd.DataFrame, tasks: list[str], looks: tuple[Look, ...], ax: Axes, scale: float = 1.0) -> None:
    for y, task in enumerate(tasks):
        for number, (optimizer, name, role, fill, _) in enumerate(looks):
            rows = table[(table["task"] == task) & (table["optimizer"] == optimizer)]
            values = errors(rows).get(name) if looks is METHODS else pair(rows, "cosine", "rfm", name)
            if values is None or values.empty:
                continue
            values, place = scale * values, y + 0.84 * ((number + 0.5) / len(looks) - 0.5)
            ax.hlines(place, values.min(), values.max(), color=ROLES[role], linewidth=1)
            ax.plot(
                np.mean(values),
                place,
                _marker(role),
                color=ROLES[role],
                markersize=4,
                markerfacecolor=_face(role, fill),
            )
    ax.set_yticks(range(len(tasks)), [literal(task) for task in tasks])
    ax.set_ylim(len(tasks) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    for between in range(1, len(tasks)):
        ax.axhline(between - 0.5, color=INK, alpha=0.15, linewidth=0.5)
    ax.grid(axis="x", alpha=0.25)


def _marker(role: str) -> str:
    return "x" if role == "null" else MARKERS[role]


def _face(role: str, fill: str) -> str:
    return "white" if fill == "none" else ROLES[role]


def _legend(ax: Axes, looks: tuple[Look, ...], more: list[Line2D]) -> None:
    handles = [
        Line2D(
            [],
            [],
            color=ROLES[role],
            marker=_marker(role),
            markerfacecolor=_face(role, fill),
            linestyle="",
            label=label,
        )
        for _, _, role, fill, label in looks
    ]
    where = {"loc": "lower left", "bbox_to_anchor": (-0.03, 1.0), "borderaxespad": 0.2}
    ax.legend(handles=[*handles, *more], ncols=2, columnspacing=0.5, handletextpad=0.2, **where)
