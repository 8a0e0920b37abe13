"""Checks of arguments that several rooms share."""

import difflib
import math
import os
import stat
from collections.abc import Iterable
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nfa.common.errors import InputError, Place
from nfa.common.shown import few, shown
from nfa.common.writing import unused_name

if TYPE_CHECKING:
    from torch import Tensor

MOST_COMPARED = 1000
"""The name nearest to an unknown one is looked for among at most this many."""
MOST_NAMED = 100
"""A message lists at most this many names."""
MOST_BESIDE = 12
"""Of more names than this, the nearest one stands alone."""
ALIKE = 0.6
"""A name is suggested if at least this share of it and of the unknown one is the same (`difflib`'s ratio)."""

LONGEST_PATH = 300
"""A message shows at most this many characters of a path."""

FINITE_CHUNK = 1 << 22
"""Entries that `check_finite` reads at a time, so that it needs no copy of the whole array."""


def one_of(argument: str, value: str, choices: Iterable[str], none: bool = False) -> str:
    """Return `value` if it is among `choices`; otherwise raise, suggesting the nearest choice.

    Args:
        argument: What it is called.
        value: The value.
        choices: The known ones.
        none: Whether the argument may be None too, as the message then says.

    Raises:
        InputError: `value` is none of the choices.

    >>> one_of("loss", "mse", ["mse", "cross_entropy"])
    'mse'
    >>> one_of("loss", "msee", ["mse", "cross_entropy"])
    Traceback (most recent call last):
    ...
    nfa.common.errors.InputError: loss: 'msee' is unknown; did you mean 'mse'? (known: mse, cross_entropy)
    """
    known = list(choices)
    if value in known:
        return value
    # Among very many, the nearest takes minutes to find.
    by_lower = {choice.lower(): choice for choice in known[:MOST_COMPARED]}
    near = difflib.get_close_matches(str(value).lower(), by_lower, n=1, cutoff=ALIKE)
    hint = f"; did you mean {shown(by_lower[near[0]])!r}?" if near else ""
    named = repr(shown(value)) if isinstance(value, str) else shown(repr(value))
    also = ", None" if none else ""
    names = "" if near and len(known) > MOST_BESIDE else f" (known: {few(known, MOST_NAMED)}{also})"
    raise InputError(argument, f"{named} is unknown{hint}{names}")


def positive(argument: str, value: Any, least: int = 1) -> int:
    """Return `value` if it is a whole number of at least `least`.

    >>> positive("samples", 3)
    3
    >>> positive("samples", 0)
    Traceback (most recent call last):
    ...
    nfa.common.errors.InputError: samples: got 0, expected a whole number of at least 1
    """
    if not isinstance(value, bool) and isinstance(value, Real):
        found = float(value)
        if found.is_integer() and found >= least:
            return int(found)
    raise InputError(argument, f"got {value!r}, expected a whole number of at least {least}")


def number(argument: str, value: Any, above_zero: bool = False) -> float:
    """Return `value` if it is a finite number of at least 0, or above.

    >>> number("ridge", 0)
    0.0
    >>> number("bandwidth", 0, above_zero=True)
    Traceback (most recent call last):
    ...
    nfa.common.errors.InputError: bandwidth: got 0, expected a number above 0
    """
    if not isinstance(value, bool) and isinstance(value, Real):
        found = float(value)
        if math.isfinite(found) and (found > 0 or (found == 0 and not above_zero)):
            return found
    raise InputError(argument, f"got {value!r}, expected a number {'above' if above_zero else 'of at least'} 0")


def truth(argument: str, value: Any) -> bool:
    """Return `value` if it is True or False; any text would count as true.

    >>> truth("groups", "no")
    Traceback (most recent call last):
    ...
    nfa.common.errors.InputError: groups: got 'no', expected True or False
    """
    import numpy as np

    if not isinstance(value, (bool, np.bool_)):
        raise InputError(argument, f"got {value!r}, expected True or False")
    return bool(value)


def text(argument: str, value: Any) -> str:
    """Return `value` if it is text.

    >>> text("name", 3)
    Traceback (most recent call last):
    ...
    nfa.common.errors.InputError: name: got 3, expected text
    """
    if not isinstance(value, str):
        raise InputError(argument, f"got {value!r}, expected text")
    return value


def check_finite(
    argument: str | Place, values: "Tensor", first_row: int = 0, columns: tuple[str, ...] | None = None
) -> None:
    """Raise if a 1-D or 2-D floating-point tensor holds NaN or infinity, saying where the first one is.

    Args:
        argument: What to call the tensor in the message, or which part of an argument it is.
        values: Shape (n,) or (n, d); further axes count as columns.
        first_row: The number of the first row given, when `values` is a part of something longer.
        columns: Names of the d columns, where they have names.

    Raises:
        InputError: an entry is NaN or infinite.
    """
    import torch

    if not values.is_floating_point() or values.numel() == 0:
        return
    table = values.detach().reshape(values.shape[0] if values.ndim else 1, -1)
    step = max(1, FINITE_CHUNK // table.shape[1])
    for start in range(0, len(table), step):
        part = table[start : start + step]
        # A sum is cheap, and is not finite where an entry is not. Only then are the entries looked at.
        if bool(torch.isfinite(part.sum())) or not bool((bad := ~torch.isfinite(part)).any()):
            continue
        row, column = (int(i) for i in bad.nonzero()[0])
        value = float(table[start + row, column])
        where = f"row {first_row + start + row}"
        if values.ndim > 1:
            where += f", column {shown(columns[column])!r}" if columns else f", column {column}"
        place = argument if isinstance(argument, Place) else Place(argument)
        raise place.because(f"{value} at {where}; every entry must be finite")


def output_folder(argument: str, path: str | os.PathLike[str]) -> Path:
    """Return the folder `path`, made where it is missing, and checked to take files.

    Raises:
        InputError: the path is a file, or the folder cannot be made or written.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / unused_name()
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(argument, f"cannot write to {folder} ({error.strerror})") from error
    return folder


def existing_file(argument: str, path: str | os.PathLike[str]) -> Path:
    """Return `path` if it is a file that is not empty.

    Raises:
        InputError: it is missing, a folder, a pipe or a device, empty, or cannot be looked at.
    """
    file = Path(path)
    name = shown(file, LONGEST_PATH)
    try:
        found = file.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(argument, f"no such file: {name}") from error
    except (OSError, ValueError) as error:
        # A name that is too long, a folder that may not be read, links in a circle, a zero byte in a name.
        reason = getattr(error, "strerror", None) or error
        raise InputError(argument, f"cannot read {name} ({reason})") from error
    if not stat.S_ISREG(found.st_mode):
        raise InputError(argument, f"{name} is not a file")
    if found.st_size == 0:
        raise InputError(argument, f"{name} is empty")
    return file
