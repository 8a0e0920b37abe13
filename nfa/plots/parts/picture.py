"""A vector over pixels as a picture."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from nfa.common.errors import InputError
from nfa.plots.theme import DIVERGING, SEQUENTIAL, themed
from nfa.tables.features import channels_last


@themed()
def picture(
    vector: NDArray[Any], shape: tuple[int, ...], ax: Axes, signed: bool = False, most: float | None = None
) -> AxesImage:
    """Draw one number per pixel in the picture's shape.

    Signed vectors (eigenvectors) have 0 in the middle of a diverging map, others (diagonals) at the dark end of a
    sequential one. With three channels the numbers are shares of red, green and blue; 0 is black, or grey where signed.
    Other channels stand side by side.

    Args:
        vector: Shape (d,).
        shape: (height, width), or with channels in front, 1 or 3 also at the end (see `channels_last`); d
            entries together.
        ax: Where to draw.
        signed: Whether the sign of entries is to be seen.
        most: The number at the end of the scale; the vector's largest by default.

    Raises:
        InputError: the shape is no picture's, or does not fit the vector.
    """
    if len(shape) not in (2, 3) or int(np.prod(shape)) != len(vector):
        raise InputError("shape", f"got {shape} for {len(vector)} entries, expected (height, width) or channels of it")
    largest = (float(np.abs(vector).max()) if most is None else most) or 1.0
    pixels = _pixels(vector, shape)
    if pixels.shape[2:] == (3,):
        pixels = pixels / largest
        image = ax.imshow(((pixels + 1) / 2 if signed else pixels).clip(0, 1))
    else:
        low, cmap = (-largest, DIVERGING) if signed else (0.0, SEQUENTIAL)
        image = ax.imshow(pixels.reshape(pixels.shape[:2]), cmap=cmap, vmin=low, vmax=largest)
    ax.set_axis_off()
    return image


@themed()
def barred_picture(
    vector: NDArray[Any], shape: tuple[int, ...], ax: Axes, signed: bool = False, most: float | None = None
) -> None:
    """Draw one number per pixel as `picture` does, with its colour bar; pictures in colour have a bar of greys."""
    image = picture(vector, shape, ax, signed, most)
    mapped: ScalarMappable = image
    if np.ndim(image.get_array()) == 3:  # type: ignore[arg-type]
        largest = (float(np.abs(vector).max()) if most is None else most) or 1.0
        mapped = ScalarMappable(Normalize(-largest if signed else 0.0, largest), "gray")
    _bar(mapped, ax)


@themed()
def photograph(vector: NDArray[Any], shape: tuple[int, ...], ax: Axes) -> None:
    """Draw a row of the data as a picture: its smallest entry black, its largest white, three channels as colours.

    Args:
        vector: Shape (d,).
        shape: As `picture` takes it.
        ax: Where to draw.
    """
    pixels = _pixels(vector, shape)
    low, high = float(pixels.min()), float(pixels.max())
    pixels = (pixels - low) / ((high - low) or 1.0)
    ax.imshow(pixels if pixels.shape[2:] == (3,) else pixels.reshape(pixels.shape[:2]), cmap="gray", vmin=0, vmax=1)
    ax.set_axis_off()


@themed()
def barred_photograph(vector: NDArray[Any], shape: tuple[int, ...], ax: Axes) -> None:
    """Draw a row of the data as `photograph` does, with a bar of greys from its smallest entry to its largest."""
    photograph(vector, shape, ax)
    _bar(ScalarMappable(Normalize(float(vector.min()), float(vector.max())), "gray"), ax)


def _bar(mapped: ScalarMappable, ax: Axes) -> None:
    """Draw a narrow colour bar beside a picture."""
    assert ax.figure is not None
    bar = ax.figure.colorbar(mapped, ax=ax, fraction=0.08, pad=0.03)
    bar.ax.locator_params(nbins=3)
    bar.ax.tick_params(length=2)


def _pixels(vector: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Return entries as height x width, or with 1 or 3 channels behind; other channels side by side."""
    pixels = np.asarray(vector, dtype=float).reshape(shape)
    if len(shape) == 2 or channels_last(shape):
        return pixels
    return pixels.transpose(1, 2, 0) if shape[0] in (1, 3) else np.concatenate(list(pixels), axis=1)
