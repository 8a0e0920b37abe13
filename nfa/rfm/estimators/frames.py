"""The columns of a data frame: which are numbers, which are categories, and how categories become numbers."""

from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_numeric_dtype, is_object_dtype, is_string_dtype
from sklearn.preprocessing import OneHotEncoder

from nfa.common.errors import InputError
from nfa.common.shown import few
from nfa.common.warned import CategoryWarning, warn_once
from nfa.rfm.estimators.target_encoding import TargetEncoding

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer

MOST_CATEGORIES = 50
"""A column of more categories is encoded by the targets: one column for each costs d^3, and makes up most of M."""
NEARLY_UNIQUE = 10
"""So is one of more than this many categories, where there are not even two rows for each: it names rows."""
SHOWN = 5
"""A warning names this many categories."""


def categorical_columns(frame: pd.DataFrame) -> list[int]:
    """Return the numbers of the columns that hold categories: text, objects that are no numbers, pandas' categories.

    A column of objects that are all numbers, but for missing ones, is one of numbers.

    Raises:
        InputError: a column is neither numbers, truth values nor categories, as dates are; or is of several kinds.
    """
    # By position: a number as a column's name would be taken for one.
    found = []
    for position, (name, dtype) in enumerate(zip(frame.columns, frame.dtypes, strict=True)):
        if isinstance(dtype, pd.CategoricalDtype) or is_object_dtype(dtype) or is_string_dtype(dtype):
            if is_object_dtype(dtype) and _are_numbers(frame.iloc[:, position]):
                continue
            _check_one_kind(name, frame.iloc[:, position])
            found.append(position)
        elif not (is_numeric_dtype(dtype) or is_bool_dtype(dtype)):
            raise InputError("X", f"column {name!r} is {dtype}, expected numbers, truth values or categories")
    return found


def plain_frame(frame: pd.DataFrame, categories: list[int]) -> pd.DataFrame:
    """Return a frame whose categories are objects, None where they are missing, and whose other columns are NumPy's.

    Raises:
        InputError: a number is missing, or is none.
    """
    parts = [
        _as_categories(column) if position in categories else _as_numbers(name, column)
        for position, (name, column) in enumerate(frame.items())
    ]
    # All at once, and by position: two columns may have one name.
    found = pd.concat(parts, axis=1) if parts else frame
    return found.set_axis(frame.columns, axis=1)


def column_encoder(frame: pd.DataFrame, categories: list[int], seed: int, weighted: bool) -> "ColumnTransformer":
    """Return the unfitted transformer for a frame as `plain_frame` makes it, which has categories.

    It is scikit-learn's `OneHotEncoder` (a category not seen in `fit` is all zeros) on most of them, its
    `TargetEncoder` on those of too many categories, of which a warning tells, with the numbers behind them as they are.

    Args:
        frame: The training rows.
        categories: Numbers of the columns that hold categories.
        seed: Of the cross-fitting's folds.
        weighted: Whether rows have different weights, which scikit-learn's `TargetEncoder` does not take.
    """
    one_hot, by_target = [], []
    for position in categories:
        count, n = frame.iloc[:, position].nunique(dropna=False), len(frame)
        if count <= MOST_CATEGORIES and (count <= NEARLY_UNIQUE or 2 * count <= n):
            one_hot.append(position)
            continue
        by_target.append(position)
        # Without the numbers, which differ from fold to fold.
        many = (
            f"more than {MOST_CATEGORIES} categories" if count > MOST_CATEGORIES else "nearly one category for each row"
        )
        way = "Leave out a column that only names rows."
        if _are_numbers_in_text(frame.iloc[:, position]):
            way = "They are numbers written as text, of which pandas.to_numeric makes numbers."
        alike = "; every row counts alike, whatever its weight" if weighted else ""
        warn_once(
            f"column {frame.columns[position]!r} has {many}: each becomes the mean of its targets (TargetEncoder, "
            f"cross-fitted{alike}), not a column of its own. {way}",
            CategoryWarning,
            stacklevel=2,
        )
    numbers = {dtype for position, dtype in enumerate(frame.dtypes) if position not in categories}
    dtype = np.float32 if numbers == {np.dtype(np.float32)} else np.float64
    return encoder_of(one_hot, by_target, TargetEncoding(seed, dtype))


