"""Which power of the AGOP the NFM is most like."""

import pandas as pd
from matplotlib.axes import Axes

from nfa.plots.depth import labels, ramp
from nfa.plots.theme import ROLES, themed


@themed()
def alpha_scan(table: pd.DataFrame, ax: Axes, nulls: pd.DataFrame | None = None) -> None:
    """Draw the cosine of NFM and AGOP^alpha over alpha, a line for each layer, a dot at its maximum.

    Args:
        table: Columns `layer` (name), `alpha`, `cosine`.
        ax: Where to draw.
        nulls: The same columns for the network before training, at any alphas: drawn hollow.
    """
    layers = list(dict.fromkeys(table["layer"]))
    colours, names = ramp(layers), labels(layers)
    for alpha in (0.5, 1.0):
        ax.axvline(alpha, color=ROLES["null"], linewidth=0.7, linestyle=":", zorder=0)
    for layer, rows in table.groupby("layer", sort=False):
        colour = colours[str(layer)]
        ax.plot(rows["alpha"], rows["cosine"], color=colour, label=names[str(layer)])
        best = rows.dropna(subset="cosine").nlargest(1, "cosine")
        ax.plot(best["alpha"], best["cosine"], "o", color=colour, markersize=4.5)
        if nulls is not None:
            before = nulls[nulls["layer"] == layer]
            ax.plot(before["alpha"], before["cosine"], "D", color=colour, markerfacecolor="none", markersize=4)
    if nulls is not None and len(nulls):
        ax.plot([], [], "D", color=ROLES["null"], markerfacecolor="none", markersize=4, label="untrained")
    ax.set_xlabel(r"$\alpha$")
    ax.set_ylabel(r"cosine(NFM, AGOP$^\alpha$)")
    ax.set_ylim(0, 1.02)
    ax.grid(axis="y", alpha=0.25)
    ax.legend(
        *ax.get_legend_handles_labels(),
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=2,
        borderaxespad=0.2,
        columnspacing=1.0,
    )
