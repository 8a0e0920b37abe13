"""Test error and what is found of the directions, over the number of training rows."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analyses.targets import TARGETS
from nfa.plots import DOUBLE, ROLES, figure
from nfa.plots.theme import MARKERS

LABELS = {"rfm": "RFM", "network": "network", "kernel": "kernel, no updates", "forest": "random forest"}


def draw(table: pd.DataFrame) -> Figure:
    """Draw a column for each target: errors above, overlaps with its directions below; means and ranges over seeds."""
    targets = [name for name in TARGETS if name in set(table["target"])]
    fig, axes = figure(2, len(targets), width=DOUBLE, height=3.9, squeeze=False, sharex=True, sharey="row")
    for (above, below), name in zip(axes.T, targets, strict=True):
        rows = table[table["target"] == name]
        target = TARGETS[name]
        _lines(rows, "test_error", above)
        above.axhline(1, color=ROLES["null"], linewidth=0.8, linestyle="--")
        above.set(xscale="log", yscale="log", title=f"{target.label}\nd = {target.d}")
        found = rows.dropna(subset="overlap")
        _lines(found, "overlap", below)
        if len(found):
            below.axhline(found["overlap_null"].iloc[0], color=ROLES["null"], linewidth=0.8, linestyle="--")
        else:
            below.text(0.5, 0.5, "nothing to find", transform=below.transAxes, ha="center", color=ROLES["null"])
        below.set(ylim=(-0.03, 1.03), xlabel="n")
        ticks = sorted(rows["n"].unique())[::-2][::-1]
        below.set_xticks(ticks, [f"{n:,}" for n in ticks])
        below.minorticks_off()
        for ax in (above, below):
            ax.grid(alpha=0.25)
    axes[0, 0].set_ylabel("test MSE / variance of y")
    axes[1, 0].set_ylabel("share of the directions\nin top eigenvectors")
    present = [method for method in LABELS if method in set(table["method"])]
    looks = [(ROLES[m], MARKERS[m], LABELS[m]) for m in present]
    handles = [Line2D([], [], color=c, marker=m, label=label) for c, m, label in looks]
    handles.append(Line2D([], [], color=ROLES["null"], linestyle="--", label="constant; random directions"))
    seeds = table["seed"].nunique()
    fig.legend(handles=handles, loc="outside upper center", ncols=5, columnspacing=1.2, handlelength=1.6)
    fig.supxlabel(f"training rows; marks: means, bars: range of {seeds} seeds", fontsize=7)
    return fig


def _lines(rows: pd.DataFrame, column: str, ax: Axes) -> None:
    for method in LABELS:
        groups = rows[rows["method"] == method].dropna(subset=column).groupby("n")[column]
        means = groups.mean()
        if len(means):
            colour = ROLES[method]
            ax.vlines(means.index, groups.min(), groups.max(), color=colour, linewidth=1)
            ax.plot(means.index, means, color=colour, marker=MARKERS[method], markersize=3.5)
