"""Test error and what is found of the directions, over the number of training rows."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from analyses.targets import TARGETS
from figures.parts import dashed, letter
from nfa.plots import DOUBLE, ROLES, figure
from nfa.plots.theme import MARKERS

METHODS = ("rfm", "network", "kernel", "forest")
OVERLAPS = {
    ("rfm", "overlap"): "rfm",
    ("network", "overlap"): "agop",
    ("network", "overlap_nfm"): "nfm",
    ("kernel", "overlap"): "kernel",
}
"""Method and column -> role of the colour."""
LABELS = {
    "rfm": "RFM, its M",
    "network": "network, its NFM",
    "agop": "network's AGOP",
    "kernel": "kernel, no updates",
    "forest": "random forest",
}
TITLES = {
    "product": "x1 x2 [x3 > 0]",
    "square": "z1²",
    "staircase": "z1 + z1 z2 + z1 z2 z3",
    "all": "|x|², all directions",
}
"""Targets, without small letters."""


def draw(table: pd.DataFrame) -> Figure:
    """Draw a column for each target: errors above, overlaps with its directions below; means and ranges over seeds."""
    targets = [name for name in TARGETS if name in set(table["target"])]
    fig, axes = figure(2, len(targets), width=DOUBLE, height=3.7, squeeze=False, sharey="row")
    drawn, legends = [], []
    for (above, below), name in zip(axes.T, targets, strict=True):
        rows = table[table["target"] == name]
        target = TARGETS[name]
        for method in METHODS:
            _line(rows[rows["method"] == method], "test_error", method, above)
        above.axhline(1, color=ROLES["null"], linewidth=0.8, linestyle="--")
        above.set(xscale="log", yscale="log", title=f"{TITLES[name]}\nd = {target.d}")
        above.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        _ticks(rows, above)
        drawn.append(above)
        if rows["overlap"].isna().all():  # where every direction counts there is nothing to find
            above.set_xlabel("training rows")
            legends.append(below)
            continue
        for (method, column), role in OVERLAPS.items():
            _line(rows[rows["method"] == method], column, role, below)
        below.axhline(rows["overlap_null"].dropna().iloc[0], color=ROLES["null"], linewidth=0.8, linestyle="--")
        below.set(ylim=(-0.03, 1.03), xlabel="training rows", xscale="log")
        _ticks(rows, below)
        drawn.append(below)
    axes[0, 0].set_ylabel("test MSE / variance of y")
    axes[1, 0].set_ylabel("share of the directions\nin leading eigenvectors")
    seeds = table["seed"].nunique()
    handles = [
        Line2D([], [], color=ROLES[role], marker=MARKERS[role], markersize=3.5, label=label)
        for role, label in LABELS.items()
    ]
    handles.append(dashed("constant answer; random\ndirections"))
    for ax in legends:
        ax.set_axis_off()
    place = {"title": f"strokes: range of {seeds} seeds", "handlelength": 1.6, "borderaxespad": 0.0}
    if legends:
        legends[0].legend(handles=handles, loc="center left", bbox_to_anchor=(-0.1, 0.4), **place)
    else:
        fig.legend(handles=handles, loc="outside upper center", ncols=4, **place)
    letter(sorted(drawn, key=lambda ax: ax not in axes[0]))
    return fig


def _ticks(rows: pd.DataFrame, ax: Axes) -> None:
    ticks = sorted(rows["n"].unique())[::-2][::-1]
    ax.set_xticks(ticks, [f"{n:,}" for n in ticks])
    ax.minorticks_off()
    ax.grid(alpha=0.25)


def _line(rows: pd.DataFrame, column: str, role: str, ax: Axes) -> None:
    groups = rows.dropna(subset=column).groupby("n")[column]
    means = groups.mean()
    if len(means):
        ax.vlines(means.index, groups.min(), groups.max(), color=ROLES[role], linewidth=1)
        ax.plot(means.index, means, color=ROLES[role], marker=MARKERS[role], markersize=3.5)
