"""Fitted estimators as files that run nothing: safetensors with a header of JSON."""

import json
import math
import os
from dataclasses import replace
from importlib.metadata import version
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import save_file
from sklearn.base import BaseEstimator, is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from nfa.common.checks import existing_file, one_of
from nfa.common.errors import InputError
from nfa.common.shown import shown
from nfa.network.formats.nfa_file import read_safetensors
from nfa.rfm.estimators.tables import device_of, encoded_columns, encoder_of, name_of
from nfa.rfm.kernels import kernel_named
from nfa.rfm.machine import KernelMachine
from nfa.rfm.metric import Metric

FORMAT = 1
"""The version of what the header holds."""
KEY = "rfm"
"""Where the header of a safetensors file keeps it."""
NOT_KEPT = ("M_init", "device")
"""Parameters that belong to the fit and the machine it ran on."""
SIGNED, UNSIGNED = ("int8", "int16", "int32", "int64"), ("uint8", "uint16", "uint32", "uint64")
DTYPES = ("bool", *SIGNED, *UNSIGNED, "float16", "float32", "float64", "object")
"""Types of labels and categories besides text; an object is text, a number, a truth value or None."""
SMALLEST = 1e-2
"""An eigenvalue of M below minus this share of the largest is no rounding, not even that of an AGOP in float32."""
ROOT = 1e-6
"""How far a matrix root computed elsewhere may be off: a root of 0 is off by the root of what 0 is off by."""

Header = dict[str, Any]


class Saved:
    """An estimator that can be kept in a file."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a safetensors file: parameters, training rows, coefficients, M.

        The rows are in the coordinates of M, in the dtype of the computation. Of the parameters, those are kept that
        JSON can hold, and neither `M_init` nor `device`; the others will have their default values. An estimator that
        chose its parameters is kept with its tables and the machine it chose.

        Raises:
            InputError: another class, labels or categories of a type that is not kept, or the file cannot be written.
        """
        name = type(self).__name__
        if _classes().get(name) is not type(self):
            raise InputError(f"model: {name} is none of {', '.join(_classes())}; pickle it")
        check_is_fitted(self)
        fitted: Any = getattr(self, "best_estimator_", self)
        tensors, transposed = _tensors(fitted.machine_, fitted._weights)
        header: Header = {
            "format": FORMAT,
            "nfa_version": version("nfa"),
            "class": name,
            "parameters": _parameters(self),
        }
        header |= {"search": None if fitted is self else _search(self), "fitted": _fitted(fitted)}
        header["transposed"] = transposed
        try:
            save_file(tensors, str(path), metadata={KEY: json.dumps(header, allow_nan=False)})
        except (OSError, SafetensorError) as error:
            raise InputError(f"path: cannot write {path}: {error}") from error

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: Any = None) -> Self:
        """Read what `save` wrote; see `nfa.rfm.load`.

        Raises:
            InputError: as `nfa.rfm.load`; or the file holds another class.
        """
        found: Self = load(path, device, cls.__name__)
        return found


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
        raise InputError(f"path: {file} holds no recursive feature machine")
    place = device_of(None, device)
    try:
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device: {device!r} is not available here") from error
    try:
        return _model(json.loads(metadata[KEY]), tensors, place, device, expected)
    except InputError as error:
        raise InputError(f"path: {file}: {shown(error, 300)}") from error
    # Whatever a header of the wrong shape meets on its way into numpy, pandas, scikit-learn and torch.
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise InputError(f"path: the header of {file} does not fit its tensors") from error


def _classes() -> dict[str, Any]:
    """Return the estimators by name."""
    # They inherit from `Saved`.
    from nfa.rfm.estimators.classifier import RFMClassifier
    from nfa.rfm.estimators.regressor import RFMRegressor
    from nfa.rfm.estimators.search import RFMClassifierCV, RFMRegressorCV

    return {each.__name__: each for each in (RFMClassifier, RFMClassifierCV, RFMRegressor, RFMRegressorCV)}


def _parameters(model: Any) -> Header:
    """Return the parameters that JSON can hold."""
    found = {}
    for name, value in model.get_params(deep=False).items():
        if name == "dtype" and value is not None:
            value = name_of(value)
        plain = value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
        single = plain if isinstance(plain, (list, tuple)) else [plain]
        if name not in NOT_KEPT and all(each is None or isinstance(each, (bool, int, float, str)) for each in single):
            found[name] = [_to_json(each) for each in plain] if single is plain else _to_json(plain)
    return found


def _search(model: Any) -> Header:
    """Return what a search knows besides the machine it chose."""
    return {
        "best_params": {name: _to_json(value) for name, value in model.best_params_.items()},
        "best_score": _to_json(model.best_score_),
        "cv_results": _table(model.cv_results_),
        "loo_results": _table(model.loo_results_),
    }


