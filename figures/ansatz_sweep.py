"""Alignment, and NFM against AGOP and init, each beside its null: over settings, over epochs, and the best power."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analyses.ansatz_summary import LINEAR, THEOREMS, measured
from nfa.plots import DOUBLE, ROLES, figure
from nfa.plots.theme import INK, MARKERS

PANELS = ("layer 1", "layer 2", "layers 3 and up")
SERIES = {
    "alignment": ("nfm", "alignment", "alignment_null"),
    "cosine": ("agop", "NFM and AGOP", "rotated_cosine"),
    "init_cosine": ("init", "NFM and init's NFM", "init_cosine_null"),
}
"""By column: its role, its label, and the column of its null."""
LINE = 0.22
"""Of a setting's height, from one column to the next."""


def draw(table: pd.DataFrame) -> Figure:
    """Draw a row of panels for each data set's settings, and a last one for epochs and powers."""
    layers = measured(table)
    datasets = list(dict.fromkeys(layers["dataset"]))
    heights = [0.4 + 0.18 * layers.loc[layers["dataset"] == name, "level"].nunique() for name in datasets] + [1.6]
    settings = {"height_ratios": heights, "squeeze": False}
    fig, axes = figure(len(heights), 3, width=DOUBLE, height=sum(heights) + 0.7, **settings)
    for row, name in zip(axes, datasets, strict=False):
        _settings(layers[layers["dataset"] == name], row, name)
    last = axes[-1]
    for ax, name in zip(last, datasets[:2], strict=False):
        _epochs(table[(table["dataset"] == name) & (table["factor"] == "base")], ax, name)
    for ax in last[len(datasets) : 2]:
        ax.set_axis_off()
    _powers(table, layers, last[2])
    seeds = table["seed"].nunique()
    looks = [(MARKERS[role], ROLES[role], label) for role, label, _ in SERIES.values()]
    handles = [Line2D([], [], marker=m, color=c, linestyle="", label=label) for m, c, label in looks]
    handles.append(Line2D([], [], marker="|", color=INK, linestyle="", label="the same by chance"))
    handles.append(Line2D([], [], color=INK, linewidth=1, label=f"range of {seeds} seeds"))
    handles.append(Line2D([], [], marker="o", color=INK, markerfacecolor="none", linestyle="", label="has not learned"))
    handles.append(Line2D([], [], color=INK, linestyle="--", label="test score"))
    fig.legend(handles=handles, loc="outside upper center", ncols=4, columnspacing=1.5, handletextpad=0.5)
    return fig


def _settings(layers: pd.DataFrame, axes: list[Axes], dataset: str) -> None:
    levels = list(dict.fromkeys(layers["level"]))
    n = int(layers["rows"].max())
    deeper = layers["layer"].clip(upper=len(PANELS) - 1)
    for number, (ax, panel) in enumerate(zip(axes, PANELS, strict=True)):
        rows = layers[deeper == number]
        for line, (column, (role, _, null)) in enumerate(SERIES.items()):
            known = rows[rows[column].notna()]
            for (level, learned), values in known.groupby(["level", "task_learned"], sort=False):
                y, colour = levels.index(level) + LINE * (line - 1), ROLES[role]
                ax.hlines(y, values[column].min(), values[column].max(), color=colour, linewidth=1)
                face = colour if learned else "white"
                ax.plot(values[column].mean(), y, MARKERS[role], color=colour, markerfacecolor=face, markersize=3)
                ax.plot(values[null].mean(), y, "|", color=colour, markersize=4)
        ax.set_yticks(range(len(levels)), levels if number == 0 else [])
        ax.set(xlim=(-0.03, 1.03), ylim=(len(levels) - 0.5, -0.5), title=panel, xlabel="alignment, cosine")
        ax.tick_params(axis="y", length=0)
        ax.grid(alpha=0.25)
    axes[0].set_title(f"{dataset}, n = {n:,}, {PANELS[0]}")


def _epochs(table: pd.DataFrame, ax: Axes, dataset: str) -> None:
    hidden = table[~table["trivial"].astype(bool)]
    for column, (role, _, _) in SERIES.items():
        for layer, rows in hidden.groupby("layer"):
            means = rows.groupby("epoch")[column].mean()
            shade = 0.4 + 0.6 * (float(layer) + 1) / (hidden["layer"].max() + 1)
            ax.plot(means.index, means, color=ROLES[role], alpha=shade, marker=MARKERS[role], markersize=3)
    score = table.groupby("epoch")["score"].mean()
    ax.plot(score.index, score, color=INK, linestyle="--")
    ax.set_xscale("symlog", linthresh=1)
    ticks = [int(epoch) for epoch in score.index if epoch != 10]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    ax.set(xlabel="epoch (0: untrained)", ylabel="mean over seeds\n(darker: deeper layer)", ylim=(-0.03, 1.03))
    ax.set_title(f"{dataset}, base")
    ax.grid(axis="y", alpha=0.25)


def _powers(table: pd.DataFrame, layers: pd.DataFrame, ax: Axes) -> None:
    """Best powers over 1/(linear layers to the output)."""
    linear = table[(table["dataset"] == LINEAR) & (table["epoch"] == table["epochs"])]
    learned = layers[layers["task_learned"] & ~layers["factor"].isin(THEOREMS)]
    for rows, role, label in ((learned, "agop", "trained"), (linear, "nfm", "deep linear")):
        groups = rows.groupby("alpha_linear")["alpha_best"]
        low, middle, high = groups.quantile(0.25), groups.median(), groups.quantile(0.75)
        ax.vlines(middle.index, low, high, color=ROLES[role], linewidth=1.2)
        ax.plot(middle.index, middle, MARKERS[role], color=ROLES[role], label=label)
    ax.plot([0, 1], [0, 1], color=ROLES["null"], linewidth=0.8, linestyle="--")
    ax.axhline(0.5, color=ROLES["null"], linewidth=0.8, linestyle=":")
    ax.set(xlim=(0.1, 1.05), ylim=(0, 1.55), xlabel="1/(linear layers to output)", ylabel=r"best $\alpha$")
    ax.set_title("medians and quartiles")
    ax.legend(loc="upper right", handletextpad=0.3)
