"""Seconds of an audit, of its AGOP alone, of the baseline and of the floor, by width."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from analyses.speed import PARTS, medians
from figures.parts import above
from nfa.plots import ROLES, SINGLE, figure
from nfa.plots.theme import INK

LABELS = {
    "audit": ("network", "whole audit", ""),
    "agop": ("agop", "AGOP alone", "///"),
    "baseline": ("rfm", "baseline", "..."),
    "floor": ("null", "floor", "xxx"),
}
"""Part -> role of its colour, label and hatching, so that nothing depends on colour alone."""


def draw(table: pd.DataFrame) -> Figure:
    """Draw four bars for each width, on a scale of powers of ten."""
    seconds = medians(table)
    fig, ax = figure(width=SINGLE, height=2.6)
    share = 0.8 / len(PARTS)
    for number, part in enumerate(PARTS):
        role, label, hatch = LABELS[part]
        places = [place + share * (number - (len(PARTS) - 1) / 2) for place in range(len(seconds))]
        ax.bar(
            places, seconds[part], share, color=ROLES[role], label=label, hatch=hatch, edgecolor="white", linewidth=0
        )
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.minorticks_off()
    ax.set_axisbelow(True)
    ax.set_xticks(range(len(seconds)), [f"{width:,}" for width in seconds.index])
    ax.tick_params(axis="x", length=0)
    ax.grid(axis="y", alpha=0.25, color=INK)
    cell = table.iloc[0]
    ax.set(
        xlabel=f"width of the {cell['depth']} hidden layers\n"
        f"({cell['d']} inputs, {cell['c']} outputs, {cell['n']:,} rows)",
        ylabel="seconds of one core",
    )
    above(fig, ax.get_legend_handles_labels()[0], columns=2)
    return fig
