"""What figures of analyses share: dots with ranges over seeds, named rows, and where a legend goes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from nfa.plots import ROLES
from nfa.plots.theme import INK, MARKERS

MODELS = {"network": ("network", "network"), "rfm": ("rfm", "RFM")}
"""Models: the role of their colour, and what legends call them."""


def dots(values: pd.DataFrame, order: Mapping[str, str], ax: Axes, *, named: bool = True) -> None:
    """Draw a line of dots for each quantity, one for each model: the mean over seeds on a stroke from least to most.

    Args:
        values: Columns model, quantity and value.
        order: Quantities from top to bottom, with what they are called.
        ax: Where to draw.
        named: Whether the axis names them.
    """
    for place, quantity in enumerate(order):
        for number, (model, (role, _)) in enumerate(MODELS.items()):
            own = values.loc[(values["quantity"] == quantity) & (values["model"] == model), "value"]
            if len(own):
                y = place + 0.26 * (number - 0.5)
                ax.hlines(y, own.min(), own.max(), color=ROLES[role], linewidth=1)
                ax.plot(own.mean(), y, MARKERS[role], color=ROLES[role], markersize=4, clip_on=False, zorder=3)
    ax.set_yticks(range(len(order)), list(order.values()) if named else [])
    ax.set_ylim(len(order) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", alpha=0.25)
    for between in range(1, len(order)):
        ax.axhline(between - 0.5, color=INK, alpha=0.12, linewidth=0.5)


def model_handles() -> list[Line2D]:
    """Return the legend's lines for the models."""
    return [Line2D([], [], color=ROLES[role], marker=MARKERS[role], label=label) for role, label in MODELS.values()]


def dashed(label: str, style: str = "--") -> Line2D:
    """Return the legend's line for a null or a reference."""
    return Line2D([], [], color=ROLES["null"], linestyle=style, linewidth=1, label=label)


def above(fig: Figure, handles: Sequence[Any], columns: int | None = None) -> None:
    """Put one legend in a row above the whole figure."""
    fig.legend(
        handles=list(handles), loc="outside upper center", ncols=columns or len(handles), columnspacing=1.2,
        handlelength=1.6, handletextpad=0.5,
    )  # fmt: skip


def letter(axes: Sequence[Axes], left: float = 10.0) -> None:
    """Letter axes a, b, c, ... above their upper left corners, so many points to the left, beside any title."""
    for ax, text in zip(axes, "abcdefghijklmnopqrstuvwxyz", strict=False):
        ax.annotate(
            text, (0, 1), (-left, 4), "axes fraction", textcoords="offset points", fontweight="bold", color=INK,
            ha="right", va="bottom",
        )  # fmt: skip


def grid(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Return the pixels of a table with row, column and value as height x width."""
    return rows.pivot_table(index="row", columns="column", values="value").to_numpy()
