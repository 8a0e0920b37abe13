"""A fitted estimator becomes a file."""

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.utils.validation import check_is_fitted

from nfa.common.errors import InputError
from nfa.common.writing import replacing, write_tensors
from nfa.rfm.estimators.tables import encoded_columns, name_of
from nfa.rfm.saving.estimators import estimators
from nfa.rfm.saving.header import FORMAT, KEY, NOT_KEPT, Header, array_to_json, table_to_json, to_json
from nfa.rfm.saving.machine import tensors_of


def save(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to a safetensors file; see `Saved.save`."""
    name = type(model).__name__
    if estimators().get(name) is not type(model):
        raise InputError("model", f"{name} is none of {', '.join(estimators())}; pickle it")
    check_is_fitted(model)
    fitted: Any = getattr(model, "best_estimator_", model)
    tensors, transposed = tensors_of(fitted.machine_, fitted._weights)
    header: Header = {
        "format": FORMAT,
        "nfa_version": version("nfa"),
        "class": name,
        "parameters": _parameters(model),
    }
    header |= {"search": None if fitted is model else _search(model), "fitted": _fitted(fitted)}
    header["transposed"] = transposed
    with replacing("path", Path(path)) as (new,):
        write_tensors(new, tensors, {KEY: json.dumps(header, allow_nan=False)})


def _parameters(model: Any) -> Header:
    """Return the parameters that JSON can hold."""
    found = {}
    for name, value in model.get_params(deep=False).items():
        if name == "dtype" and value is not None:
            value = name_of(value)
        plain = value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
        single = plain if isinstance(plain, (list, tuple)) else [plain]
        if name not in NOT_KEPT and all(each is None or isinstance(each, (bool, int, float, str)) for each in single):
            found[name] = [to_json(each) for each in plain] if single is plain else to_json(plain)
    return found


def _search(model: Any) -> Header:
    """Return what a search knows besides the machine it chose."""
    return {
        "best_params": {name: to_json(value) for name, value in model.best_params_.items()},
        "best_score": to_json(model.best_score_),
        "cv_results": table_to_json(model.cv_results_),
        "loo_results": table_to_json(model.loo_results_),
    }


def _fitted(model: Any) -> Header:
    """Return what a fitted machine's tensors do not say."""
    machine, encoder = model.machine_, model.encoder_
    names = getattr(model, "feature_names_in_", None)
    classes = getattr(model, "classes_", None)
    return {
        "parameters": _parameters(model),
        "kernel": machine.kernel.name,
        "exponent": float(machine.kernel.exponent),
        "bandwidth": float(machine.bandwidth),
        "unit": float(machine.unit),
        "x_unit": float(machine.metric.unit),
        "n_features": int(model.n_features_in_),
        "features": None if names is None else names.tolist(),
        "encoder": None if encoder is None else _encoder(encoder),
        "classes": None if classes is None else array_to_json("classes_", classes),
        "target_shape": None if classes is not None else list(model._target_shape),
        "history": table_to_json(model.history_),
        "solver": model.solver_,
    }


def _encoder(encoder: ColumnTransformer) -> list[Header]:
    """Return the numbers of the columns that are one-hot encoded, with their categories."""
    categories = encoder.named_transformers_["categories"].categories_
    pairs = zip(encoded_columns(encoder), categories, strict=True)
    return [{"column": number} | array_to_json(f"categories of column {number}", values) for number, values in pairs]
