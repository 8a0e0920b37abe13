"""What an RFM gains from a network: errors by layer and start, over updates, and the score that AGOP^alpha keeps."""

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nfa.plots import DOUBLE, ROLES, figure
from nfa.plots.theme import MARKERS

STARTS = {
    "identity": ("kernel", "identity"),
    "nfm": ("nfm", "NFM"),
    "agop": ("agop", "AGOP"),
    "init_nfm": ("init", "NFM of init"),
    "random": ("null", "random, AGOP's spectrum"),
}
"""Start -> role of its colour, and label."""
RANGE = ("pi", 100)
"""Bars from the least seed to the greatest."""


def draw(table: pd.DataFrame) -> Figure:
    """Draw a column for each data set: errors by layer, errors over updates on X, scores kept by a substitution."""
    datasets = list(table["dataset"].unique())
    fig, axes = figure(3, len(datasets), width=DOUBLE, height=6.4, squeeze=False)
    for column, (dataset, part) in enumerate(table.groupby("dataset", sort=False)):
        layers, timed, kept = (part[part["part"] == name] for name in ("layers", "time", "substitution"))
        _by_layer(axes[0, column], layers[layers["n_iters"] == 0])
        _over_updates(axes[1, column], timed)
        _substituted(axes[2, column], kept[kept["name"] == "all"])
        axes[0, column].set_title(f"{dataset}\ntest rows: {layers['n'].max():.0f}, seeds: {part['seed'].nunique()}")
    for row in axes:
        for each in row[1:]:
            each.set_ylabel("")
        handles, labels = row[0].get_legend_handles_labels()
        for each in row:
            if (legend := each.get_legend()) is not None:
                legend.remove()
        # Above the row, in room that the titles leave.
        place = {"loc": "lower left", "bbox_to_anchor": (-0.1, 0.98), "borderaxespad": 0.2, "columnspacing": 1.2}
        row[0].legend(handles, labels, fontsize=6.5, ncols=len(labels), **place).set_in_layout(False)
        for each in row:
            each.set_title(f"{each.get_title()}\n")
    fig.supxlabel("points: means over seeds; bars: from the least to the greatest", fontsize=7)
    return fig


def _points(axes: Axes, rows: pd.DataFrame, x: str, y: str, role: str, label: str, linestyle: str = "-") -> None:
    sns.pointplot(
        rows, x=x, y=y, errorbar=RANGE, color=ROLES[role], marker=MARKERS[role], label=label, ax=axes, linewidth=1,
        markersize=4, linestyle=linestyle, err_kws={"linewidth": 0.8}, native_scale=True,
    )  # fmt: skip


def _by_layer(axes: Axes, rows: pd.DataFrame) -> None:
    rows = rows.assign(error=100 * rows["error"], layer=rows["layer"] + 1)
    for start, (role, label) in STARTS.items():
        _points(axes, rows[rows["features"] == start], "layer", "error", role, label)
    network = 100 * rows.drop_duplicates("seed")["network_error"].mean()
    axes.axhline(network, color="black", linestyle="--", linewidth=0.8, label="network")
    axes.set(xlabel="layer", ylabel="test errors, %\nno updates", xticks=sorted(rows["layer"].unique()))


def _over_updates(axes: Axes, rows: pd.DataFrame) -> None:
    rows = rows.assign(error=100 * rows["error"])
    for start in ("identity", "agop"):
        role, label = STARTS[start]
        _points(axes, rows[rows["features"] == start], "n_iters", "error", role, f"from {label}")
    axes.set(xlabel="updates of M on X", ylabel="test errors, %\nRFM on X")


def _substituted(axes: Axes, rows: pd.DataFrame) -> None:
    rows = rows.assign(kept=100 * rows["score"])
    _points(axes, rows[rows["matrix"] == "agop"], "alpha", "kept", "agop", "AGOP$^\\alpha$")
    lines = {"projector": ("null", ":"), "init": ("init", ":"), "random": ("centered", ":")}
    for matrix, (role, style) in lines.items():
        score = rows[rows["matrix"] == matrix]["kept"].mean()
        axes.axhline(score, color=ROLES[role], linestyle=style, label=matrix)
    axes.axhline(100 * rows["score_before"].mean(), color="black", linestyle="--", linewidth=0.8, label="network")
    axes.set(xlabel="alpha", ylabel="test accuracy, %\nAGOP$^\\alpha$ in all hidden layers", ylim=(0, 102))
