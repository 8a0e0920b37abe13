"""How fast the eigenvalues of a feature matrix fall."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from nfa.plots.depth import labels, ramp
from nfa.plots.theme import themed


@themed()
def spectra(table: pd.DataFrame, ax: Axes, matrix: str) -> None:
    """Draw eigenvalues as shares of the largest over their rank, a line for each layer; both axes logarithmic.

    Args:
        table: Columns `layer` (name), `index` (from 1), `share` (of the largest, above 0).
        ax: Where to draw.
        matrix: What the eigenvalues are of, for the axis.
    """
    layers = list(dict.fromkeys(table["layer"]))
    colours, names = ramp(layers), labels(layers)
    for layer, rows in table.groupby("layer", sort=False):
        ax.plot(rows["index"], rows["share"], color=colours[str(layer)], label=names[str(layer)], marker=".", ms=2)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(bottom=0.6 * min(0.1, table["share"].min()) if len(table) else 0.1, top=1.5)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()
    ax.set_xlabel("rank of the eigenvalue")
    ax.set_ylabel(f"eigenvalue of {matrix} / largest")
    ax.grid(alpha=0.2)
    ax.legend(
        *ax.get_legend_handles_labels(),
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=2,
        borderaxespad=0.2,
        columnspacing=1.0,
    )