def _fitted(model: Any) -> Header:
    """Return what a fitted machine's tensors do not say."""
    machine, encoder = model.machine_, model.encoder_
    names = getattr(model, "feature_names_in_", None)
    classes = getattr(model, "classes_", None)
    return {
        "parameters": _parameters(model),
        "kernel": machine.kernel.name,
        "exponent": getattr(machine.kernel, "q", 1.0),
        "bandwidth": float(machine.bandwidth),
        "unit": float(machine.unit),
        "x_unit": float(machine.metric.unit),
        "n_features": int(model.n_features_in_),
        "features": None if names is None else names.tolist(),
        "encoder": None if encoder is None else _encoder(encoder),
        "classes": None if classes is None else _array("classes_", classes),
        "target_shape": None if classes is not None else list(model._target_shape),
        "history": _table(model.history_),
        "solver": model.solver_,
    }


def _tensors(machine: KernelMachine, weights: Tensor | None) -> tuple[dict[str, Tensor], list[str]]:
    """Return a machine's tensors, and the names of those that are transposed.

    Those are matrices that lie column by column in memory, as LAPACK leaves them: products of the same numbers laid out
    otherwise round otherwise.
    """
    metric = machine.metric
    found = {"M": metric.M, "center": metric.center, "rows": machine.centers, "coefficients": machine.a}
    if metric.root is not None:
        # An eigendecomposition elsewhere would give another one by rounding, and equal rows would not stay equal.
        found["root"] = metric.root
    if metric.usual is not None:
        found["usual"] = metric.usual
    if weights is not None:
        found["weights"] = weights
    transposed = [name for name, tensor in found.items() if tensor.ndim == 2 and not tensor.is_contiguous()]
    for name, tensor in found.items():
        laid = tensor.T if name in transposed else tensor
        # A copy: safetensors refuses tensors that share memory.
        found[name] = laid.detach().cpu().clone(memory_format=torch.contiguous_format)
    return found, transposed


def _encoder(encoder: ColumnTransformer) -> list[Header]:
    """Return the numbers of the columns that are one-hot encoded, with their categories."""
    categories = encoder.named_transformers_["categories"].categories_
    pairs = zip(encoded_columns(encoder), categories, strict=True)
    return [{"column": number} | _array(f"categories of column {number}", values) for number, values in pairs]


def _array(what: str, values: NDArray[Any]) -> Header:
    """Return an array of text, numbers or truth values as JSON can hold it, with its type.

    >>> _array("classes_", np.array([1, 2], dtype=np.int8))
    {'dtype': 'int8', 'values': [1, 2]}
    """
    name = "str" if values.dtype.kind == "U" else values.dtype.name
    plain = [each.item() if isinstance(each, np.generic) else each for each in values.tolist()]
    for each in plain:
        if name not in (*DTYPES, "str") or not (each is None or isinstance(each, (bool, int, float, str))):
            kind = type(each).__name__ if name == "object" else name
            raise InputError(
                f"model: {what} hold {kind}; a file keeps str, int, float and bool only: pickle the model instead"
            )
    return {"dtype": name, "values": [_to_json(each) for each in plain]}


def _table(table: pd.DataFrame) -> Header:
    return {str(name): [_to_json(each) for each in table[name].tolist()] for name in table.columns}


def _to_json(value: Any) -> Any:
    """Return a number with NaN and infinity as JSON can hold them; anything else as it is.

    >>> _to_json(1.5), _to_json(math.nan)
    (1.5, {'float': 'nan'})
    """
    value = value.item() if isinstance(value, np.generic) else value
    return {"float": str(value)} if isinstance(value, float) and not math.isfinite(value) else value


def _from_json(value: Any) -> Any:
    """Undo `_to_json`; refuse what it does not make."""
    if isinstance(value, dict):
        [(key, text)] = value.items()
        _expect(key == "float" and text in ("nan", "inf", "-inf"), f"{shown(value)} is no number")
        return float(text)
    _expect(not isinstance(value, list), f"{shown(value)} stands where one value should")
    return value


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise InputError(otherwise)


def _typed(table: Any, key: str, *kinds: Any) -> Any:
    """Return an entry of the header if it is of one of some types."""
    _expect(isinstance(table, dict), "the header is not made of tables")
    _expect(key in table, f"the header lacks {key!r}")
    value = table[key]
    names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
    _expect(type(value) in kinds, f"{key}: got {shown(repr(value))}, expected {names}")
    return value


def _above_zero(table: Header, key: str) -> float:
    value = float(_typed(table, key, float, int))
    _expect(0 < value < math.inf, f"{key}: got {value}, expected a number above 0")
    return value


