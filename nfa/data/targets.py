"""Targets of any type as arrays of labels or numbers."""

from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfa.common.checks import check_finite
from nfa.common.errors import InputError
from nfa.common.numerals import NUMBER
from nfa.common.shown import few
from nfa.data.masked import refuse_masked

IGNORED = -100
"""The label of a position that is ignored, as in torch's losses."""


def target_array(y: Any, positions: int | None = 1) -> NDArray[Any]:
    """Return targets as an array of truth values, whole numbers, real numbers or text, (n,) or (n, c).

    Objects become what they hold, bytes text, half precision float32, and a column of labels (n,). Whole numbers
    (n, T) are labels of T positions, where the network answers at as many; None stands for any number.

    Raises:
        InputError: a value is missing, they are of several kinds or of none of these; several columns of anything but
            real numbers.

    >>> target_array(np.array([1, 2], dtype=object)).dtype.name, target_array([["a"], ["b"]]).shape
    ('int64', (2,))
    """
    values: NDArray[Any]
    refuse_masked("y", y)
    if isinstance(y, Tensor):
        y = y.detach().cpu()
        values = (y.float() if y.dtype in (torch.float16, torch.bfloat16) else y).numpy()
    else:
        if hasattr(y, "isna"):
            _check_present(np.asarray(y.isna()))
        try:
            values = np.asarray(y)
            # NumPy writes a list of numbers and text as text.
            values = (
                np.asarray(y, dtype=object) if isinstance(y, (list, tuple)) and values.dtype.kind in "US" else values
            )
        except ValueError as error:
            raise InputError("y", "a list of unequal parts, expected labels or numbers, (n,) or (n, c)") from error
    if values.dtype.kind == "O":
        values = _of_objects(values)
    elif values.dtype.kind in "ST":
        values = _text(values)
    elif values.dtype == np.float16:
        values = values.astype(np.float32)
    if values.dtype.kind not in "biufU":
        raise InputError("y", f"holds {values.dtype}, expected labels or numbers")
    if values.dtype.kind == "f":
        return values
    if are_tokens(values, positions):
        return values
    values = column_of(values)
    _check_shape(values.dtype.kind, values.shape)
    return values


def are_tokens(values: NDArray[Any] | Tensor, positions: int | None) -> bool:
    """Return whether targets are labels (n, T) of a network that answers at T positions, or at any number (None).

    >>> are_tokens(np.zeros((3, 4), dtype=int), 4), are_tokens(np.zeros((3, 4)), 4)
    (True, False)
    """
    whole = not values.is_floating_point() if isinstance(values, Tensor) else values.dtype.kind in "iu"
    return whole and values.ndim == 2 and values.shape[1] > 1 and positions in (None, values.shape[1])


def target_tensor(y: Tensor, first_row: int = 0) -> Tensor:
    """Return a tensor of targets as class numbers (n,), int64, or real numbers (n,) or (n, c), on its device.

    Whole numbers in several columns may be labels of several positions; the network's outputs decide.
    `first_row` is the number of its first row, for messages.

    Raises:
        InputError: whole numbers in more than two axes; an entry that is not finite.
    """
    if y.is_floating_point():
        check_finite("y", y, first_row)
        return y
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 2:
        _check_shape("i", tuple(y.shape))
    return y.long()


def label_name(label: Any) -> str:
    """Return a label as text, as data sets call it: a whole number without a point.

    >>> label_name(2.0), label_name(np.int64(3)), label_name(b"cat")
    ('2', '3', 'cat')
    """
    value = label.item() if hasattr(label, "item") else label
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def as_numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers, or labels that are called by numbers, in floating point.

    Raises:
        InputError: a label is no number.
    """
    if values.dtype.kind == "f":
        return values
    if values.dtype.kind == "U" and not all(map(NUMBER.fullmatch, values.ravel().tolist())):
        raise InputError("y", f"holds the labels {few(np.unique(values).tolist())}, but mse needs numbers")
    return values.astype(np.float64)


def column_of(values: NDArray[Any]) -> NDArray[Any]:
    """Return a single column (n, 1) as (n,), anything else as it is."""
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _of_objects(values: NDArray[Any]) -> NDArray[Any]:
    """Return an array of objects in the dtype of what they are."""
    import pandas as pd

    _check_present(np.asarray(pd.isna(values)))
    kinds = {_kind(value) for value in values.ravel().tolist()}
    if kinds == {"text"}:
        return _text(values)
    for numbers, dtype in (({"bool"}, np.bool_), ({"bool", "int"}, np.int64), ({"bool", "int", "float"}, np.float64)):
        if kinds <= numbers:
            return values.astype(dtype)
    raise InputError("y", f"labels of several kinds ({', '.join(sorted(kinds))}), expected those of one kind")


def _kind(value: Any) -> str:
    if isinstance(value, (str, bytes)):
        return "text"
    if isinstance(value, (bool, np.bool_)):
        return "bool"
    if isinstance(value, Integral):
        return "int"
    return "float" if isinstance(value, Real) else type(value).__name__


def _text(values: NDArray[Any]) -> NDArray[Any]:
    names = [label_name(value) for value in values.ravel().tolist()]
    return np.array(names, dtype=np.str_).reshape(values.shape)


def _check_present(missing: NDArray[np.bool_]) -> None:
    rows = missing.reshape(len(missing), -1).any(1) if missing.ndim else missing
    if rows.any():
        raise InputError("y", f"no value at row {int(rows.argmax())}")


def _check_shape(kind: str, shape: tuple[int, ...]) -> None:
    if kind != "f" and len(shape) != 1:
        what = "text" if kind == "U" else "whole numbers"
        raise InputError(
            "y",
            f"{what} of shape {shape}; give class numbers (n,), or one-hot rows and real targets as real numbers "
            "((n, T) for outputs n x T x c)",
        )
