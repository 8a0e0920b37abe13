"""The user's own files: .npz, .npy, .csv and .parquet."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nfa.common.checks import check_finite, existing_file, one_of
from nfa.common.errors import InputError
from nfa.data.arrays import arrays_of
from nfa.data.dataset import Dataset
from nfa.data.targets import label_name, target_array

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".npz", ".npy", ".csv", ".parquet")


def load_file(path: str | Path, target: str | None = None) -> Dataset:
    """Read a data set from a file; nothing in it is executed.

    Args:
        path: `.npz` with `X` (n x d) and optionally `y`; `.npy` with X; `.csv` or `.parquet` with a named
            column for each feature.
        target: The column that is y, in a table. Without it a table has no y.

    Raises:
        InputError: the file is missing, empty, truncated or of another kind; a feature is no number; an
            entry is missing or not finite; there is no such column.
    """
    file = existing_file("data", path)
    one_of("data: the file's suffix", file.suffix.lower(), SUFFIXES)
    if file.suffix.lower() in (".npz", ".npy"):
        if target is not None:
            raise InputError("target", f"{file.name} has no named columns; an .npz keeps its targets in 'y'")
        return _from_arrays(file)
    return _from_table(file, target)


def _from_arrays(file: Path) -> Dataset:
    arrays = arrays_of(file, "X")
    X = arrays["X"]
    if X.dtype.kind not in "iufb":
        raise InputError("data", f"X in {file.name} holds {X.dtype}, expected numbers")
    shape = X.shape[1:] if X.ndim > 2 else None
    y, classes = _targets(arrays["y"]) if "y" in arrays else (None, None)
    data = Dataset(
        X.reshape(len(X), -1) if X.ndim > 2 else X,
        y,
        name=file.name,
        class_names=classes,
        feature_shape=shape,
    )
    _check_finite(data)
    return data


def _from_table(file: Path, target: str | None) -> Dataset:
    import pandas as pd

    try:
        table = pd.read_csv(file) if file.suffix.lower() == ".csv" else pd.read_parquet(file)
    except ImportError as error:
        raise InputError("data", ".parquet files need pyarrow: pip install 'nfa[parquet]'") from error
    except (ValueError, OSError, UnicodeDecodeError, MemoryError) as error:
        raise InputError("data", f"cannot read {file} as {file.suffix}: it is truncated or of another kind") from error
    if len(table) == 0:
        raise InputError("data", f"{file} is empty, it has no rows")
    return from_frame(table, target, file.name)


def from_frame(table: "pd.DataFrame", target: str | None, name: str) -> Dataset:
    """Turn a pandas data frame into a data set; `target` names the column that is y.

    Raises:
        InputError: a feature is no number, an entry is missing or not finite, there is no such column.
    """
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    table = table.rename(columns=str)
    y, classes = None, None
    if target is not None:
        one_of("target", target, table.columns)
        column = table.pop(target)
        if column.isna().any():
            raise InputError("target", f"column {target!r} has no value at row {int(column.isna().argmax())}")
        y, classes = _targets(column.to_numpy())
    for feature, dtype in table.dtypes.items():
        if not (is_numeric_dtype(dtype) or is_bool_dtype(dtype)):
            raise InputError(
                "data", f"column {feature!r} holds {dtype}, expected numbers; encode it, drop it, or make it the target"
            )
    X = table.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    data = Dataset(X, y, name=name, feature_names=tuple(table.columns), class_names=classes)
    _check_finite(data)
    return data


def _targets(values: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, ...] | None]:
    """Return class numbers and names for labels, or real targets as they are."""
    values = target_array(values)
    if values.dtype.kind == "f":
        return values.copy(), None
    classes, numbers = np.unique(values, return_inverse=True)
    return numbers.astype(np.int64), tuple(label_name(c) for c in classes)


def _check_finite(data: Dataset) -> None:
    import torch

    check_finite("data", torch.from_numpy(np.ascontiguousarray(data.X)), columns=data.feature_names)
    if data.y is not None:
        check_finite("target", torch.from_numpy(np.ascontiguousarray(data.y)))