def _model(header: Any, tensors: dict[str, Tensor], place: torch.device, device: Any, expected: str | None) -> Any:
    """Return the estimator that header and tensors describe."""
    found = _typed(header, "format", int)
    _expect(found == FORMAT, f"format {found}, expected {FORMAT}")
    classes = _classes()
    name = one_of("class", _typed(header, "class", str), classes)
    _expect(expected in (None, name), f"holds an {name}, expected an {expected}")
    for key in _typed(header, "transposed", list):
        matrix = tensors[one_of("transposed", key, tensors)]
        _expect(matrix.ndim == 2, f"transposed: {key} is no matrix")
        tensors[key] = matrix.T
    search = _typed(header, "search", dict, type(None))
    model = _unfitted(classes[name], header, device)
    if not hasattr(model, "_estimator"):
        _expect(search is None, f"{name} does not search")
        return _restored(model, _typed(header, "fitted", dict), tensors, place)
    inner = _typed(header, "fitted", dict)
    best = _restored(_unfitted(model._estimator, inner, device), inner, tensors, place)
    model.best_estimator_, model.n_features_in_ = best, best.n_features_in_
    if hasattr(best, "feature_names_in_"):
        model.feature_names_in_ = best.feature_names_in_
    chosen = _typed(search, "best_params", dict)
    for key in chosen:
        one_of("best_params", key, best.get_params())
    model.best_params_ = {key: _from_json(value) for key, value in chosen.items()}
    model.best_score_ = _from_json(_typed(search, "best_score", float, int, dict))
    model.cv_results_, model.loo_results_ = (_from_table(search, key) for key in ("cv_results", "loo_results"))
    return model


def _unfitted(estimator: Any, header: Header, device: Any) -> Any:
    """Return an estimator with the parameters that were kept."""
    found = dict(_typed(header, "parameters", dict))
    known = set(estimator().get_params()) - set(NOT_KEPT)
    for name, value in found.items():
        one_of("parameters", name, known)
        found[name] = tuple(_from_json(each) for each in value) if isinstance(value, list) else _from_json(value)
    model = estimator(**found, device=device)
    if hasattr(model, "_recipe"):
        model._recipe()  # which checks them
    return model


def _restored(model: Any, found: Header, tensors: dict[str, Tensor], place: torch.device) -> BaseEstimator:
    """Return the machine's estimator, fitted."""
    machine = _machine(found, tensors, place)
    model._weights = _weights(tensors.get("weights"), machine)
    d, c = machine.centers.shape[1], machine.a.shape[1]
    names = _typed(found, "features", list, type(None))
    n_features = _typed(found, "n_features", int)
    encoder = _typed(found, "encoder", list, type(None))
    fits = 0 < n_features <= d and (encoder is not None or n_features == d)
    _expect(fits, f"n_features: got {n_features}, but M has {d}")
    model.n_features_in_ = n_features
    if names is not None:
        fits = all(isinstance(name, str) for name in names) and len(set(names)) == len(names) == n_features
        _expect(fits, f"features: expected {n_features} different names")
        model.feature_names_in_ = np.array(names, dtype=object)
    model.encoder_ = None if encoder is None else _encoder_restored(encoder, names, n_features, d)
    classes, shape = (_typed(found, key, kind, type(None)) for key, kind in (("classes", dict), ("target_shape", list)))
    if is_classifier(model):
        model.classes_ = _from_array("classes", classes)
        ascending = len(model.classes_) == c and bool((model.classes_[:-1] < model.classes_[1:]).all())
        _expect(ascending, f"classes: expected {c} different ones, sorted")
    else:
        _expect(
            shape in ([c], []) and (shape or c == 1), f"target_shape: got {shown(shape)}, but there are {c} outputs"
        )
        model._target_shape = tuple(shape)
    model.solver_ = shown(_typed(found, "solver", str), 200)
    model._device, model._dtype = place, machine.centers.dtype
    restored: BaseEstimator = model._keep(machine, _from_table(found, "history"))
    return restored


