"""The common part of all figures: theme, axes, the place of the legend, letters of panels."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.textpath import TextPath

from nfa.common.checks import one_of
from nfa.common.errors import InputError
from nfa.plots.theme import INK, MARKERS, ROLES, SINGLE, literal, themed

THEME = "paper"
"""The theme of this package: a paper's column, 7 points or more, colours with fixed roles."""

HATCH = "//////"
"""Nulls are hatched, so that they differ from values without colour."""

FREE = tuple(dict.fromkeys(mark for role, mark in MARKERS.items() if role != "null"))
"""Markers of networks or layers."""

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # of red, green and blue; the eye sees its cube root
_IN_LEGEND = 8  # lines that a legend names
_LEGEND_NAME, _AXIS_NAME, _TITLE = 16, 16, 22  # characters of a layer's name
_LINE = 0.13  # inches from one slanted label to the next
_LABELS = 0.55  # inches that an axis's ticks and label take
_LETTER = 0.13  # inches of a panel's letter and the gap beside it
_LEGEND: dict[str, Any] = {
    "frameon": False,
    "handlelength": 1.4,
    "handletextpad": 0.4,
    "columnspacing": 0.9,
    "borderaxespad": 0.2,
    "borderpad": 0.2,
}
_HANDLE = (1.4 + 0.4 + 0.9) * 7 / 72  # inches of a legend's handle and gaps


@contextmanager
def dressed(theme: str | None) -> Iterator[None]:
    """Draw in the theme "paper", or, without one, with the rcParams as they are.

    Raises:
        InputError: another theme.
    """
    if theme is None:
        yield
        return
    one_of("theme", theme, [THEME])
    with themed():
        yield


def axes_of(ax: Axes | None) -> Axes:
    """Return the axes to draw on: those given, else the current ones of pyplot."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.gca()


def figure_of(figure: Figure | SubFigure | None, height: float, width: float = SINGLE) -> Figure | SubFigure:
    """Return the figure to draw on: the one given, else a new one of a size in inches, which pyplot does not know."""
    return Figure(figsize=(width, height), layout="constrained") if figure is None else figure


def refuse_axes(ax: Any, function: str, instead: str) -> None:
    """Refuse axes for a function that draws a whole figure.

    Raises:
        InputError: there are axes.
    """
    if ax is not None:
        raise InputError("ax", f"{function} draws a whole figure and takes figure=; on axes, {instead} draws")


def shades(role: str, count: int) -> list[Any]:
    """Return a role's colour for each of several layers, from light to dark in steps that look alike."""
    if count == 1:
        return [to_rgb(ROLES[role])]
    ends = sns.light_palette(ROLES[role], 10)[4], ROLES[role], sns.dark_palette(ROLES[role], 10)[2]
    ramp = np.array([to_rgb(each) for each in sns.blend_palette(ends, 101)])
    lightness = np.cbrt(ramp**2.2 @ _LUMINANCE)
    wanted = np.linspace(lightness[0], lightness[-1], count)
    return [tuple(ramp[abs(lightness - each).argmin()]) for each in wanted]


