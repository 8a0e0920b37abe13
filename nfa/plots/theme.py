"""One theme for every figure: sizes of a paper's column, fonts that survive shrinking, colours with fixed roles."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

from nfa.common.checks import one_of
from nfa.common.shown import shown
from nfa.common.writing import replacing

SINGLE, DOUBLE = 3.25, 6.75
"""Width in inches of a figure in one column of a paper, and across both."""

INK = "#262626"
"""Axes and text."""

ROLES = {
    "network": "#465FB4",
    "nfm": "#465FB4",
    "init": "#D18300",
    "agop": "#089145",
    "centered": "#BC74B6",
    "rfm": "#BE2C00",
    "kernel": "#3D97F9",
    "forest": "#703845",
    "null": "#7F8380",
}
"""The roles of colours. A network and its NFM share one. All others differ with any kind of colour vision, and all
are clear on white paper."""

PALETTE = tuple(dict.fromkeys(ROLES.values()))
"""The same colours, for series without a role."""

MARKERS = {
    "network": "o",
    "nfm": "o",
    "init": "D",
    "agop": "s",
    "centered": "v",
    "rfm": "^",
    "kernel": "P",
    "forest": "X",
    "null": "_",
}
"""The roles' markers, so that nothing depends on colour alone."""

SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"
"""Colour maps of quantities from 0 up, and of signed ones (0 in the middle)."""

_RC: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "legend.title_fontsize": 7.0,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100.0,
    "axes.linewidth": 0.8,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.linewidth": 0.5,
    "hatch.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.0,
    "patch.linewidth": 0.5,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "axes.prop_cycle": cycler(color=PALETTE),
    "figure.figsize": (SINGLE, 0.75 * SINGLE),
    "image.cmap": SEQUENTIAL,
    "image.interpolation": "none",  # pixels of the picture stay sharp at any size
    "savefig.dpi": 300.0,
    "pdf.fonttype": 42,  # letters that can be searched and edited
    "svg.fonttype": "none",
    "svg.hashsalt": "nfa",  # the same ids in every redraw
}

# Without entries that differ from one drawing to the next, or name who drew.
_METADATA: dict[str, dict[str, str | None]] = {
    ".pdf": {"Creator": "nfa", "Producer": "matplotlib", "CreationDate": None},
    ".png": {"Software": None},
    ".svg": {"Creator": "nfa", "Date": None},
}


_IN_THEME: ContextVar[bool] = ContextVar("in_theme", default=False)
"""Whether a caller has entered the theme already: to enter it takes milliseconds, and figures have many parts."""


@cache
def _settings() -> Any:
    """Return the theme as a dict of rcParams, whose names have a type of their own in newer versions only."""
    return {**sns.axes_style("ticks"), **sns.plotting_context("paper"), **_RC}


@contextmanager
def themed() -> Iterator[None]:
    """Draw in the theme: a context, or a decorator of a function that draws.

    >>> with themed():
    ...     fig, axes = figure()
    >>> [float(inches) for inches in fig.get_size_inches()]
    [3.25, 2.4375]
    """
    if _IN_THEME.get():
        yield
        return
    entered = _IN_THEME.set(True)
    try:
        with mpl.rc_context(_settings()):
            yield
    finally:
        _IN_THEME.reset(entered)


@themed()
def figure(
    rows: int = 1, columns: int = 1, width: float = SINGLE, height: float | None = None, **subplots: Any
) -> tuple[Figure, Any]:
    """Return a figure in the theme and its axes (one, or an array of several).

    pyplot does not know the figure, which needs no window.

    Args:
        rows: Rows of axes.
        columns: Columns of axes.
        width: In inches: `SINGLE` or `DOUBLE`.
        height: In inches; by default each of the axes is three quarters as high as wide.
        **subplots: What `matplotlib.figure.Figure.subplots` takes.
    """
    fig = Figure(figsize=(width, 0.75 * rows * width / columns if height is None else height))
    return fig, fig.subplots(rows, columns, **subplots)


def placed(place: tuple[float, float, float, float], width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure in the theme with axes at a place (left, bottom, width and height, as shares of the figure's).

    A layout that is sought takes as long as a small picture, and makes several of them of several sizes.

    Args:
        place: Where the axes are.
        width: Of the figure, in inches.
        height: The same.
    """
    fig = Figure(figsize=(width, height), layout="none")  # type: ignore[arg-type]  # matplotlib takes it
    return fig, fig.add_axes(place)


@themed()
def save(fig: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure as .pdf, .png or .svg, the same bytes for the same figure, and return the path.

    Raises:
        InputError: another suffix, or the file cannot be written; an older file then stays as it was.
    """
    file, drawn = Path(path), BytesIO()
    suffix = suffix_of("out", file)
    # Matplotlib's writers fail in ways of their own on a full disk.
    fig.savefig(drawn, format=suffix[1:], metadata=_METADATA[suffix])
    with replacing("out", file) as (new,):
        new.write_bytes(drawn.getvalue())
    return file


def suffix_of(argument: str, path: Path) -> str:
    """Return the suffix of a figure's file.

    Raises:
        InputError: it is none of .pdf, .png and .svg.
    """
    return one_of(argument, path.suffix.lower(), _METADATA)


def literal(text: object, most: int = 28) -> str:
    r"""Return text from a file or data set as a label: on one line, no formula, and cut in the middle.

    The cut is in the middle, since names of layers often begin alike, and names of columns end alike.

    >>> literal("$price$"), literal("encoder.layers.0.linear", 14)
    ('\\$price\\$', 'encod…0.linear')
    """
    whole = str(text)
    clean = shown(whole, len(whole))
    if len(clean) > most:
        head = (most - 1) // 2 - 1
        clean = clean[:head] + "…" + clean[len(clean) - (most - 1 - head) :]
    return clean.replace("$", r"\$")