def _machine(found: Header, tensors: dict[str, Tensor], place: torch.device) -> KernelMachine:
    """Return the kernel machine, once its tensors are known to fit each other."""
    names = {"M", "center", "rows", "coefficients"}
    _expect(
        names <= set(tensors) <= names | {"root", "usual", "weights"}, f"holds the tensors {shown(sorted(tensors))}"
    )
    for name, tensor in tensors.items():
        kinds = (torch.float32, torch.float64) if name in ("rows", "coefficients", "weights") else (torch.float64,)
        _expect(tensor.dtype in kinds, f"{name} is {tensor.dtype}, expected {' or '.join(map(str, kinds))}")
        _expect(bool(torch.isfinite(tensor).all()), f"{name} holds NaN or infinity")
    M, center, rows, a = (tensors[name] for name in ("M", "center", "rows", "coefficients"))
    _expect(rows.ndim == a.ndim == 2 and min(*rows.shape, *a.shape) > 0, "rows and coefficients are no tables")
    (n, d), same = rows.shape, rows.dtype == a.dtype
    _expect(len(a) == n and same, f"coefficients of {len(a)} {a.dtype} rows, expected {n} of {rows.dtype}")
    _expect(center.shape == (d,), f"center: shape {tuple(center.shape)}, expected ({d},)")
    _expect(M.shape in ((d, d), (d,)), f"M: shape {tuple(M.shape)}, expected ({d}, {d}) or ({d},)")
    size = float(M.abs().max())
    if M.ndim == 2:
        _expect(float((M - M.T).abs().max()) <= ROOT * size, "M is not symmetric")
    shape = M / size if size > 0 else M
    least = float((shape if M.ndim == 1 else torch.linalg.eigvalsh(shape)).min())
    _expect(least >= -SMALLEST, f"M is not positive semidefinite; its least eigenvalue is {least * size:.3g}")
    metric = Metric.of(M, center, _above_zero(found, "x_unit"))
    root, expected = tensors.get("root"), metric.root
    _expect((root is None) == (expected is None), "M has a root that is not in the file, or the other way round")
    if root is not None and expected is not None:
        fits = root.shape == expected.shape and float((root - expected).abs().max()) <= ROOT
        _expect(fits, "root is not that of M")
    usual = tensors.get("usual")
    fits = usual is None or (usual.shape == (d,) and float(usual.min()) >= 0)
    _expect(fits, f"usual: expected {d} numbers of at least 0")
    exponent = float(_typed(found, "exponent", float, int))
    kernel = kernel_named(_typed(found, "kernel", str), exponent)
    bandwidth, unit = _above_zero(found, "bandwidth"), _above_zero(found, "unit")
    # Copies, which torch aligns in memory: products may round otherwise where the file begins anywhere.
    placed = {name: tensor.to(place, copy=True) for name, tensor in tensors.items()}
    root, usual = placed.get("root"), placed.get("usual")
    metric = replace(metric, M=placed["M"], center=placed["center"], root=root, usual=usual)
    return KernelMachine(kernel, metric, bandwidth, placed["rows"], placed["coefficients"], unit)


def _weights(weights: Tensor | None, machine: KernelMachine) -> Tensor | None:
    """Return the training rows' weights on the machine's device."""
    if weights is None:
        return None
    fits = weights.shape == (len(machine.a),) and weights.dtype == machine.a.dtype and bool((weights > 0).all())
    _expect(fits, f"weights: expected {len(machine.a)} numbers above 0, {machine.a.dtype}")
    return weights.to(machine.a.device, copy=True)


def _encoder_restored(found: list[Any], names: list[str] | None, n_features: int, d: int) -> ColumnTransformer:
    """Return the transformer of known categories, fitted on a frame of one row."""
    columns = [_typed(each, "column", int) for each in found]
    categories = [_from_array("categories", each) for each in found]
    width = n_features - len(columns) + sum(len(values) for values in categories)
    _expect(width == d, f"encoder: makes {width} columns, but M has {d}")
    _expect(len(columns) == len(set(columns)) and all(len(each) for each in categories), "encoder: an empty column")
    _expect(all(0 <= column < n_features for column in columns), f"encoder: columns {shown(columns)} of {n_features}")
    known = dict(zip(columns, categories, strict=True))
    row = {number: known[number][:1] if number in known else np.zeros(1) for number in range(n_features)}
    frame = pd.DataFrame(row)
    if names is not None:
        frame.columns = pd.Index(names)
    return encoder_of(columns, categories).fit(frame)


def _from_array(what: str, found: Any) -> NDArray[Any]:
    """Return what `_array` took apart."""
    name = one_of(what, _typed(found, "dtype", str), (*DTYPES, "str"))
    values = [_from_json(each) for each in _typed(found, "values", list)]
    kinds = {"o": (bool, int, float, str, type(None)), "b": (bool,), "s": (str,), "f": (float,)}.get(name[0], (int,))
    _expect(all(type(each) in kinds for each in values), f"{what}: values that are not {name}")
    return np.array(values, dtype=name)


def _from_table(found: Any, key: str) -> pd.DataFrame:
    """Return what `_table` took apart."""
    columns = {name: [_from_json(each) for each in values] for name, values in _typed(found, key, dict).items()}
    return pd.DataFrame(columns)
