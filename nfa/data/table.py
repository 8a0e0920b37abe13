"""A table of numbers with named columns, of which one may be the target."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfa.common.checks import one_of
from nfa.common.errors import InputError, Place
from nfa.common.shown import shown


@dataclass(frozen=True, eq=False)
class Table:
    """The content of a file of named columns.

    Args:
        names: The d features' names.
        X: Shape (n, d), float64; NaN where there is no value.
        y: The target as it stands in the file, shape (n,): whole numbers, truth values, float64, or text (object);
            None without a target.
    """

    names: tuple[str, ...]
    X: NDArray[np.float64]
    y: NDArray[Any] | None


def checked_names(place: Place, names: Sequence[str], target: str | None) -> int | None:
    """Return the number of the target's column.

    Raises:
        InputError: a column has no name, two have one name, there is no such target.
    """
    seen: set[str] = set()
    for number, name in enumerate(names):
        if not name:
            raise place.error(f"has no name for column {number}; every column needs one")
        if name in seen:
            raise place.error(f"has two columns called {shown(name)!r}")
        seen.add(name)
    return None if target is None else names.index(one_of("target", target, names))


def no_number(place: Place, name: str, held: str) -> InputError:
    """Return the error that a feature holds something else than numbers."""
    column = f"column {shown(name)!r} holds {held}"
    return place.because(f"{column}, expected numbers; encode it, drop it, or make it the target")


def no_value(target: str, row: int) -> InputError:
    """Return the error that a row has no target."""
    return InputError("target", f"column {shown(target)!r} has no value at row {row}")
