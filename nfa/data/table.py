"""A table of numbers with named columns, of which one may be the target."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfa.common.checks import one_of
from nfa.common.errors import InputError, Place
from nfa.common.numerals import NUMBER
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


TRUTH = {"True": 1.0, "TRUE": 1.0, "true": 1.0, "False": 0.0, "FALSE": 0.0, "false": 0.0}
"""Texts that are truth values."""


def check_labels(target: str, labels: Sequence[str], start: int = 0) -> None:
    """Raise if labels, of which `start` is the row of the first, may mean something else than classes.

    Raises:
        InputError: truth values beside numbers; "?", or marks alone ("-") beside labels of letters or digits, which
            may stand for a missing value.

    >>> check_labels("y", ["+", "-"])
    >>> check_labels("y", ["yes", "-"])
    Traceback (most recent call last):
    ...
    nfa.common.errors.InputError: target: column 'y' holds '-' at row 1, which may be no value; ...
    """
    kinds = set(labels)
    if not kinds.isdisjoint(TRUTH) and any(map(NUMBER.fullmatch, kinds)):
        raise InputError("target", f"column {shown(target)!r} holds truth values and numbers; write it in one way")
    marks = {each for each in kinds if each.isascii() and not any(map(str.isalnum, each))}
    for row, label in enumerate(labels):
        if label == "?" or (label in marks and len(marks) < len(kinds)):
            held = f"column {shown(target)!r} holds {shown(label)!r} at row {start + row}"
            raise InputError(
                "target", f"{held}, which may be no value; leave such rows out, or call the class by a word"
            )


def no_number(place: Place, name: str, held: str) -> InputError:
    """Return the error that a feature holds something else than numbers."""
    column = f"column {shown(name)!r} holds {held}"
    return place.because(f"{column}, expected numbers; encode it, drop it, or make it the target")


def no_value(target: str, row: int) -> InputError:
    """Return the error that a row has no target."""
    return InputError("target", f"column {shown(target)!r} has no value at row {row}")
