"""A matrix as a heat map."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from nfa.plots.theme import DIVERGING, SEQUENTIAL, literal, themed

_NAMED = 30  # rows whose names still fit


@themed()
def heat_map(
    matrix: NDArray[Any], ax: Axes, names: Sequence[str] | None = None, signed: bool = True, label: str | None = None
) -> AxesImage:
    """Draw a matrix, entry by entry, with its colour bar.

    Args:
        matrix: Shape (k, d).
        ax: Where to draw.
        names: Names of the d columns, and of the rows where k = d; drawn where there are few.
        signed: Whether 0 is the middle of the colours; else they begin at the smallest entry.
        label: The label of the colour bar.
    """
    largest = float(np.abs(matrix).max())
    low, high = (-largest, largest) if signed else (None, None)
    image = ax.imshow(matrix, cmap=DIVERGING if signed else SEQUENTIAL, vmin=low, vmax=high)
    for axis, count in ((ax.xaxis, matrix.shape[1]), (ax.yaxis, matrix.shape[0])):
        if names is not None and count == len(names) <= _NAMED:
            axis.set_ticks(range(count), [literal(name, 14) for name in names])
        else:
            axis.set_ticks([])
    ax.tick_params(axis="x", rotation=90)
    ax.tick_params(length=0)
    assert ax.figure is not None
    ax.figure.colorbar(image, ax=ax, shrink=0.8, label=label)
    return image
