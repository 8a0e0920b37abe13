"""Save and restore an estimator of one machine."""

from typing import Any

import numpy as np
import torch
from sklearn.base import is_classifier

from nfa.common.checks import one_of
from nfa.common.shown import shown
from nfa.rfm.estimators.fitting import Fitted
from nfa.rfm.estimators.tables import name_of
from nfa.rfm.saving.encoders import encoder_header, restored_encoder
from nfa.rfm.saving.header import (
    Header,
    above_zero,
    array_from_json,
    array_to_json,
    expect,
    from_json,
    table_from_json,
    table_to_json,
    to_json,
    typed,
)
from nfa.rfm.saving.kernel_machine import machine_of, positive_columns, support_of, tensors_of, weights_of
from nfa.rfm.saving.registry import Tensors

NOT_KEPT = ("M_init", "device")
"""Parameters that belong to the fit and the machine it ran on."""


def machine_parts(model: Any) -> tuple[Header, Tensors]:
    """Return the header and the tensors of a fitted `RFMRegressor` or `RFMClassifier`."""
    fitted = fitted_header(model)
    return {"parameters": fitted["parameters"], "search": None, "fitted": fitted}, fitted_tensors(model)


def restored_machine(kind: Any, header: Header, tensors: Tensors, place: torch.device, device: Any) -> Any:
    """Return the estimator of the parts that `machine_parts` gave."""
    expect(typed(header, "search", dict, type(None)) is None, f"{kind.__name__} does not search")
    model = unfitted(kind, header, device)
    return restored(model, typed(header, "fitted", dict), tensors, place)


def fitted_tensors(model: Any) -> Tensors:
    """Return the tensors of a fitted estimator."""
    fitted = model.fitted_
    more = {"weights": fitted.weights, "deviations": fitted.deviations}
    if fitted.support is not None:
        more["support"] = torch.from_numpy(fitted.support.columns)
    return tensors_of(fitted.machine) | {name: each for name, each in more.items() if each is not None}


def kept_parameters(model: Any) -> Header:
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


def unfitted(estimator: Any, header: Header, device: Any) -> Any:
    """Return an estimator with the parameters that were kept."""
    found = dict(typed(header, "parameters", dict))
    known = set(estimator().get_params()) - set(NOT_KEPT)
    for name, value in found.items():
        one_of("parameters", name, known)
        found[name] = tuple(from_json(each) for each in value) if isinstance(value, list) else from_json(value)
    model = estimator(**found, device=device)
    if hasattr(model, "_settings"):
        model._settings()  # checks them
    return model


def fitted_header(model: Any) -> Header:
    """Return the part of a fitted estimator that is not in its tensors."""
    machine = model.machine_
    names = getattr(model, "feature_names_in_", None)
    classes = getattr(model, "classes_", None)
    return {
        "parameters": kept_parameters(model),
        "kernel": machine.kernel.name,
        "exponent": float(machine.kernel.exponent),
        "bandwidth": float(machine.bandwidth),
        "unit": float(machine.unit),
        "x_unit": float(machine.metric.unit),
        "n_features": int(model.n_features_in_),
        "features": None if names is None else names.tolist(),
        **encoder_header(model.encoder_),
        "classes": None if classes is None else array_to_json("classes_", classes),
        "target_shape": None if classes is not None else list(model._target_shape),
        "history": table_to_json(model.history_),
        "solver": model.solver_,
        "ridge": float(model.ridge_),
        "diag": model.fitted_.diag,
        "temperature": getattr(model, "temperature_", None),
    }


def restored(model: Any, found: Header, tensors: Tensors, place: torch.device) -> Any:
    """Return an estimator of one machine, fitted."""
    machine = machine_of(found, tensors, place)
    weights = weights_of(tensors.get("weights"), machine)
    d, c = len(machine.metric.center), machine.a.shape[1]
    names = typed(found, "features", list, type(None))
    n_features = typed(found, "n_features", int)
    model.n_features_in_ = n_features
    if names is not None:
        fits = all(isinstance(name, str) for name in names) and len(set(names)) == len(names) == n_features
        expect(fits, f"features: expected {n_features} different names")
        model.feature_names_in_ = np.array(names, dtype=object)
    support = model._support = support_of(tensors.get("support"), n_features, d, machine.kernel)
    model.encoder_ = restored_encoder(found, names, n_features, d if support is None else n_features)
    classes, shape = (typed(found, key, kind, type(None)) for key, kind in (("classes", dict), ("target_shape", list)))
    if is_classifier(model):
        expect(classes is not None, "classes: none, but it is a classifier")
        model.classes_ = array_from_json("classes", classes)
        ascending = len(model.classes_) == c and bool((model.classes_[:-1] < model.classes_[1:]).all())
        expect(ascending, f"classes: expected {c} different ones, sorted")
        if found.get("temperature") is not None:
            model.temperature_ = above_zero(found, "temperature")
    else:
        expect(shape in ([c], []) and (shape or c == 1), f"target_shape: got {shown(shape)}, but there are {c} outputs")
        model._target_shape = tuple(shape)
    solver = shown(typed(found, "solver", str), 1000)
    model._device, model._dtype = place, machine.centers.dtype
    model._path = None
    ridge = float(typed(found, "ridge", float, int))
    spread = positive_columns("deviations", tensors, d, place, zero=True)
    history, one = table_from_json(found, "history"), machine.metric.M.ndim == 1
    # A diagonal matrix may be kept as its diagonal where M is not said to stay one; missing in earlier files.
    diag = typed(found, "diag", bool) if "diag" in found else one
    expect(one or not diag, "diag: M is not diagonal")
    model.fitted_ = Fitted(machine, history, solver, weights, diag, ridge, spread, support)
    return model