def _are_numbers_in_text(column: "pd.Series[Any]") -> bool:
    """Return whether all of a column's categories are text that reads as numbers."""
    categories = column.dropna().unique()
    if not all(isinstance(each, str) for each in categories):
        return False
    return bool(pd.to_numeric(pd.Series(categories, dtype=object), errors="coerce").notna().all())


def encoder_of(
    one_hot: list[int], by_target: list[int], encoding: TargetEncoding, categories: Any = "auto"
) -> "ColumnTransformer":
    """Return the unfitted transformer that encodes some columns one-hot and some by the targets.

    Args:
        one_hot: Numbers of the columns that are encoded one-hot.
        by_target: Numbers of those encoded by the targets.
        encoding: Their transformer.
        categories: Of the first, where they are known.
    """
    from sklearn.compose import ColumnTransformer  # with it come scikit-learn's linear models and its svm

    steps: list[tuple[str, Any, list[int]]] = []
    if one_hot:
        # int8 leaves the dtype to the other columns.
        encoder = OneHotEncoder(categories=categories, handle_unknown="ignore", sparse_output=False, dtype=np.int8)
        steps.append(("categories", encoder, one_hot))
    if by_target:
        steps.append(("targets", encoding, by_target))
    return ColumnTransformer(steps, remainder="passthrough", verbose_feature_names_out=False)


def encoded_columns(encoder: "ColumnTransformer") -> dict[int, NDArray[Any]]:
    """Return the categories of each column that a fitted transformer encodes, by the column's number."""
    found: dict[int, NDArray[Any]] = {}
    for name, fitted, columns in encoder.transformers_:
        if name in ("categories", "targets"):
            found |= dict(zip(columns, fitted.categories_, strict=True))
    return found


def encoded_from(encoder: "ColumnTransformer") -> list[int]:
    """Return for each encoded column the number of the frame's column that it comes from."""
    found: list[int] = []
    for name, fitted, columns in encoder.transformers_:
        if name == "categories":
            counts = [len(each) for each in fitted.categories_]
            found += [number for number, count in zip(columns, counts, strict=True) for _ in range(count)]
        elif name == "targets":
            found += [*columns] * len(fitted.encoders_)
    encoded = encoded_columns(encoder)
    return found + [number for number in range(encoder.n_features_in_) if number not in encoded]


def warn_of_unseen(encoder: "ColumnTransformer", frame: pd.DataFrame) -> None:
    """Warn of categories that `fit` did not see."""
    for position, known in encoded_columns(encoder).items():
        column = frame.iloc[:, position]
        unseen = [each for each in column.unique() if each not in set(known.tolist())]
        if unseen:
            names = few([repr(each) for each in unseen], SHOWN)
            warn_once(
                f"column {frame.columns[position]!r} holds categories that fit has not seen ({names}): "
                "they count as none of those it has",
                CategoryWarning,
                stacklevel=2,
            )


def _are_numbers(column: pd.Series) -> bool:
    """Return whether objects are numbers, at least one of them, and none anything else."""
    values = column[column.notna()]
    return len(values) > 0 and all(isinstance(each, (Real, Decimal, np.bool_)) for each in values)


def _check_one_kind(name: Any, column: pd.Series) -> None:
    try:
        sorted(set(column[column.notna()]))
    except TypeError as error:
        kinds = few(sorted({type(each).__name__ for each in column[column.notna()]}), SHOWN)
        raise InputError("X", f"column {name!r} holds {kinds}, expected numbers, or categories of one kind") from error


def _as_categories(column: pd.Series) -> pd.Series:
    values = column.astype(object).to_numpy(copy=True)
    # None, NaN, NA: one class of their own, by one name.
    values[column.isna().to_numpy()] = None
    return pd.Series(values, index=column.index, dtype=object)


def _as_numbers(name: Any, column: pd.Series) -> pd.Series:
    missing = int(column.isna().sum())
    if missing:
        raise InputError(
            "X",
            f"column {name!r} has no number (NaN) in {missing:,} of {len(column):,} rows; fill them in first, as "
            "sklearn.impute.SimpleImputer does in a pipeline",
        )
    if is_object_dtype(column.dtype) and _are_numbers(column):
        return column.astype(np.float64)
    if not (is_numeric_dtype(column.dtype) or is_bool_dtype(column.dtype)):
        raise InputError("X", f"column {name!r} is {column.dtype}, expected numbers, as in fit")
    dtype = getattr(column.dtype, "numpy_dtype", None)
    return column if dtype is None else column.astype(dtype)
