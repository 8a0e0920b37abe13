"""The user's own files: .npz, .npy, .csv, .tsv and .parquet."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfa.common.checks import check_finite, existing_file
from nfa.common.errors import InputError
from nfa.data.arrays import arrays_of
from nfa.data.dataset import Dataset
from nfa.data.delimited import read_delimited
from nfa.data.parquet import read_parquet
from nfa.data.targets import label_name, target_array

TABLES = (".csv", ".tsv", ".parquet")
"""Files of tables, of which a column is the target."""

SUFFIXES = (".npz", ".npy", *TABLES)


def load_file(path: str | Path, target: str | None = None, max_memory: float | None = None) -> Dataset:
    """Read a data set from a file; nothing in it is executed, and no number is read as another.

    Whole numbers become float32 where that holds each of them exactly, else float64; other numbers keep their dtype, in
    a table float64.

    Args:
        path: `.npz` with `X` (n x d) and optionally `y`; `.npy` with X; `.csv`, `.tsv` or `.parquet` with a named
            column for each feature.
        target: The column that is y, in a table. Without it a table has no y.
        max_memory: GiB that the data may take. Without it, 64 times what the file takes on disk, at least a quarter
            GiB, at most half of the machine's memory.

    Raises:
        InputError: the file is missing, empty, truncated, of another kind, larger than the budget, or changes while
            it is read; a feature is no number, or could be two; an entry is missing or not finite; there is no such
            column.
    """
    file = existing_file("data", path)
    if file.suffix.lower() not in SUFFIXES:
        # No suffix is a misspelt other one: what is in the file counts.
        raise InputError("data: the file's suffix", f"{file.suffix!r} is unknown (known: {', '.join(SUFFIXES)})")
    if file.suffix.lower() in (".npz", ".npy"):
        if target is not None:
            raise InputError("target", f"{file.name} has no named columns; an .npz keeps its targets in 'y'")
        return _from_arrays(file, max_memory)
    table = (read_parquet if file.suffix.lower() == ".parquet" else read_delimited)(file, target, max_memory)
    y, classes = (None, None) if table.y is None else _targets(table.y)
    data = Dataset(table.X, y, name=file.name, feature_names=table.names, class_names=classes)
    _check_finite(data)
    return data


def _from_arrays(file: Path, max_memory: float | None) -> Dataset:
    arrays = arrays_of(file, ["X"], ["y"], max_memory)
    X = arrays["X"]
    if X.dtype.kind not in "iufb":
        raise InputError("data", f"X in {file.name} holds {X.dtype}, expected numbers")
    if X.ndim < 2 or X.size == 0:
        raise InputError("data", f"X in {file.name} has shape {X.shape}, expected (rows, features), none of them 0")
    y, classes = _array_targets(file.name, arrays["y"], len(X)) if "y" in arrays else (None, None)
    shape = X.shape[1:] if X.ndim > 2 else None
    data = Dataset(
        X.reshape(len(X), -1) if X.ndim > 2 else X,
        y,
        name=file.name,
        class_names=classes,
        feature_shape=shape,
    )
    _check_finite(data)
    return data


def _array_targets(name: str, y: NDArray[Any], rows: int) -> tuple[NDArray[Any], tuple[str, ...] | None]:
    if y.ndim not in (1, 2) or len(y) != rows or y.size == 0:
        raise InputError("data", f"y in {name} has shape {y.shape}, expected {rows} targets, one for each row of X")
    if y.dtype.kind == "S":
        try:
            y = np.char.decode(y, "utf-8")
        except UnicodeDecodeError as error:
            raise InputError("data", f"y in {name} holds text that is not in UTF-8") from error
    return _targets(y)


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
