"""How alike two matrices are, layer by layer, each similarity beside its nulls."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from nfa.plots.theme import INK, MARKERS, ROLES, literal, themed

NULLS = {
    "untrained": ("init", "untrained network"),
    "rotated": ("null", "gradients turned at random"),
    "chance": ("null", "independent weights, k/(k+d)"),
}
"""Columns of nulls: the role that colours them, and what the legend calls them."""

_LABEL = 18  # characters of a layer's name

# For series without a role: the colours and markers that no null has.
_FREE = {ROLES[role]: MARKERS[role] for role in ROLES if role not in ("init", "null")}


def _look(number: int) -> tuple[str, str]:
    """Return a colour and a marker that no other of the first 36 series has together."""
    colours, markers = list(_FREE), list(_FREE.values())
    return colours[number % len(colours)], markers[(number + number // len(colours)) % len(markers)]


@themed()
def similarities(table: pd.DataFrame, ax: Axes, quantity: str = "cosine") -> None:
    """Draw a dot for each similarity, its interval, and its nulls as strokes across; layers from top to bottom.

    Args:
        table: Columns `layer` (name), `series` (what the legend calls the similarity), `value`, `low`, `high`
            (ends of a 95 % interval, NaN without one), and of `NULLS` those that are known. With a
            column `role` (a key of `ROLES`) that gives the colours.
        ax: Where to draw.
        quantity: What the axis of values is called.
    """
    layers, series = list(dict.fromkeys(table["layer"])), list(dict.fromkeys(table["series"]))
    place = {name: number for number, name in enumerate(layers)}
    step = 0.8 / len(series)
    nulls = {column: look for column, look in NULLS.items() if column in table and table[column].notna().any()}
    handles = []
    for number, name in enumerate(series):
        rows = table[table["series"] == name]
        role = rows["role"].iloc[0] if "role" in rows else None
        colour, marker = (ROLES[role], MARKERS[role]) if role else _look(number)
        y = rows["layer"].map(place).to_numpy(dtype=float) + step * (number - (len(series) - 1) / 2)
        for column, (null_role, _) in nulls.items():
            reach = 0.42 * step
            ax.vlines(rows[column], y - reach, y + reach, color=ROLES[null_role], linewidth=1.6, zorder=1)
        ax.plot(rows["value"], y, marker, color=colour, markersize=4, zorder=3)
        # Not an errorbar: a bias-corrected interval need not hold its estimate.
        ax.hlines(y, rows["low"], rows["high"], color=colour, linewidth=1.2, zorder=2)
        for end in ("low", "high"):
            ax.plot(rows[end], y, "|", color=colour, markersize=5, markeredgewidth=1, zorder=2)
        interval = rows["low"].notna().any()
        handles.append(
            Line2D([], [], color=colour, marker=marker, linestyle="-" if interval else "", label=literal(name, 40))
        )
    handles += [
        Line2D([], [], color=ROLES[role], marker="|", markersize=7, markeredgewidth=1.6, linestyle="", label=label)
        for role, label in nulls.values()
    ]
    drawn = table[["value", "low", *nulls]].to_numpy(dtype=float)
    ax.set_xlim(drawn.min(initial=0.0, where=np.isfinite(drawn)) - 0.02, 1.02)
    ax.set_yticks(range(len(layers)), [literal(name, _LABEL) for name in layers])
    ax.set_ylim(len(layers) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    for between in range(1, len(layers)):
        ax.axhline(between - 0.5, color=INK, alpha=0.15, linewidth=0.5)
    ax.grid(axis="x", alpha=0.25)
    ax.set_xlabel(quantity + (", 95 % interval over samples" if table["low"].notna().any() else ""))
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=1, borderaxespad=0.2)
