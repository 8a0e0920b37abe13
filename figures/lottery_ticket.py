"""Accuracy against the share of coordinates kept, chosen by AGOP or M, by variance or F score, at random."""

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nfa.plots import DOUBLE, ROLES, figure, literal
from nfa.plots.theme import INK, MARKERS

CHOICES = {
    "agop": ("largest AGOP (network) or M (RFM)", ROLES["agop"], MARKERS["agop"]),
    "agop_sgd": ("largest AGOP of a network by SGD", ROLES["nfm"], MARKERS["nfm"]),
    "f_score": ("largest F score", ROLES["kernel"], MARKERS["kernel"]),
    "variance": ("largest variance", ROLES["init"], MARKERS["init"]),
    "random": ("random", ROLES["null"], "x"),
}
MODELS = {"network": "network", "rfm": "kernel machine"}
TASKS = {"classes": "all classes", "pair": "two classes"}


def draw(table: pd.DataFrame) -> Figure:
    """Draw axes for each model, data set and task; dots are means over seeds, bars their range."""
    columns = list(table[["dataset", "task"]].drop_duplicates().itertuples(index=False, name=None))
    size = {"width": DOUBLE, "height": 4.0, "squeeze": False, "sharey": "col", "sharex": "col"}
    fig, axes = figure(len(MODELS), len(columns), **size)
    for line, (model, name) in zip(axes, MODELS.items(), strict=True):
        for ax, (dataset, task) in zip(line, columns, strict=True):
            part = table[(table["dataset"] == dataset) & (table["task"] == task) & (table["model"] == model)]
            _accuracies(part, ax)
            if model == next(iter(MODELS)):
                ax.set_title(f"{literal(dataset)},\n{TASKS[task]}")
            ax.set(xlabel="coordinates kept, %" if model == list(MODELS)[-1] else "", ylabel="")
        line[0].set_ylabel(f"{name}:\ntest accuracy, %")
    seeds = table["seed"].nunique()
    handles = [Line2D([], [], color=colour, marker=mark, label=name) for name, colour, mark in CHOICES.values()]
    handles.append(Line2D([], [], color=INK, linestyle="--", label=f"all coordinates (bars: range of {seeds} seeds)"))
    fig.legend(handles=handles, loc="outside upper center", ncols=2)
    return fig


def _accuracies(part: pd.DataFrame, ax: Axes) -> None:
    part = part.assign(kept=100 * part["fraction"], accuracy=100 * part["accuracy"])
    whole = part.loc[part["choice"] == "all", "accuracy"]
    if len(whole):
        ax.axhline(whole.mean(), color=INK, linestyle="--", linewidth=0.8)
    for choice, (_, colour, marker) in CHOICES.items():
        rows = part[(part["choice"] == choice) & (part["fraction"] < 1)]
        spread = {"errorbar": ("pi", 100), "err_style": "bars", "err_kws": {"linewidth": 1.0}}
        if len(rows):
            sns.lineplot(rows, x="kept", y="accuracy", ax=ax, color=colour, marker=marker, legend=False, **spread,
                         markeredgecolor=colour)  # fmt: skip
    ax.set_xscale("log")
    kept = sorted(part.loc[part["fraction"] < 1, "kept"].unique())
    ax.set_xticks(kept, [f"{value:g}" for value in kept], minor=False)
    ax.minorticks_off()
