"""Masked arrays of NumPy's: what is masked would count like any other entry."""

from typing import Any

import numpy as np

from nfa.common.errors import InputError


def refuse_masked(argument: str, values: Any) -> None:
    """Raise if an array has masked entries.

    Raises:
        InputError: it has some.

    >>> refuse_masked("y", np.ma.masked_array([1.0, 2.0], mask=[False, True]))
    Traceback (most recent call last):
    ...
    nfa.common.errors.InputError: y: 1 entry is masked, the first at row 1; leave such rows out, or fill them (filled)
    """
    if not isinstance(values, np.ma.MaskedArray) or not np.ma.is_masked(values):
        return
    mask = np.ma.getmaskarray(values)
    count = int(mask.sum())
    row = f", the first at row {np.argwhere(mask)[0, 0]}" if mask.ndim else ""
    many = "1 entry is" if count == 1 else f"{count:,} entries are"
    raise InputError(argument, f"{many} masked{row}; leave such rows out, or fill them (filled)")