def named(layers: Sequence[str]) -> dict[str, str]:
    """Return each layer's name in the legend; of many layers some stay out of it (named "_", as matplotlib needs)."""
    step = -(-len(layers) // _IN_LEGEND)
    kept = {name for number, name in enumerate(layers) if number % step == 0 or number == len(layers) - 1}
    return {
        name: label if name in kept else "_" for name, label in zip(layers, short(layers, _LEGEND_NAME), strict=True)
    }


def short(names: Sequence[str], most: int) -> list[str]:
    """Return names as labels of at most so many characters, all different.

    If one is too long, the parts that most names share become "…" in all of them, at first without the word before a
    number, then with it. What is too long even so is cut in its middle.

    >>> short(["encoder.block.0.linear", "encoder.block.1.linear", "head"], 12)
    ['…block.0…', '…block.1…', 'head']
    >>> short(["encoder.block.0.query", "encoder.block.0.value", "encoder.block.1.query", "head"], 12)
    ['…0.query', '…0.value', '…1.query', 'head']
    """
    if max(map(len, names), default=0) <= most:
        return [literal(name, most) for name in names]
    parts = [re.split(r"([._/]+)", name) for name in names]
    times = Counter(part for each in parts for part in set(each[::2]))
    told = [_telling(each, times, len(names), word=True) for each in parts]
    if max(map(len, told)) > most:
        told = [_telling(each, times, len(names), word=False) for each in parts]
    labels = [literal(each, most) for each in told]
    again = Counter(labels)
    return [label if again[label] == 1 else literal(f"{number}: {label}", most) for number, label in enumerate(labels)]


def titles(names: Sequence[str], ax: Axes) -> list[str]:
    """Return names as titles of lettered panels as wide as these axes, short enough to stand beside the letter."""
    room = _room(ax) - _LABELS - 2 * _LETTER  # a title stands in the middle
    scale = float(ax.title.get_fontsize()) / 7
    found = short(names, _TITLE)
    for most in range(_TITLE - 1, 7, -1):
        if max(map(_inches, found), default=0.0) * scale <= room:
            break
        found = short(names, most)
    return found


def _telling(parts: list[str], times: Counter[str], count: int, *, word: bool) -> str:
    """Return a name without the parts that most names share, with or without the word before a number."""
    words = parts[::2]
    kept = [2 * times[word] <= count for word in words]
    if not any(kept):
        return "".join(parts)
    if word:
        kept = [own or (i + 1 < len(words) and kept[i + 1] and words[i + 1].isdigit()) for i, own in enumerate(kept)]
    text = "".join(
        each + (parts[2 * i + 1] if i + 1 < len(words) and kept[i + 1] else "") if own else "…"
        for i, (each, own) in enumerate(zip(words, kept, strict=True))
    )
    return re.sub("…+", "…", text)


def legend(ax: Axes, handles: Sequence[Line2D | Patch], right: Sequence[Line2D | Patch] = ()) -> float:
    """Add a legend of at most one line's height; return how many inches of the width it takes.

    Args:
        ax: The axes.
        handles: Named in a row above the axes if it fits, else to the right of the axes.
        right: Named in the same row if there is room for both, else to the right.
    """
    room, both = _room(ax), [*handles, *right]
    above, beside = (both, []) if _width(both) <= room else (list(handles), list(right))
    if _width(above) > room:
        above, beside = [], both
    if beside:
        first = ax.legend(handles=beside, loc="upper left", bbox_to_anchor=(1.0, 1.0), **_LEGEND)
        if above:
            ax.add_artist(first).set_clip_on(False)  # it stands outside of the axes
    if above:
        # Beside a legend on the right, the row begins above the axis's label and ends above that legend.
        place: dict[str, Any] = (
            {"loc": "lower left", "bbox_to_anchor": (-0.15, 1.0)}
            if beside
            else {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0)}
        )
        ax.legend(handles=above, ncols=len(above), **place, **_LEGEND)
    return max((_width([each]) for each in beside), default=0.0)


def name_layers(ax: Axes, names: Sequence[str], remarks: Sequence[str], taken: float = 0.0) -> None:
    """Name the layers on the axis below: level if there is room, else slanted; of very many layers only some.

    Args:
        ax: The axes, whose layers stand at 0, 1, ...
        names: Of the layers.
        remarks: A remark beside each name, or "".
        taken: Inches of the width that a legend takes.
    """
    inches = _room(ax) - _LABELS - taken
    room = inches / max(1, len(names))
    level = max(_inches(part) for part in (*names, *(f"({each})" for each in remarks))) < 0.95 * room
    step = 1 if level else max(1, math.ceil(_LINE * len(names) / inches))
    labels = [
        name + (f"{chr(10) if level else ' '}({remark})" if remark else "")
        for name, remark in zip(short(names, _AXIS_NAME), remarks, strict=True)
    ]
    slanted: dict[str, Any] = {} if level else {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(range(0, len(names), step), labels[::step], **slanted)
    ax.tick_params(axis="x", length=0)


def letters(axes: Sequence[Axes]) -> None:
    """Letter panels a, b, c, ... at their upper left corners."""
    for ax, letter in zip(axes, "abcdefghijklmnopqrstuvwxyz", strict=False):
        ax.set_title(letter, loc="left", fontweight="bold", color=INK)


def _room(ax: Axes) -> float:
    """Return a panel's width in inches: its share of the figure, or that of the axes if they are in no grid."""
    place = ax.get_subplotspec()
    assert ax.figure is not None
    if place is None:
        return float(ax.get_window_extent().width / ax.figure.dpi)
    return float(ax.figure.bbox.width / ax.figure.dpi * len(place.colspan) / place.get_gridspec().ncols)


def _width(handles: Sequence[Line2D | Patch]) -> float:
    """Return how many inches a legend's row takes."""
    return sum(_inches(str(each.get_label())) + _HANDLE for each in handles)


@cache
def _inches(text: str) -> float:
    """Return the width of a label of 7 points."""
    if not text.strip():
        return 0.0
    return float(TextPath((0, 0), text.replace("$", "S"), size=7).get_extents().width) / 72
