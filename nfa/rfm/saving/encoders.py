"""The transformer of a data frame's categories as JSON, and back."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nfa.common.checks import one_of
from nfa.common.shown import shown
from nfa.rfm.estimators.frames import encoder_of
from nfa.rfm.estimators.target_encoding import FOLDS, TargetEncoding
from nfa.rfm.saving.header import Header, array_from_json, array_to_json, expect, typed

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer


def encoder_header(encoder: "ColumnTransformer | None") -> Header:
    """Return the entries of a header that keep a transformer; they are null where there is none."""
    found: Header = {"encoder": None, "encoder_by_target": None}
    if encoder is None:
        return found
    found["encoder"] = []
    for name, fitted, columns in encoder.transformers_:
        if name == "categories":
            found["encoder"] = _columns(columns, fitted.categories_)
        elif name == "targets":
            each = _columns(columns, fitted.categories_)
            for number, column in enumerate(each):
                column["encodings"] = [one.encodings_[number].tolist() for one in fitted.encoders_]
            means = [float(one.target_mean_) for one in fitted.encoders_]
            found["encoder_by_target"] = {"columns": each, "means": means, "dtype": np.dtype(fitted.dtype).name}
    return found


def restored_encoder(found: Header, names: list[str] | None, n_features: int, d: int) -> "ColumnTransformer | None":
    """Return the transformer that `encoder_header` took apart: it makes d columns of `n_features`."""
    one_hot, kept = typed(found, "encoder", list, type(None)), found.get("encoder_by_target")
    expect(0 < n_features <= d, f"n_features: got {n_features}, but M has {d}")
    if one_hot is None:
        expect(n_features == d, f"n_features: got {n_features}, but M has {d}")
        return None
    by_target: list[Any] = [] if kept is None else typed(kept, "columns", list)
    means = [] if kept is None else _numbers(kept, "means")
    dtype = "float64" if kept is None else one_of("dtype", typed(kept, "dtype", str), ("float32", "float64"))
    places = [[typed(each, "column", int) for each in part] for part in (one_hot, by_target)]
    categories = [[_categories(each) for each in part] for part in (one_hot, by_target)]
    flat = [*places[0], *places[1]]
    width = n_features - len(flat) + sum(map(len, categories[0])) + len(by_target) * len(means)
    expect(width == d, f"encoder: makes {width} columns, but M has {d}")
    expect(len(flat) == len(set(flat)) and all(map(len, categories[0] + categories[1])), "encoder: an empty column")
    expect(all(0 <= each < n_features for each in flat), f"encoder: columns {shown(flat)} of {n_features}")
    expect(bool(means) == bool(by_target), "encoder_by_target: means without columns, or columns without")
    # Fitted to as many equal rows as there are folds, then told what was learned.
    known = dict(zip(flat, categories[0] + categories[1], strict=True))
    row = {
        number: known[number][:1].repeat(FOLDS) if number in known else np.zeros(FOLDS) for number in range(n_features)
    }
    frame = pd.DataFrame(row)
    if names is not None:
        frame.columns = pd.Index(names)
    encoding = TargetEncoding(0, np.dtype(dtype), categories[1])
    encoder = encoder_of(places[0], places[1], encoding, categories[0]).fit(frame, np.zeros((FOLDS, len(means))))
    if by_target:
        learned = [
            _encodings(column, len(values), len(means)) for column, values in zip(by_target, categories[1], strict=True)
        ]
        for number, one in enumerate(encoder.named_transformers_["targets"].encoders_):
            one.encodings_, one.target_mean_ = [each[number] for each in learned], means[number]
    return encoder


def _columns(columns: list[int], categories: list[NDArray[Any]]) -> list[Header]:
    """Return the numbers of columns with their categories."""
    pairs = zip(columns, categories, strict=True)
    return [{"column": number} | array_to_json(f"categories of column {number}", values) for number, values in pairs]


def _categories(found: Any) -> NDArray[Any]:
    """Return the categories of a column; a missing one is None, as in frames (older files have NaN too)."""
    values = array_from_json("categories", found).astype(object)
    missing = [isinstance(each, float) and math.isnan(each) for each in values]
    if sum(missing) == 1 and None not in values.tolist():
        values[missing] = None
    return values


def _encodings(column: Header, n: int, outputs: int) -> list[NDArray[np.float64]]:
    """Return what the n categories of a column are encoded as, target by target."""
    found = [_numbers({"encodings": each}, "encodings") for each in typed(column, "encodings", list)]
    fits = len(found) == outputs and all(len(each) == n for each in found)
    expect(fits, f"encodings: expected {n} numbers for each of {outputs} targets")
    return [np.array(each) for each in found]


def _numbers(table: Any, key: str) -> list[float]:
    values = typed(table, key, list)
    expect(all(type(each) in (int, float) and math.isfinite(each) for each in values), f"{key}: not all are numbers")
    return [float(each) for each in values]
