"""A column of every layer over a setting, as lines or as a heat map."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from nfa.plots.conventions import FREE, THEME, axes_of, dressed, legend, named, shades, short
from nfa.plots.theme import ROLES, SEQUENTIAL, literal
from nfa.tables.drawn import drawn
from nfa.tables.networks import Audits, networks
from nfa.tables.sweep import sweep_table

_FAR = 8.0  # a setting with this ratio of its values has a logarithmic axis
_WRITTEN = 40  # a heat map with at most this many cells has numbers in them


def sweep(
    audits: Audits,
    x: str = "width",
    column: str = "cosine",
    null: str | None = "rotated",
    *,
    heat: bool = False,
    ax: Axes | None = None,
    theme: str | None = THEME,
) -> Axes:
    """Draw a column over a setting: a line for each layer through the means of runs, and its null dashed.

    Layers whose gradient is the same for every row are left out if there are others.

    Args:
        audits: Several audits, as `layers` takes them; layers and shapes may differ.
        x: "width", "depth", "rows", "outputs"; a setting in the names, such as "lr" in "lr=0.1, seed=3"; or a column.
        column: The column on the other axis.
        null: "rotated" or "untrained", where the column has such a null; None for none.
        heat: Whether to draw a heat map of layer by setting; numbers in its cells, nulls in brackets.
        ax: Where to draw; by default the current axes of pyplot.
        theme: "paper", or None for the rcParams as they are.

    Raises:
        InputError: an audit without x or the column, an unknown null.

    >>> import nfa, torch
    >>> audits = {f"lr={lr}": nfa.audit(torch.nn.Linear(3, 2), torch.eye(3)) for lr in (0.1, 0.2)}
    >>> sweep(audits, x="lr", ax=nfa.plots.figure()[1]).get_xlabel()
    'lr'
    """
    table = sweep_table(networks(audits), x, column, null)
    with dressed(theme):
        return draw_sweep(table, x, column, axes_of(ax), heat)


def draw_sweep(table: pd.DataFrame, x: str, column: str, ax: Axes, heat: bool = False) -> Axes:
    """Draw a table of `nfa.tables.sweep.sweep_table` on axes."""
    if heat:
        return _heat(table, x, column, ax)
    order = list(dict.fromkeys(table.sort_values("number", kind="stable")["layer"]))
    colours = dict(zip(order, shades(table["role"].iloc[0], len(order)), strict=True))
    names, places = named(order), _places(table["x"])
    handles: list[Line2D] = []
    for number, layer in enumerate(order):
        rows = table[table["layer"] == layer].assign(place=lambda part: part["x"].map(places))
        means = rows.groupby("place")[["value", "null"]].mean()
        look: dict[str, Any] = {"color": colours[layer], "marker": FREE[number % len(FREE)], "ms": 4}
        ax.plot(means.index, means["null"], color=colours[layer], linestyle="--", lw=0.8, zorder=1)
        ax.plot(means.index, means["value"], zorder=3, **look)
        ax.vlines(rows["place"], rows["low"], rows["high"], color=colours[layer], lw=1.0, zorder=2)
        if len(rows) > len(means):
            ax.plot(rows["place"], rows["value"], linestyle="", alpha=0.5, **look | {"ms": 2.5})
        if names[layer] != "_":
            handles.append(Line2D([], [], label=names[layer], **look))
    if table["null"].notna().any():
        kind = "untrained" if (table["null_kind"] == "untrained").any() else "by chance"
        handles.append(Line2D([], [], color=ROLES["null"], linestyle="--", lw=0.8, label=kind))
    _axis(ax, x, table["x"], places)
    values = table[["value", "null", "high"]].to_numpy(dtype=float)
    if np.nanmax(values) <= 1 + 1e-6:
        ax.set_ylim(min(0.0, 1.05 * float(np.nanmin(values))), 1.03)
    ax.set_ylabel(_axis_words(column))
    ax.grid(axis="y", alpha=0.25)
    legend(ax, handles)
    return ax


def _heat(table: pd.DataFrame, x: str, column: str, ax: Axes) -> Axes:
    order = list(dict.fromkeys(table.sort_values("number", kind="stable")["layer"]))
    places = list(_places(table["x"]))
    grids = [
        table.pivot_table(index="layer", columns="x", values=quantity, dropna=False).reindex(
            index=order, columns=places
        )
        for quantity in ("value", "null")
    ]
    values, nulls = (grid.to_numpy(dtype=float) for grid in grids)
    scale = {"vmin": min(0.0, np.nanmin(values)), "vmax": 1.0} if np.nanmax(values) <= 1 + 1e-6 else {}
    image = ax.imshow(values, cmap=SEQUENTIAL, aspect="auto", **scale)
    if values.size <= _WRITTEN:
        for row, place in np.ndindex(values.shape):
            value, null = float(values[row, place]), float(nulls[row, place])
            if value == value:
                text = f"{value:.2f}" + ("" if null != null else f"\n({null:.2f})")
                ink = "black" if float(np.ravel(image.norm(np.asarray(value)))[0]) > 0.6 else "white"
                ax.text(place, row, text, ha="center", va="center", fontsize=7, color=ink)
    ax.set_xticks(range(len(places)), [literal(_written(value), 12) for value in places])
    ax.set_yticks(range(len(order)), short(order, 20))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel(x.replace("_", " "))
    assert ax.figure is not None
    ax.figure.colorbar(image, ax=ax, label=_axis_words(column))
    return ax


def _axis_words(column: str) -> str:
    look = drawn(column)
    return look.axis if look.label == look.axis else f"{look.axis}, {look.label}"


def _places(values: pd.Series) -> dict[Any, float]:
    """Return the place of each value of the setting: the value itself, or, for text, its number in order."""
    found: list[Any] = sorted(set(values.tolist()), key=lambda value: (isinstance(value, str), value))
    texts = any(isinstance(value, str) for value in found)
    return {value: float(number if texts else value) for number, value in enumerate(found)}


def _axis(ax: Axes, x: str, values: pd.Series, places: dict[Any, float]) -> None:
    at = list(places.values())
    if min(at) > 0 and max(at) / min(at) >= _FAR and not any(isinstance(value, str) for value in places):
        ax.set_xscale("log")
    if len(places) <= 8:
        ax.set_xticks(at, [literal(_written(value), 12) for value in places])
        ax.minorticks_off()
    ax.set_xlabel(x.replace("_", " "))


def _written(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"
