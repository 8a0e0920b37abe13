"""A file becomes a fitted estimator, once everything it says is known to fit."""

import json
import os
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, is_classifier
from sklearn.compose import ColumnTransformer
from torch import Tensor

from nfa.common.checks import existing_file, one_of
from nfa.common.errors import InputError
from nfa.common.shown import shown
from nfa.formats.nfa_file import read_safetensors
from nfa.rfm.estimators.tables import device_of, encoder_of
from nfa.rfm.saving.estimators import estimators
from nfa.rfm.saving.header import (
    FORMAT,
    KEY,
    NOT_KEPT,
    Header,
    HeaderError,
    array_from_json,
    expect,
    from_json,
    table_from_json,
    typed,
)
from nfa.rfm.saving.machine import machine_of, weights_of


def load(path: str | os.PathLike[str], device: Any = None, expected: str | None = None) -> Any:
    """Read the estimator that `save` wrote, of whatever class; nothing in the file is executed.

    It predicts the same, bit for bit on the same kind of machine.

    Args:
        path: The file.
        device: Where to compute, also the estimator's parameter; None for the CPU, wherever it was fitted.
        expected: The class it must be.

    Raises:
        InputError: the file is damaged, of another kind, or holds another class; or the device is not there.
    """
    file = existing_file("path", path)
    tensors, metadata = read_safetensors(file, "path")
    if KEY not in metadata:
        raise InputError("path", f"{file} holds no recursive feature machine")
    place = device_of(None, device)
    try:
        return _model(json.loads(metadata[KEY]), tensors, place, device, expected)
    except (InputError, HeaderError) as error:
        raise InputError("path", f"{file}: {shown(error, 300)}") from error
    # Whatever a header of the wrong shape meets on its way into numpy, pandas, scikit-learn and torch.
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise InputError("path", f"the header of {file} does not fit its tensors") from error


def _model(header: Any, tensors: dict[str, Tensor], place: torch.device, device: Any, expected: str | None) -> Any:
    """Return the estimator that header and tensors describe."""
    found = typed(header, "format", int)
    expect(found == FORMAT, f"format {found}, expected {FORMAT}")
    classes = estimators()
    name = one_of("class", typed(header, "class", str), classes)
    expect(expected in (None, name), f"holds an {name}, expected an {expected}")
    for key in typed(header, "transposed", list):
        matrix = tensors[one_of("transposed", key, tensors)]
        expect(matrix.ndim == 2, f"transposed: {key} is no matrix")
        tensors[key] = matrix.T
    search = typed(header, "search", dict, type(None))
    model = _unfitted(classes[name], header, device)
    if not hasattr(model, "_estimator"):
        expect(search is None, f"{name} does not search")
        return _restored(model, typed(header, "fitted", dict), tensors, place)
    inner = typed(header, "fitted", dict)
    best = _restored(_unfitted(model._estimator, inner, device), inner, tensors, place)
    model.best_estimator_, model.n_features_in_ = best, best.n_features_in_
    if hasattr(best, "feature_names_in_"):
        model.feature_names_in_ = best.feature_names_in_
    chosen = typed(search, "best_params", dict)
    for key in chosen:
        one_of("best_params", key, best.get_params())
    model.best_params_ = {key: from_json(value) for key, value in chosen.items()}
    model.best_score_ = from_json(typed(search, "best_score", float, int, dict))
    model.cv_results_, model.loo_results_ = (table_from_json(search, key) for key in ("cv_results", "loo_results"))
    return model


def _unfitted(estimator: Any, header: Header, device: Any) -> Any:
    """Return an estimator with the parameters that were kept."""
    found = dict(typed(header, "parameters", dict))
    known = set(estimator().get_params()) - set(NOT_KEPT)
    for name, value in found.items():
        one_of("parameters", name, known)
        found[name] = tuple(from_json(each) for each in value) if isinstance(value, list) else from_json(value)
    model = estimator(**found, device=device)
    if hasattr(model, "_recipe"):
        model._recipe()  # which checks them
    return model


def _restored(model: Any, found: Header, tensors: dict[str, Tensor], place: torch.device) -> BaseEstimator:
    """Return the machine's estimator, fitted."""
    machine = machine_of(found, tensors, place)
    model._weights = weights_of(tensors.get("weights"), machine)
    d, c = machine.centers.shape[1], machine.a.shape[1]
    names = typed(found, "features", list, type(None))
    n_features = typed(found, "n_features", int)
    encoder = typed(found, "encoder", list, type(None))
    fits = 0 < n_features <= d and (encoder is not None or n_features == d)
    expect(fits, f"n_features: got {n_features}, but M has {d}")
    model.n_features_in_ = n_features
    if names is not None:
        fits = all(isinstance(name, str) for name in names) and len(set(names)) == len(names) == n_features
        expect(fits, f"features: expected {n_features} different names")
        model.feature_names_in_ = np.array(names, dtype=object)
    model.encoder_ = None if encoder is None else _encoder_restored(encoder, names, n_features, d)
    classes, shape = (typed(found, key, kind, type(None)) for key, kind in (("classes", dict), ("target_shape", list)))
    if is_classifier(model):
        expect(classes is not None, "classes: none, but it is a classifier")
        model.classes_ = array_from_json("classes", classes)
        ascending = len(model.classes_) == c and bool((model.classes_[:-1] < model.classes_[1:]).all())
        expect(ascending, f"classes: expected {c} different ones, sorted")
    else:
        expect(shape in ([c], []) and (shape or c == 1), f"target_shape: got {shown(shape)}, but there are {c} outputs")
        model._target_shape = tuple(shape)
    model.solver_ = shown(typed(found, "solver", str), 200)
    model._device, model._dtype = place, machine.centers.dtype
    restored: BaseEstimator = model._keep(machine, table_from_json(found, "history"))
    return restored


def _encoder_restored(found: list[Any], names: list[str] | None, n_features: int, d: int) -> ColumnTransformer:
    """Return the transformer of known categories, fitted on a frame of one row."""
    columns = [typed(each, "column", int) for each in found]
    categories = [array_from_json("categories", each) for each in found]
    width = n_features - len(columns) + sum(len(values) for values in categories)
    expect(width == d, f"encoder: makes {width} columns, but M has {d}")
    expect(len(columns) == len(set(columns)) and all(len(each) for each in categories), "encoder: an empty column")
    expect(all(0 <= column < n_features for column in columns), f"encoder: columns {shown(columns)} of {n_features}")
    known = dict(zip(columns, categories, strict=True))
    row = {number: known[number][:1] if number in known else np.zeros(1) for number in range(n_features)}
    frame = pd.DataFrame(row)
    if names is not None:
        frame.columns = pd.Index(names)
    return encoder_of(columns, categories).fit(frame)
