"""scikit-learn's estimators as JSON and tensors, and back: known classes, whose state is numbers, text and arrays."""

from collections import UserList
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from nfa.common.checks import one_of
from nfa.common.errors import InputError
from nfa.rfm.saving.header import DTYPES, Header, array_from_json, array_to_json, expect, from_json, to_json, typed
from nfa.rfm.saving.registry import ENTRIES, Tensors

_PREPROCESSING = (
    *("Binarizer", "FunctionTransformer", "MaxAbsScaler", "MinMaxScaler", "Normalizer", "OneHotEncoder"),
    *("OrdinalEncoder", "PolynomialFeatures", "PowerTransformer", "QuantileTransformer", "RobustScaler"),
    "StandardScaler",
)
STEPS = {
    "ColumnTransformer": "sklearn.compose",
    "PCA": "sklearn.decomposition",
    "TruncatedSVD": "sklearn.decomposition",
    "VarianceThreshold": "sklearn.feature_selection",
    "MissingIndicator": "sklearn.impute",
    "SimpleImputer": "sklearn.impute",
    "FeatureUnion": "sklearn.pipeline",
    "Pipeline": "sklearn.pipeline",
    **dict.fromkeys(_PREPROCESSING, "sklearn.preprocessing"),
}
"""Modules of the classes that a file keeps besides those of `ENTRIES`, by name; imported when a file has one."""

Restored = Callable[[Header, Tensors], Any]
"""Makes a machine of its header and tensors."""


def step_class(name: str) -> type:
    """Return a class of `STEPS`.

    >>> step_class("PCA").__name__
    'PCA'
    """
    found: type = getattr(import_module(STEPS[name]), name)
    return found


def _state(step: Any) -> Header:
    """Return a step's attributes; where a `ColumnTransformer` selected columns by a function, those that it found."""
    state: Header = vars(step)
    if "transformers" not in state or "_columns" not in state:
        return state
    given = zip(step.transformers, step._columns, strict=True)
    kept = [(name, each, found if callable(columns) else columns) for (name, each, columns), found in given]
    return state | {"transformers": kept}


class Keeper:
    """Takes a pipeline apart, and collects its arrays.

    Attributes:
        tensors: Arrays by name: `array.N` of a step, `machine.N.NAME` of a machine.
    """

    def __init__(self) -> None:
        self.tensors: Tensors = {}
        self._machines = 0

    def header(self, value: Any, what: str = "model") -> Any:
        """Return a value as JSON can hold it.

        Args:
            value: An estimator of a known class, or a part of its state.
            what: What to call it in a message.

        Raises:
            InputError: something of a type that is not kept.
        """
        name = type(value).__name__
        if value is None or type(value) in (bool, int, float, str):
            return to_json(value)
        if isinstance(value, np.generic) and value.dtype.name in DTYPES:
            return {"number": value.dtype.name, "value": to_json(value)}
        if isinstance(value, np.ndarray):
            return self._array(value, what)
        if type(value) in (list, tuple):
            return {name: [self.header(each, what) for each in value]}
        if isinstance(value, UserList):  # the columns that scikit-learn 1.6 found to remain
            return self.header(value.data, what)
        if type(value) is dict:
            return {"dict": [[self.header(key, what), self.header(each, what)] for key, each in value.items()]}
        if type(value) is slice:
            return {"slice": [value.start, value.stop, value.step]}
        if (isinstance(value, type) and issubclass(value, np.generic)) or isinstance(value, np.dtype):
            return {"type" if isinstance(value, type) else "dtype": np.dtype(value).name}
        if name in STEPS and step_class(name) is type(value):
            state = {key: self.header(each, f"{name}.{key}") for key, each in _state(value).items()}
            return {"step": name, "state": state}
        if name in ENTRIES and ENTRIES[name].kind is type(value):
            parts, tensors = ENTRIES[name].parts(value)
            number, self._machines = self._machines, self._machines + 1
            self.tensors |= {f"machine.{number}.{key}": tensor for key, tensor in tensors.items()}
            return {"machine": number, "class": name} | parts
        if isinstance(value, BaseEstimator):
            raise InputError("model", f"{name} is no step that a file keeps ({', '.join(STEPS)}); pickle the pipeline")
        raise InputError("model", f"{what} is a {name}, which a file does not keep; pickle the pipeline")

    def _array(self, values: NDArray[Any], what: str) -> Header:
        if values.dtype.kind not in "biuf":
            return {"shape": list(values.shape)} | array_to_json(what, values.ravel())
        name = f"array.{len(self.tensors)}"
        self.tensors[name] = torch.from_numpy(np.array(values, order="C"))
        return {"array": name}


class Builder:
    """Puts together what a `Keeper` took apart; nothing but classes of `STEPS` and `ENTRIES` can come of it.

    Args:
        tensors: Of the file.
        machine: Makes a machine.
    """

    def __init__(self, tensors: Tensors, machine: Restored) -> None:
        self._tensors, self._machine = tensors, machine

    def value(self, found: Any) -> Any:
        """Return what an entry of the header stands for."""
        if not isinstance(found, dict) or "float" in found:
            return from_json(found)
        if "machine" in found:
            prefix = f"machine.{typed(found, 'machine', int)}."
            own = {key.removeprefix(prefix): t for key, t in self._tensors.items() if key.startswith(prefix)}
            return self._machine(found, own)
        if "step" in found:
            return self._step(found)
        if "array" in found:
            return self._tensors[one_of("array", typed(found, "array", str), self._tensors)].numpy()
        if "shape" in found:
            return array_from_json("an array", found).reshape([int(each) for each in typed(found, "shape", list)])
        if "number" in found:
            name = one_of("number", typed(found, "number", str), DTYPES)
            return np.dtype(name).type(from_json(found["value"]))
        if "dict" in found:
            pairs = typed(found, "dict", list)
            return {self.value(key): self.value(each) for key, each in pairs}
        if "slice" in found:
            return slice(*typed(found, "slice", list))
        for key in ("type", "dtype"):
            if key in found:
                dtype = np.dtype(one_of(key, typed(found, key, str), DTYPES))
                return dtype.type if key == "type" else dtype
        [(kind, values)] = found.items()
        made = {"list": list, "tuple": tuple}[kind]
        return made(self.value(each) for each in values)

    def _step(self, found: Header) -> Any:
        kind = step_class(one_of("step", typed(found, "step", str), STEPS))
        made: Any = object.__new__(kind)
        state = typed(found, "state", dict)
        for name, value in state.items():
            fits = name.isidentifier() and not callable(getattr(kind, name, None)) and not name.startswith("__")
            expect(fits, f"{kind.__name__} has no attribute {name!r}")
            vars(made)[name] = self.value(value)
        return made
