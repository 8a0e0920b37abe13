"""Data as other libraries keep them: scikit-learn's Bunch, and data sets of Hugging Face."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nfa.common.errors import InputError
from nfa.common.shown import shown

TARGETS = ("labels", "label")
"""The names of the targets among the columns of a data set, or in a dict of inputs."""


def unpacked(data: Any) -> Any:
    """Return a Bunch or a data set of Hugging Face as inputs, or as a pair of inputs and targets; all else as it is.

    A Bunch gives its `data` and `target`. A data set of Hugging Face is read into memory: its columns "labels" or
    "label" are the targets; the others are the inputs, a table where each holds a number for each row, else a dict by
    name, or the one column itself.

    Raises:
        InputError: rows of a Bunch that are texts, several data sets in a dict, a data set that is streamed, columns
            that are no arrays of numbers.

    >>> from sklearn.utils import Bunch
    >>> unpacked(Bunch(data=[[1.0], [2.0]], target=[0, 1]))
    ([[1.0], [2.0]], [0, 1])
    """
    if is_bunch(data):
        if isinstance(data["data"], list) and data["data"] and isinstance(data["data"][0], str):
            raise InputError(
                "data", "the rows of this Bunch are texts; hand over (vectorizer.transform(bunch.data), bunch.target)"
            )
        return data["data"], data.get("target")
    return _columns(data) if _is_of_hugging_face(data) else data


def is_bunch(data: Any) -> bool:
    """Return whether data are a Bunch of scikit-learn's data sets."""
    return type(data).__name__ == "Bunch" and isinstance(data, Mapping) and "data" in data


def known_names(data: Any) -> tuple[str, ...]:
    """Return the names that a Bunch gives the columns of an array; () where it gives none.

    >>> from sklearn.datasets import load_iris
    >>> known_names(load_iris())[:2]
    ('sepal length (cm)', 'sepal width (cm)')
    """
    names = data.get("feature_names") if is_bunch(data) else None
    if names is None or np.ndim(data["data"]) != 2 or len(names) != np.shape(data["data"])[1]:
        return ()
    return tuple(str(name) for name in names)


def known_shape(data: Any) -> tuple[int, ...] | None:
    """Return the shape of a Bunch's rows as pictures; None where they are none.

    >>> from sklearn.datasets import load_digits
    >>> known_shape(load_digits())
    (8, 8)
    """
    shape = np.shape(data["images"])[1:] if is_bunch(data) and "images" in data else ()
    fits = len(shape) in (2, 3) and np.shape(data["data"])[1:] == (math.prod(shape),)
    return tuple(int(size) for size in shape) if fits else None


def _is_of_hugging_face(data: Any) -> bool:
    return any(kind.__module__.partition(".")[0] == "datasets" for kind in type(data).__mro__)


def _columns(data: Any) -> Any:
    """Return the columns of a data set of Hugging Face: inputs, or inputs and targets."""
    if isinstance(data, Mapping):
        first = next(iter(data), "train")
        raise InputError("data", f"a dict of the data sets {', '.join(data)}; hand over one, such as data[{first!r}]")
    if not hasattr(data, "column_names") or not hasattr(data, "__len__"):
        raise InputError(
            "data", "a data set that is streamed; datasets.Dataset.from_list(list(data.take(1000))) holds 1,000 rows"
        )
    named = data.format["columns"] or data.column_names
    targets = [name for name in named if name in TARGETS]
    if len(targets) > 1:
        raise InputError("data", 'both "label" and "labels"; data.remove_columns("label") leaves one')
    whole = data.with_format("numpy", columns=named)
    arrays = {name: _array(name, whole[name][:], named) for name in named}
    y = arrays.pop(targets[0]) if targets else None
    return _inputs(arrays, named) if y is None else (_inputs(arrays, named), y)


def _array(name: str, values: Any, named: list[str]) -> np.ndarray[Any, Any]:
    """Return a column as an array of numbers.

    Raises:
        InputError: it holds something else, or rows of unequal lengths.
    """
    array = np.asarray(values)
    if name in TARGETS and array.dtype.kind in "biufU":
        return array
    if array.dtype.kind == "O":
        lengths = {np.shape(row) for row in array}
        if len(lengths) > 1:
            raise InputError(
                "data",
                f"column {shown(name)!r} holds rows of unequal lengths; tokenizer(..., padding='max_length') makes "
                "them equal",
            )
        array = np.asarray(array.tolist())
    if array.dtype.kind not in "biuf":
        rest = [other for other in named if other != name]
        raise InputError("data", f"column {shown(name)!r} holds no numbers; data.select_columns({rest}) leaves it out")
    return array


def _inputs(arrays: dict[str, np.ndarray[Any, Any]], named: list[str]) -> Any:
    """Return the inputs of some columns: a table of numbers, several inputs, or one."""
    if not arrays:
        raise InputError("data", f"no column but {', '.join(named) or 'none'}, and no inputs among them")
    if all(array.ndim == 1 for array in arrays.values()):
        import pandas as pd

        return pd.DataFrame(arrays)
    return arrays if len(arrays) > 1 else next(iter(arrays.values()))
