"""A vector over pixels as a picture."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from nfa.common.errors import InputError
from nfa.plots.theme import DIVERGING, SEQUENTIAL, themed


def is_picture(shape: tuple[int, ...]) -> bool:
    """Say whether rows of this shape are pictures: height x width, with 1 or 3 channels before, behind, or none.

    >>> is_picture((28, 28)), is_picture((3, 32, 32)), is_picture((32, 32, 1)), is_picture((7,))
    (True, True, True, False)
    """
    return len(shape) == 2 or (len(shape) == 3 and (shape[0] in (1, 3) or shape[2] in (1, 3)))


@themed()
def picture(vector: NDArray[Any], shape: tuple[int, ...], ax: Axes, signed: bool = False) -> None:
    """Draw one number per pixel in the picture's shape.

    Signed vectors (eigenvectors) have 0 in the middle of a diverging map, others (diagonals) at the dark end of a
    sequential one. With three channels the numbers are shares of red, green and blue; 0 is black, or grey where signed.

    Args:
        vector: Shape (d,).
        shape: (height, width), or with 1 or 3 channels in front or at the end; d entries together.
        ax: Where to draw.
        signed: Whether entries of either sign are to be told apart.

    Raises:
        InputError: the shape is no picture's, or does not fit the vector.
    """
    if not is_picture(shape) or int(np.prod(shape)) != len(vector):
        raise InputError("shape", f"got {shape} for {len(vector)} entries, expected (height, width) or 1 or 3 such")
    largest = float(np.abs(vector).max()) or 1.0
    pixels = np.asarray(vector, dtype=float).reshape(shape)
    if len(shape) == 3 and shape[0] in (1, 3):
        pixels = pixels.transpose(1, 2, 0)
    if pixels.shape[2:] == (3,):
        pixels = pixels / largest
        ax.imshow(((pixels + 1) / 2 if signed else pixels).clip(0, 1))
    else:
        low, cmap = (-largest, DIVERGING) if signed else (0.0, SEQUENTIAL)
        ax.imshow(pixels.reshape(pixels.shape[:2]), cmap=cmap, vmin=low, vmax=largest)
    ax.set_axis_off()
