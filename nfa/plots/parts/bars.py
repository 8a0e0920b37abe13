"""Numbers of named features as bars."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from nfa.plots.conventions import legend, short
from nfa.plots.theme import INK, ROLES, literal, themed


@themed()
def bars(table: pd.DataFrame, ax: Axes, quantity: str) -> None:
    """Draw a bar for each feature and series, features from top to bottom in the table's order.

    Args:
        table: Columns `feature` (name), `series` (its name in the legend), `role` (a key of `ROLES`, else ink) and
            `value`, of either sign. A series of the role "init" or "null" is drawn as strokes across the bars.
        ax: Where to draw.
        quantity: The label of the axis of values.
    """
    features, series = list(dict.fromkeys(table["feature"])), list(dict.fromkeys(table["series"]))
    place = {name: number for number, name in enumerate(features)}
    looks = {name: table.loc[table["series"] == name, "role"].iloc[0] for name in series}
    solid = [name for name in series if looks[name] not in ("init", "null")]
    height = 0.8 / max(1, len(solid))
    handles: list[Patch | Line2D] = []
    for name in series:
        rows, colour = table[table["series"] == name], ROLES.get(looks[name], INK)
        y = rows["feature"].map(place).to_numpy(dtype=float)
        if name in solid:
            y = y + height * (solid.index(name) - (len(solid) - 1) / 2)
            # The second of two is lighter inside, since their colours are one grey in print.
            face = to_rgba(colour, 0.35 if solid.index(name) % 2 else 1.0)
            ax.barh(y, rows["value"], height * 0.92, facecolor=face, edgecolor=colour, linewidth=0.6)
            handles.append(Patch(facecolor=face, edgecolor=colour, linewidth=0.6, label=literal(name, 24)))
        else:
            ax.vlines(rows["value"], y - 0.44, y + 0.44, color=colour, linewidth=1.6)
            handles.append(
                Line2D([], [], color=colour, marker="|", linestyle="", markersize=7, label=literal(name, 24))
            )
    if len(table) and np.nanmin(table["value"]) < 0:
        ax.axvline(0, color=INK, linewidth=0.6)
    ax.set_yticks(range(len(features)), short(features, 24))
    ax.set_ylim(len(features) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", alpha=0.25)
    ax.set_axisbelow(True)
    ax.set_xlabel(quantity)
    if len(series) > 1:
        legend(ax, handles)
