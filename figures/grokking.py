"""Grokking: accuracies, and the patch's shares of NFM, AGOP and M, over epochs and over updates."""

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nfa.plots import DOUBLE, ROLES, figure, literal
from nfa.plots.theme import INK, MARKERS

LINES = {
    "train_accuracy": ("training accuracy", INK, None, ":"),
    "test_accuracy": ("test accuracy", INK, None, "-"),
    "nfm": ("patch's share of NFM", ROLES["nfm"], MARKERS["nfm"], "-"),
    "agop": ("patch's share of AGOP", ROLES["agop"], MARKERS["agop"], "-"),
    "M": ("patch's share of M", ROLES["rfm"], MARKERS["rfm"], "-"),
    "pixels": ("patch's share of pixels", ROLES["null"], None, "--"),
}
MODELS = {"network": "epochs of the network", "rfm": "updates of the RFM's M"}


def draw(table: pd.DataFrame) -> Figure:
    """Draw a row of two axes for each data set: means over seeds, their range as a band."""
    datasets = list(dict.fromkeys(table["dataset"]))
    height = 0.5 + 1.75 * len(datasets)
    fig, axes = figure(len(datasets), 2, width=DOUBLE, height=height, squeeze=False, sharey=True, width_ratios=[3, 2])
    for line, dataset in zip(axes, datasets, strict=True):
        for ax, (model, unit) in zip(line, MODELS.items(), strict=True):
            part = table[(table["dataset"] == dataset) & (table["model"] == model)]
            _paths(part, ax)
            ax.set(xlabel=unit, ylim=(-0.03, 1.03), ylabel="share")
            if model == "network":
                ax.set_xscale("symlog", linthresh=1, linscale=0.3)
                ax.set_xlim(left=-0.1)
            if len(part):
                n = part["n"].iloc[0]
                ax.set_title(f"{literal(dataset)}, {n} rows")
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle=style, label=label)
        for quantity, (label, colour, marker, style) in LINES.items()
        if (table["quantity"] == quantity).any()
    ]
    title = f"bands: range of {table['seed'].nunique()} seeds"
    fig.legend(handles=handles, loc="outside upper center", ncols=3, title=title)
    return fig


def _paths(part: pd.DataFrame, ax: Axes) -> None:
    for quantity, (_, colour, marker, style) in LINES.items():
        rows = part[part["quantity"] == quantity]
        spread = {"errorbar": ("pi", 100), "err_kws": {"alpha": 0.2, "linewidth": 0}}
        look = {"color": colour, "marker": marker, "linestyle": style, "markersize": 3, "markeredgewidth": 0}
        if len(rows):
            sns.lineplot(rows, x="time", y="value", ax=ax, legend=False, **look, **spread)
