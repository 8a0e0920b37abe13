"""The power of the AGOP that the NFM is most similar to."""

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from nfa.plots.conventions import FREE, THEME, axes_of, dressed, legend, named, shades
from nfa.plots.theme import ROLES
from nfa.tables.networks import Audits, networks
from nfa.tables.spectra import power_table


def powers(
    audits: Audits, layer: str | int | None = None, *, ax: Axes | None = None, theme: str | None = THEME
) -> Axes:
    """Draw the cosine of NFM and AGOP^alpha over alpha, with a marker at its maximum and its null dashed.

    The null is the same with S turned at random, the mean of a few draws. For several runs, lines are means.

    Args:
        audits: One network, or several runs of it, as `layers` takes them.
        layer: Name or number; by default all layers whose gradient is not the same for every row.
        ax: Where to draw; by default the current axes of pyplot.
        theme: "paper", or None for the rcParams as they are.

    Raises:
        InputError: several networks, or a layer that is not there.

    >>> import nfa, torch
    >>> ax = powers(nfa.audit(torch.nn.Linear(3, 2), torch.eye(3)), ax=nfa.plots.figure()[1])
    >>> ax.get_xlabel()
    'α'
    """
    table = power_table(networks(audits), layer)
    with dressed(theme):
        return draw_powers(table, axes_of(ax))


def draw_powers(table: pd.DataFrame, ax: Axes) -> Axes:
    """Draw a table of `nfa.tables.spectra.power_table` on axes."""
    order = list(dict.fromkeys(table["layer"]))
    names, handles = named(order), []
    for alpha in (0.5, 1.0):
        ax.axvline(alpha, color=ROLES["null"], linewidth=0.7, linestyle=":", zorder=0)
    for number, (layer, colour) in enumerate(zip(order, shades("agop", len(order)), strict=True)):
        rows = table[table["layer"] == layer]
        means = rows.groupby("alpha")[["cosine", "null"]].mean()
        if len(whose := rows.groupby(["network", "run"], sort=False)) > 1:
            for _, own in whose:
                ax.plot(own["alpha"], own["cosine"], color=colour, lw=0.5, alpha=0.7)
        mark = FREE[number % len(FREE)]
        ax.plot(means.index, means["null"], color=colour, linestyle="--", lw=0.8)
        ax.plot(means.index, means["cosine"], color=colour)
        best = means["cosine"].dropna().nlargest(1)
        ax.plot(best.index, best, mark, color=colour, markersize=4.5)
        if names[layer] != "_":
            handles.append(Line2D([], [], color=colour, marker=mark, label=names[layer]))
    handles.append(Line2D([], [], color=ROLES["null"], linestyle="--", lw=0.8, label="by chance"))
    ax.set_xlabel("α")
    ax.set_ylabel("cosine of NFM and AGOP^α")
    lowest = table[["cosine", "null"]].min().min() if len(table) else 0.0
    ax.set_ylim(max(0.0, math.floor(10 * lowest - 0.5) / 10) if lowest == lowest else 0.0, 1.03)
    ax.set_xlim(0, 2.05)
    ax.grid(axis="y", alpha=0.25)
    legend(ax, handles)
    return ax
