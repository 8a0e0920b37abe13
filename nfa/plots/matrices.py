"""A layer's NFM beside a power of its AGOP, entry by entry."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure, SubFigure

from nfa.plots.conventions import THEME, dressed, figure_of, letters, refuse_axes, short
from nfa.plots.theme import DIVERGING, literal
from nfa.tables.features import matrix_table
from nfa.tables.networks import Audits, networks, one_run

_SEEN = 99.5  # percentile of the entries' sizes at which the scale ends
_NAMED = 16  # inputs whose names still fit


def matrices(
    audits: Audits,
    layer: str | int = 0,
    alpha: float = 1.0,
    *,
    figure: Figure | SubFigure | None = None,
    theme: str | None = THEME,
    ax: None = None,
) -> Figure | SubFigure:
    """Draw a layer's NFM beside AGOP^alpha, each divided by its norm, on one scale, with their cosine and its null.

    Args:
        audits: One audit or its folder.
        layer: Name or number.
        alpha: The AGOP's power, above 0.
        figure: Where to draw, a Figure or SubFigure; by default a new Figure of a column's width.
        theme: "paper", or None for the rcParams as they are.
        ax: Refused: this function draws a whole figure.

    Raises:
        InputError: several audits, no such layer, more inputs than can be drawn, a matrix that is 0, axes.

    >>> import nfa, torch
    >>> figure = matrices(nfa.audit(torch.nn.Linear(3, 2), torch.eye(3)), 0, alpha=0.5)
    >>> figure.axes[0].get_title()
    'NFM'
    """
    refuse_axes(ax, "matrices", "powers(audit, layer, ax=ax)")
    audit = one_run(networks(audits))
    table = matrix_table(audit, layer, alpha)
    with dressed(theme):
        return draw_matrices(table, figure)


def draw_matrices(table: pd.DataFrame, figure: Figure | SubFigure | None = None) -> Figure | SubFigure:
    """Draw a table of `nfa.tables.features.matrix_table` on a figure."""
    first = table.iloc[0]
    drawn_on = figure_of(figure, 1.75)
    axes = drawn_on.subplots(1, 2)
    largest = float(table["value"].abs().max())
    end = float(np.percentile(table["value"].abs(), _SEEN))
    end = end if end > 0 else largest
    power = "AGOP" if first["alpha"] == 1 else f"AGOP^{first['alpha']:g}"
    d = int(table["row"].max()) + 1
    names = list(table["input"].iloc[:d])
    for ax, matrix, title in zip(axes, ("NFM", "AGOP"), ("NFM", power), strict=True):
        entries = table.loc[table["matrix"] == matrix, "value"].to_numpy().reshape(d, d)
        image = ax.imshow(entries, cmap=DIVERGING, vmin=-end, vmax=end)
        ax.set_title(title)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    if d <= _NAMED:
        axes[0].set_yticks(range(d), [literal(name, 18) for name in names])
        axes[0].tick_params(length=0)
    letters(list(axes))
    extend = "both" if largest > 1.001 * end else "neither"
    drawn_on.colorbar(image, ax=list(axes), label="entry / norm", shrink=0.8, extend=extend)
    of_draws = "" if first["alpha"] == 1 else " (mean of draws)"
    drawn_on.suptitle(
        f"{short([first['layer']], 24)[0]}: cosine {first['cosine']:.2f}, by chance {first['null']:.2f}{of_draws}",
        fontsize="medium",
    )
    return drawn_on
