"""The eigenvalues of a layer's NFM and AGOP."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from nfa.plots.conventions import THEME, axes_of, dressed, legend
from nfa.plots.theme import MARKERS, ROLES, literal
from nfa.tables.networks import Audits, networks
from nfa.tables.spectra import spectrum_table

_ROLE = {"NFM": "nfm", "AGOP": "agop"}
_NAMED = 24
"""Characters of a layer's name below the axis, at most."""


def spectrum(audits: Audits, layer: str | int, *, ax: Axes | None = None, theme: str | None = THEME) -> Axes:
    """Draw the eigenvalues of a layer's NFM and AGOP over their rank, as shares of the largest.

    A dashed line is at the effective rank, trace^2 / norm^2, which the legend gives. Each of several runs has its line,
    and the legend gives the mean.

    Args:
        audits: As `layers` takes them.
        layer: Name or number.
        ax: Where to draw; by default the current axes of pyplot.
        theme: "paper", or None for the rcParams as they are.

    Raises:
        InputError: an audit does not have the layer.

    >>> import nfa, torch
    >>> ax = spectrum(nfa.audit(torch.nn.Linear(3, 2), torch.eye(3)), 0, ax=nfa.plots.figure()[1])
    >>> ax.get_ylabel()
    'eigenvalue / largest'
    """
    table = spectrum_table(networks(audits), layer)
    with dressed(theme):
        return draw_spectrum(table, axes_of(ax))


def draw_spectrum(table: pd.DataFrame, ax: Axes) -> Axes:
    """Draw a table of `nfa.tables.spectra.spectrum_table` on axes."""
    handles = []
    for matrix, of_matrix in table.groupby("matrix", sort=False):
        role = _ROLE[str(matrix)]
        runs = of_matrix.groupby(["network", "run"], sort=False)
        look: dict[str, Any] = {"color": ROLES[role], "marker": MARKERS[role], "ms": 2.5}
        for _, rows in runs:
            ax.plot(rows["index"], rows["share"], alpha=1.0 if runs.ngroups == 1 else 0.6, **look)
        rank = runs["effective_rank"].first().mean()
        ax.axvline(rank, color=ROLES[role], linestyle="--", lw=0.9, zorder=0)
        handles.append(Line2D([], [], label=f"{matrix} ({rank:.1f})", **look))
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(bottom=0.6 * min(0.1, table["share"].min()) if len(table) else 0.1, top=1.5)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_major_formatter("{x:g}")  # exponents would be smaller than 7 points
    ax.minorticks_off()
    layer = literal(str(table["layer"].iloc[0]), _NAMED) if len(table) else ""
    ax.set_xlabel(f"{layer}: rank (dashed: effective rank)" if layer else "rank (dashed: effective rank)")
    ax.set_ylabel("eigenvalue / largest")
    ax.grid(alpha=0.2)
    legend(ax, handles)
    return ax
