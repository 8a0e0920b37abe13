"""Features of an RFM and of a network's first layer as pictures; how alike they are, and how well both predict."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analyses.rfm_vs_network_summary import errors, pair
from nfa.plots import DOUBLE, ROLES, figure, picture
from nfa.plots.theme import MARKERS

PICTURES = (
    *(("diagonal", name) for name in ("rfm", "nfm", "agop", "init")),
    *(("eigenvector", name) for name in ("rfm", "nfm", "agop")),
)
NAMES = {"rfm": "RFM's M", "nfm": "NFM", "agop": "AGOP", "init": "untrained"}
SIMILARITIES = {
    ("rfm", "nfm"): ("nfm", "M and NFM"),
    ("rfm", "agop"): ("agop", "M and AGOP"),
    ("rfm", "init"): ("init", "M and untrained NFM"),
    ("rfm", "covariance"): ("null", "M and covariance of x"),
}
METHODS = {"rfm": "RFM", "network": "network", "kernel": "kernel, no updates"}


def draw(table: pd.DataFrame) -> Figure:
    """Draw a row of pictures for each task that has some, then similarities and test errors of all tasks."""
    tasks = list(dict.fromkeys(table["task"]))
    shown = [task for task in tasks if _kinds(table, task)]
    heights = [1.05] * len(shown) + [0.55 + 0.28 * len(tasks)]
    ratios = {"height_ratios": heights, "squeeze": False}
    fig, axes = figure(len(heights), len(PICTURES), width=DOUBLE, height=sum(heights) + 0.5, **ratios)
    for number, (task, row) in enumerate(zip(shown, axes, strict=False)):
        _row(table[table["task"] == task], task, row, titled=number == 0 or "entry" in _kinds(table, task))
    grid = axes[0, 0].get_gridspec()
    for ax in axes[-1]:
        ax.remove()
    seeds = table["seed"].nunique()
    left, right = fig.add_subplot(grid[-1, :4]), fig.add_subplot(grid[-1, 4:])
    _similarities(table, tasks, left)
    _errors(table, tasks, right)
    for ax in (left, right):
        ax.set(ylim=(len(tasks) - 0.5, -0.5))
        ax.grid(axis="x", alpha=0.25)
    left.set(xlabel=f"cosine (mean and range of {seeds} seeds)")
    return fig


def _kinds(table: pd.DataFrame, task: str) -> set[str]:
    return {"diagonal", "entry"} & set(table.loc[table["task"] == task, "quantity"])


def _row(rows: pd.DataFrame, task: str, axes: Any, titled: bool) -> None:
    matrices = "entry" in set(rows["quantity"])
    for ax, (quantity, name) in zip(axes, PICTURES, strict=True):
        quantity = "entry" if matrices and quantity == "diagonal" else quantity
        values = rows[(rows["quantity"] == quantity) & (rows["a"] == name)].sort_values("index")["value"].to_numpy()
        ax.set_axis_off()
        if len(values):
            side = round(len(values) ** 0.5)
            picture(values, (side, side), ax, signed=quantity != "diagonal")
        if titled and len(values):
            what = {"diagonal": "diagonal", "eigenvector": "1st eigenvector", "entry": "matrix"}[quantity]
            ax.set_title(f"{NAMES[name]}\n{what}", fontsize=7)
    n = rows.loc[rows["quantity"] == "rows", "value"].max()
    where = {"transform": axes[0].transAxes, "rotation": 90, "va": "center", "ha": "right"}
    axes[0].text(-0.12, 0.5, f"{task}\nn = {n:,.0f}", **where)


def _marks(values: pd.Series, y: float, role: str, ax: Axes) -> None:
    if len(values):
        ax.hlines(y, values.min(), values.max(), color=ROLES[role], linewidth=1)
        marker = MARKERS[role] if role != "null" else "x"
        ax.plot(np.mean(values), y, marker, color=ROLES[role], markersize=4)


def _similarities(table: pd.DataFrame, tasks: list[str], ax: Axes) -> None:
    for y, task in enumerate(tasks):
        rows = table[table["task"] == task]
        for number, (names, (role, _)) in enumerate(SIMILARITIES.items()):
            _marks(pair(rows, "cosine", *names), y + 0.18 * (number - 1.5), role, ax)
    ax.set_yticks(range(len(tasks)), tasks)
    ax.set(xlim=(-0.03, 1.03))
    looks = [(role, label) for role, label in SIMILARITIES.values()]
    _legend(ax, [(ROLES[role], MARKERS[role] if role != "null" else "x", label) for role, label in looks], 2)


def _errors(table: pd.DataFrame, tasks: list[str], ax: Axes) -> None:
    for y, task in enumerate(tasks):
        found = errors(table[table["task"] == task])
        for number, method in enumerate(METHODS):
            if method in found:
                _marks(found[method], y + 0.2 * (number - 1), method, ax)
        if "constant" in found:
            ax.vlines(found["constant"].mean(), y - 0.4, y + 0.4, color=ROLES["null"], linewidth=1, linestyle="--")
    ax.set_yticks(range(len(tasks)), [])
    ax.set(xscale="log", xlabel="test error: share wrong, or MSE / variance")
    looks = [(ROLES[method], MARKERS[method], label) for method, label in METHODS.items()]
    _legend(ax, [*looks, (ROLES["null"], "|", "constant answer")], 2)


def _legend(ax: Axes, looks: list[tuple[str, str, str]], columns: int) -> None:
    handles = [Line2D([], [], color=c, marker=m, linestyle="", label=label) for c, m, label in looks]
    where = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "borderaxespad": 0.2}
    ax.legend(handles=handles, ncols=columns, columnspacing=0.8, handletextpad=0.2, **where)
