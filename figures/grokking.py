"""Grokking: accuracies, and the patch's shares of NFM, AGOP and M, over epochs and over updates."""

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analyses.grokking import models
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
MODELS = {"network": "epochs", "rfm": "updates of M"}


def draw(table: pd.DataFrame) -> Figure:
    """Draw a row for each data set, axes for each model: means over seeds, their range as a band."""
    datasets = list(dict.fromkeys(table["dataset"]))
    of = {(dataset, name): (model, part) for dataset, model, name, part in models(table)}
    # The network first; then RFMs from narrow to wide.
    names = sorted(dict.fromkeys(name for _, name in of), key=lambda name: name.startswith("rfm"))
    size = {"width": DOUBLE, "height": 0.7 + 1.75 * len(datasets), "squeeze": False, "sharey": True}
    ratios = [1 if name.startswith("rfm") else 2 for name in names]
    fig, axes = figure(len(datasets), len(names), width_ratios=ratios, **size)
    for line, dataset in zip(axes, datasets, strict=True):
        for ax, name in zip(line, names, strict=True):
            if (dataset, name) not in of:
                continue
            model, part = of[dataset, name]
            _paths(part, ax)
            ax.set(xlabel=MODELS[model], ylim=(-0.03, 1.03), ylabel="share")
            what = name.replace("rfm, ", "RFM,\n")
            ax.set_title(what if model == "rfm" else f"{literal(dataset)}, {part['n'].iloc[0]} rows,\nnetwork")
            if model == "network":
                ax.set_xscale("symlog", linthresh=1, linscale=0.3)
                ax.set_xlim(left=-0.1)
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
