"""Arrays, tables and lists of numbers as tensors, over the same memory where possible."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nfa.common.errors import InputError
from nfa.data.masked import refuse_masked


def as_tensor(argument: str, values: Any) -> Tensor:
    """Return a tensor over the same memory where possible."""
    refuse_masked(argument, values)
    if isinstance(values, Tensor):
        return values.detach()
    if hasattr(values, "columns"):
        for name, dtype in zip(values.columns, values.dtypes, strict=True):
            if getattr(dtype, "kind", "O") not in "iufb":
                raise InputError(
                    argument,
                    f"column {str(name)!r} holds {dtype}, expected numbers; pandas.get_dummies(X) makes numbers of it, "
                    "X.select_dtypes('number') leaves it out",
                )
    if not (isinstance(values, (np.ndarray, list)) or hasattr(values, "__array__")):
        raise InputError(
            argument, f"got {type(values).__name__}, expected a tensor, array, data set or loader; {_way(values)}"
        )
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InputError(argument, "a list of unequal parts; hand over rows, or a pair (X, y) as a tuple") from error
    if array.dtype.kind == "O" and hasattr(values, "columns"):
        # Numbers beside truth values, or columns that may have missing ones: NumPy has no kind of number for these.
        array = values.to_numpy(dtype=np.float64, na_value=np.nan)
    if array.dtype.kind not in "iufb":
        column = _first_text_column(array)
        raise InputError(argument, f"column {column} holds {array.dtype}, expected numbers")
    return shared(array)


def _way(values: Any) -> str:
    """Return the call that works for data of another type."""
    if isinstance(values, (str, os.PathLike)):
        return f"nfa.load_data({os.fspath(values)!r}) reads names and files"
    if isinstance(values, Iterator):
        return "torch.stack(list(rows)) holds the rows of an iterator, which can be read once alone"
    if hasattr(values, "to_pandas"):
        return "data.to_pandas() is a data frame"
    return "hand over X or (X, y) with X of n rows, such as torch.as_tensor(rows)"


def shared(array: np.ndarray[Any, Any]) -> Tensor:
    """Return a tensor over the array's memory; a copy where torch could write there, or has no such dtype.

    Whole numbers become int64; beyond it, and of more than 64 bits, numbers become the nearest of float64.
    """
    kind, size = array.dtype.kind, array.dtype.itemsize
    dtype: np.dtype[Any] = np.dtype(np.float64)
    if kind == "b":
        dtype = np.dtype(np.bool_)
    elif kind == "i" or (kind == "u" and (size < 8 or array.max(initial=0) < 1 << 63)):
        dtype = np.dtype(np.int64)
    elif kind == "f" and size <= 8:
        dtype = array.dtype.newbyteorder("=")
    array = np.ascontiguousarray(array.astype(dtype, copy=False))
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _first_text_column(array: np.ndarray[Any, Any]) -> int:
    for column in range(array.shape[1] if array.ndim > 1 else 1):
        values = array[:, column] if array.ndim > 1 else array
        if any(not isinstance(value, (int, float, np.number)) for value in values):
            return column
    return 0
