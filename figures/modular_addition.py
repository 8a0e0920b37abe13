"""Modular addition: test accuracy and the circulant share of C over updates of M, and M itself."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.parts import letter
from nfa.plots import DOUBLE, ROLES, figure
from nfa.plots.parts.heat_map import heat_map
from nfa.plots.theme import INK, MARKERS

LOOKS = {"gaussian": "rfm", "quadratic": "kernel"}


def draw(table: pd.DataFrame) -> Figure:
    """Draw the means over seeds with their range as a band, and the upper half of M after the last update."""
    fig, (left, middle, right) = figure(1, 3, width=DOUBLE, height=2.3, width_ratios=[1, 1, 1.5])
    p, share = int(table["p"].iloc[0]), table["share"].iloc[0]
    learned = table[table["features"] == "recursion"]
    seeds = table["seed"].nunique()
    _paths(learned[learned["quantity"] == "test_accuracy"], left, f"chance, 1/{p}", 1 / p)
    left.set(ylabel="test accuracy", title=f"p = {p}, trained on {100 * share:.0f} %")
    # The identity, before the first update, has a constant C.
    circulant = learned[learned["quantity"] == "circulant"].dropna(subset="value")
    _paths(circulant, middle, "independent entries", 1 / (p + 1))
    middle.set(ylabel="circulant share of C", title=f"bands: range of {seeds} seeds")
    if len(circulant):
        middle.legend(loc="lower right", bbox_to_anchor=(1, 0.15))
    _matrix(table[table["quantity"] == "M"], p, right)
    letter([left, middle, right])
    return fig


def _paths(values: pd.DataFrame, ax: Axes, name: str, null: float) -> None:
    for kernel, role in LOOKS.items():
        rows = values[values["kernel"] == kernel]
        spread = {"errorbar": ("pi", 100), "err_kws": {"alpha": 0.25, "linewidth": 0}}
        look = {"color": ROLES[role], "marker": MARKERS[role], "markevery": 4, "markeredgewidth": 0}
        if len(rows):
            sns.lineplot(
                rows, x="iteration", y="value", label=f"{kernel} kernel", legend=False, ax=ax, **look, **spread
            )
    ax.axhline(null, color=ROLES["null"], linestyle="--", linewidth=0.8)
    ax.annotate(
        name, (1, null), (0, 2), ("axes fraction", "data"), "offset points", ha="right", color=ROLES["null"], fontsize=7
    )
    ax.set(xlabel="updates of M", ylim=(-0.03, 1.03))


def _matrix(entries: pd.DataFrame, p: int, ax: Axes) -> None:
    if entries.empty:
        ax.set_axis_off()
        return
    upper = entries.pivot_table(index="row", columns="column", values="value").to_numpy()
    A, C = upper[:, :p], upper[:, p:]
    most = float(np.abs(C).max())
    heat_map(np.clip(upper, -most, most), ax, label=f"entry of M (A's diagonal: {np.diagonal(A).mean():.2f})")
    ax.axvline(p - 0.5, color=INK, linewidth=0.8)
    updates = int(entries["iteration"].iloc[0])
    ax.set(title=f"[A, C], the upper half of M, {updates} updates", xlabel="A: a with a                C: a with b")
