"""Features of an RFM and of a network's first layer as pictures; how alike they are, and how well both predict."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analyses.rfm_vs_network_summary import errors, pair
from nfa.plots import DOUBLE, ROLES, figure
from nfa.plots.parts.picture import picture
from nfa.plots.theme import INK, MARKERS

FIRST, SECOND = "sgd", "adam"
"""The optimizer whose network is shown in full, and the one it is compared with."""
PICTURES = (
    ("diagonal", "rfm", FIRST, "RFM's M"),
    ("diagonal", "nfm", FIRST, "NFM (SGD)"),
    ("diagonal", "agop", FIRST, "AGOP (SGD)"),
    ("diagonal", "nfm", SECOND, "NFM (Adam)"),
    ("eigenvector", "rfm", FIRST, "RFM's M"),
    ("eigenvector", "nfm", FIRST, "NFM (SGD)"),
    ("eigenvector", "nfm", SECOND, "NFM (Adam)"),
)
TITLES = {"diagonal": "diagonal", "eigenvector": "1st eigenvector", "entry": "matrix"}
COLOURS = """Pictures: seed 0, each over its largest
entry. Diagonals from 0 (dark);
else blue is negative, white 0,
red positive."""
ROTATED = ("staircase",)
"""Their directions are random: matrices with nothing to see."""

Look = tuple[str, str, str, str, str]
"""Optimizer, what is drawn, its role, "full" or "none" (how the marker is filled), label."""
SIMILARITIES: tuple[Look, ...] = (
    (FIRST, "nfm", "nfm", "full", "M and NFM, SGD"),
    (SECOND, "nfm", "nfm", "none", "M and NFM, Adam"),
    (FIRST, "agop", "agop", "full", "M and AGOP, SGD"),
    (FIRST, "init", "init", "full", "M and untrained NFM"),
    (FIRST, "covariance", "null", "full", "M and covariance of x"),
)
METHODS: tuple[Look, ...] = (
    (FIRST, "rfm", "rfm", "full", "RFM"),
    (FIRST, "network", "network", "full", "network, SGD"),
    (SECOND, "network", "network", "none", "network, Adam"),
    (FIRST, "kernel", "kernel", "full", "kernel, no updates"),
)


def draw(table: pd.DataFrame) -> Figure:
    """Draw a row of pictures for each task that has some, then similarities and test errors of all tasks."""
    tasks = list(dict.fromkeys(table["task"]))
    shown = [task for task in tasks if _kinds(table, task) and task not in ROTATED]
    heights = [1.05] * len(shown) + [0.6 + 0.3 * len(tasks)]
    ratios = {"height_ratios": heights, "squeeze": False}
    fig, axes = figure(len(heights), len(PICTURES), width=DOUBLE, height=sum(heights) + 0.5, **ratios)
    for number, (task, row) in enumerate(zip(shown, axes, strict=False)):
        _row(table[table["task"] == task], task, row, titled=number == 0 or "entry" in _kinds(table, task))
    grid = axes[0, 0].get_gridspec()
    for ax in axes[-1]:
        ax.remove()
    seeds = table["seed"].nunique()
    left, right = fig.add_subplot(grid[-1, :4]), fig.add_subplot(grid[-1, 4:])
    _marks(table, tasks, SIMILARITIES, left)
    _marks(table, tasks, METHODS, right)
    left.set(xlim=(-0.03, 1.03), xlabel=f"cosine (mean and range of {seeds} seeds)")
    left.set_yticks(range(len(tasks)), tasks)
    right.set(xscale="log", xlabel="test error: share wrong, or MSE / variance")
    for y, task in enumerate(tasks):
        constant = errors(table[table["task"] == task]).get("constant")
        if constant is not None:
            right.vlines(constant.mean(), y - 0.4, y + 0.4, color=ROLES["null"], linewidth=1, linestyle="--")
    right.set_yticks(range(len(tasks)), [])
    _legend(left, SIMILARITIES, [])
    _legend(right, METHODS, [Line2D([], [], color=ROLES["null"], linestyle="--", label="constant answer")])
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
        if len(values):
            picture(values, _shape(len(values)), ax, signed=quantity != "diagonal")
        if titled and len(values):
            ax.set_title(f"{title}\n{TITLES[quantity]}", fontsize=7)
    if matrices:
        # Their eigenvectors are no pictures: room to say what the colours are.
        text = axes[4].text(0, 0.5, COLOURS, transform=axes[4].transAxes, va="center", fontsize=7)
        text.set_in_layout(False)
    n = rows.loc[rows["quantity"] == "rows", "value"].max()
    where = {"transform": axes[0].transAxes, "rotation": 90, "va": "center", "ha": "right"}
    axes[0].text(-0.12, 0.5, f"{task}\nn = {n:,.0f}", **where)


def _shape(entries: int) -> tuple[int, ...]:
    """Return the shape of a square picture, grey or in three colours.

    >>> _shape(64), _shape(3072)
    ((8, 8), (3, 32, 32))
    """
    side = math.isqrt(entries)
    return (side, side) if side * side == entries else (3, math.isqrt(entries // 3), math.isqrt(entries // 3))


def _marks(table: pd.DataFrame, tasks: list[str], looks: tuple[Look, ...], ax: Axes) -> None:
    for y, task in enumerate(tasks):
        for number, (optimizer, name, role, fill, _) in enumerate(looks):
            rows = table[(table["task"] == task) & (table["optimizer"] == optimizer)]
            values = errors(rows).get(name) if looks is METHODS else pair(rows, "cosine", "rfm", name)
            if values is None or values.empty:
                continue
            place = y + 0.8 * ((number + 0.5) / len(looks) - 0.5)
            ax.hlines(place, values.min(), values.max(), color=ROLES[role], linewidth=1)
            ax.plot(
                np.mean(values),
                place,
                _marker(role),
                color=ROLES[role],
                markersize=4,
                markerfacecolor=_face(role, fill),
            )
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
    where = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "borderaxespad": 0.2}
    ax.legend(handles=[*handles, *more], ncols=2, columnspacing=0.8, handletextpad=0.3, **where)
