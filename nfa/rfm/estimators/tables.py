"""Turn X and y, which may be arrays, tensors or data frames, into tensors."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from nfa.common.checks import one_of
from nfa.common.errors import InputError
from nfa.data.masked import refuse_masked

DTYPES = {"float32": torch.float32, "float64": torch.float64}
"""The choices of `dtype`."""


def as_host(argument: str, values: Any) -> Any:
    """Return a tensor as a NumPy array, half precision as float32, a column of a frame as an array of its type.

    Anything else comes back as it is.

    Raises:
        InputError: entries are masked.
    """
    refuse_masked(argument, values)
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        return (values.float() if values.dtype in (torch.float16, torch.bfloat16) else values).numpy()
    if isinstance(values, np.ndarray):
        return values.astype(np.float32) if values.dtype == np.float16 else values
    if isinstance(values, pd.Series):
        # Where a value is missing, scikit-learn says so.
        return values if values.hasnans else values.to_numpy()
    if isinstance(values, pd.DataFrame):
        half = [name for name, dtype in values.dtypes.items() if dtype == np.float16]
        return values.astype(dict.fromkeys(half, np.float32)) if half else values
    return values


DATES = (date, timedelta, np.datetime64, np.timedelta64, pd.Period)
"""Types of dates and spans of time."""


def as_targets(argument: str, y: Any) -> Any:
    """Return targets as `as_host` does.

    Raises:
        InputError: they are sparse, dates, or text or objects some of which are missing; entries are masked.
    """
    if sparse.issparse(y):
        raise InputError(argument, "is sparse, expected an array: y.toarray()")
    columns = [column for _, column in y.items()] if isinstance(y, pd.DataFrame) else [y]
    for column in () if y is None or isinstance(y, Tensor) else columns:
        # Other libraries' dtypes, such as those of polars, have no kind.
        known = hasattr(getattr(column, "dtype", None), "kind")
        values = column if known else np.asarray(column, dtype=None if hasattr(column, "dtype") else object)
        if values.dtype.kind == "O":
            objects = np.asarray(values, dtype=object)
            missing = np.asarray(pd.isna(objects))
            if missing.any():
                raise InputError(argument, f"has a missing value at row {np.argwhere(missing)[0, 0]}")
            dates = any(isinstance(each, DATES) for each in objects.ravel())
        else:
            dates = values.dtype.kind in "mM"
        if dates:
            raise InputError(
                argument,
                "holds dates, expected numbers or labels; days since a date are numbers, text (astype(str)) is labels",
            )
    return as_host(argument, y)


def as_tensor(values: NDArray[Any]) -> Tensor:
    """Return an array as a tensor; a read-only one is copied, since torch would warn of it."""
    return torch.from_numpy(np.ascontiguousarray(values) if values.flags.writeable else values.copy())


def computing_dtype(X: NDArray[Any], dtype: Any) -> torch.dtype:
    """Return the dtype to compute in: the one asked for, or X's; float64 for whole numbers.

    Raises:
        InputError: a dtype that is neither float32 nor float64.
    """
    if dtype is None:
        return torch.float32 if X.dtype == np.float32 else torch.float64
    return DTYPES[one_of("dtype", name_of(dtype), DTYPES, none=True)]


def name_of(dtype: Any) -> str:
    """Return the name of a dtype of NumPy or torch; a name comes back as it is.

    >>> name_of(torch.float32), name_of(np.float64)
    ('float32', 'float64')
    """
    if isinstance(dtype, (str, torch.dtype)):
        return str(dtype).removeprefix("torch.")
    try:
        return str(np.dtype(dtype).name)
    except TypeError:
        return str(dtype)


def device_of(X: Any, device: Any) -> torch.device:
    """Return the device asked for, or X's; the CPU for arrays.

    Raises:
        InputError: a device that torch does not know, or that is not there.
    """
    if device is None:
        return X.device if isinstance(X, Tensor) else torch.device("cpu")
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InputError("device", f"{device!r} is not a device torch knows") from error
    try:
        torch.ones(1, device=found).item()  # needs memory there, and a way back
    # torch raises AssertionError, RuntimeError, NotImplementedError and errors of its own.
    except Exception as error:
        raise InputError("device", f"{device!r} is not available here") from error
    return found
