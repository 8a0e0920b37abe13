"""What users hand over as X and y, as tensors: arrays, tensors, data frames."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OneHotEncoder
from torch import Tensor

from nfa.common.checks import one_of
from nfa.common.errors import InputError

DTYPES = {"float32": torch.float32, "float64": torch.float64}
"""What `dtype` may be."""


def as_host(values: Any) -> Any:
    """Return a tensor as a NumPy array, half precision as float32, and anything else as it is."""
    if isinstance(values, np.ndarray) and values.dtype == np.float16:
        return values.astype(np.float32)
    if not isinstance(values, Tensor):
        return values
    values = values.detach().cpu()
    return (values.float() if values.dtype in (torch.float16, torch.bfloat16) else values).numpy()


def column_encoder(X: Any) -> ColumnTransformer | None:
    """Return an unfitted transformer for the columns of a data frame that are not numbers; None where all are.

    It is scikit-learn's `OneHotEncoder` on those columns (a category not seen in `fit` is all zeros), with the
    other columns behind them as they are.
    """
    if not hasattr(X, "columns") or not hasattr(X, "select_dtypes"):
        return None
    numbers = set(X.select_dtypes(include=["number", "bool"]).columns)
    others = [name for name in X.columns if name not in numbers]
    return encoder_of(others) if others else None


def encoder_of(columns: list[Any], categories: Any = "auto") -> ColumnTransformer:
    """Return the unfitted transformer that one-hot encodes some columns, of known categories where they are given."""
    one_hot = OneHotEncoder(categories=categories, handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer(
        [("categories", one_hot, columns)], remainder="passthrough", verbose_feature_names_out=False
    )


def encoded_from(encoder: ColumnTransformer) -> list[int]:
    """Return for each encoded column the number of the frame's column that it comes from."""
    names = list(encoder.feature_names_in_)
    one_hot = encoder.named_transformers_["categories"]
    counts = [len(found) for found in one_hot.categories_]
    encoded = [names.index(name) for name in one_hot.feature_names_in_]
    rest = [number for number in range(len(names)) if number not in encoded]
    return [number for number, count in zip(encoded, counts, strict=True) for _ in range(count)] + rest


def computing_dtype(X: NDArray[Any], dtype: Any) -> torch.dtype:
    """Return the dtype to compute in: the one asked for, or X's; float64 for whole numbers.

    Raises:
        InputError: a dtype that is neither float32 nor float64.
    """
    if dtype is None:
        return torch.float32 if X.dtype == np.float32 else torch.float64
    name = str(dtype).removeprefix("torch.") if isinstance(dtype, (str, torch.dtype)) else np.dtype(dtype).name
    return DTYPES[one_of("dtype", name, DTYPES)]


def device_of(X: Any, device: Any) -> torch.device:
    """Return the device asked for, or X's; the CPU for arrays.

    Raises:
        InputError: a device that torch does not know.
    """
    if device is None:
        return X.device if isinstance(X, Tensor) else torch.device("cpu")
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise InputError(f"device: {device!r} is not a device torch knows") from error
