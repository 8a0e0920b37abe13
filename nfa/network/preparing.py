"""Bring data into the form that a loaded network was trained on, and say what was done."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from nfa.common.errors import InputError
from nfa.common.shown import few
from nfa.data.dataset import Dataset, Scaling, unknown_classes
from nfa.data.pairs import paired
from nfa.data.samples import ArraySamples, StreamSamples
from nfa.network.model import Model, label_name


def prepare(model: Model, data: Any) -> tuple[Any, list[str]]:
    """Return data as a network wants them: classes and columns by name, rows divided, inputs transformed and scaled.

    Args:
        model: The network and what is known of its data; with nothing known, the data come back as they are.
        data: A `Dataset`, or anything that `nfa.data.as_samples` takes.

    Returns:
        The data, and a sentence for each thing that was done.

    Raises:
        InputError: a column is missing, a class is unknown, the number of features does not fit, or data
            that are read in batches would have to be changed.

    >>> prepare(Model(torch.nn.Linear(2, 1), "net"), torch.zeros(3, 2))[1]
    []
    """
    if isinstance(data, Dataset):
        return _prepared_set(model, data)
    if isinstance(data, (ArraySamples, StreamSamples)):
        return data, []
    if isinstance(data, (DataLoader, TorchDataset)):
        if _scaling(model) is not None or model.transform is not None:
            raise InputError("data", "a loader's inputs cannot be prepared as this network needs; hand over arrays")
        if model.classes is None:
            return data, []
        return StreamSamples(data, partial(_class_numbers, classes=model.classes)), []
    X, y = paired(data)
    if isinstance(X, (Mapping, tuple)) and (model.transform is not None or _scaling(model) is not None):
        raise InputError("data", "several inputs cannot be prepared as this network needs; it was trained on one")
    if model.transform is None and model.features is not None and hasattr(X, "columns"):
        missing = [name for name in model.features if name not in X.columns]
        if missing:
            raise InputError("data", f"no column {missing[0]!r}, unlike the network's training data")
        X = X[list(model.features)]
    X, said = _inputs(model, X)
    if y is None:
        # Several inputs in a tuple are told from a pair by being part of one.
        return ((X, None) if isinstance(X, tuple) else X), said
    if model.classes is not None:
        return (X, _class_numbers(y, model.classes)), said
    if holds_text(y):
        said.append(_sorted_order(tuple(np.unique(np.asarray(y).astype(str)))))
    return (X, y), said


def holds_text(y: Any) -> bool:
    """Return whether targets are labels called by text.

    >>> holds_text(["a", "b"]), holds_text([1.5, 2.5]), holds_text(np.array([1.5, 2.5], dtype=object))
    (True, False, False)
    """
    if isinstance(y, torch.Tensor):
        return False
    if isinstance(y, (list, tuple)):
        return len(y) > 0 and all(isinstance(label, str) for label in y)
    labels = np.asarray(y)
    objects = labels.dtype.kind == "O" and labels.size > 0
    return labels.dtype.kind in "UST" or (objects and all(isinstance(each, str) for each in labels.flat))


SHOWN_CLASSES = 20
"""Of more classes, only so many are named in a sentence."""
MOST_CLASSES = 1_000_000
"""The largest class number that is taken for an output's number."""


def _prepared_set(model: Model, rows: Dataset) -> tuple[Dataset, list[str]]:
    said = []
    if model.settings.get("loss") == "mse":
        rows = rows.with_real_targets()
    elif model.classes is not None and rows.class_names is not None:
        rows = rows.with_classes(model.classes)
    elif model.classes is not None and rows.y is not None:
        rows = replace(rows, y=np.asarray(_class_numbers(rows.y, model.classes)))
    elif rows.class_names is not None and all(name.isdecimal() for name in rows.class_names):
        # Classes called by whole numbers are the network's outputs of these numbers.
        numbers = [int(name) for name in rows.class_names]
        if max(numbers) > MOST_CLASSES:
            raise InputError("y", f"{rows.name} has a class {max(numbers)}; no network has so many outputs")
        rows = rows.with_classes(tuple(str(number) for number in range(1 + max(numbers))))
    elif rows.class_names is not None:
        said.append(_sorted_order(rows.class_names))
    if model.features is not None:
        rows = rows.with_features(model.features)
    if model.split is not None and model.split["rows"] != rows.n:
        said.append(f"Not the data of training ({rows.n} rows, not {model.split['rows']}): the rows are not divided.")
    elif model.split is not None:
        shares = {key: model.split[key] for key in ("test", "val", "seed")}
        rows = rows.divide(**shares)
        said.append(f"Rows divided as in training: {', '.join(f'{key} {value}' for key, value in shares.items())}.")
    table: Any = rows.X
    if model.transform is not None:
        if model.features is not None and rows.feature_names is not None:
            import pandas as pd

            table = pd.DataFrame(rows.X, columns=list(rows.feature_names))
        rows = replace(rows, feature_names=None, feature_shape=None)
    X, done = _inputs(model, table)
    return (replace(rows, X=X) if done else rows), [*said, *done]


def _sorted_order(names: tuple[str, ...]) -> str:
    shown = few(list(names), SHOWN_CLASSES)
    return (
        f"Classes in sorted order are outputs 0 to {len(names) - 1}: {shown}; classes= (--classes) says another order."
    )


def _scaling(model: Model) -> Scaling | None:
    return None if model.scaling is None or model.scaling.kind == "none" else model.scaling


def _inputs(model: Model, X: Any) -> tuple[Any, list[str]]:
    """Return inputs transformed and scaled, and a sentence for each of the two that was done."""
    said = []
    if model.transform is not None:
        X = np.asarray(model.transform(X.detach().cpu().numpy() if isinstance(X, torch.Tensor) else X))
        said.append("The pipeline's earlier steps were applied to the inputs.")
    scaling = _scaling(model)
    if scaling is not None:
        X = scaling.apply(_array(X))
        said.append(f"Inputs scaled as in training ({scaling.kind}).")
    return X, said


def _array(X: Any) -> NDArray[Any]:
    array = X.detach().cpu().numpy() if isinstance(X, torch.Tensor) else np.asarray(X)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def _class_numbers(y: Any, classes: tuple[str, ...]) -> Any:
    """Return targets as numbers of the network's classes; real targets stay as they are.

    So do whole numbers where no class is called by a number: they are the outputs' own.
    """
    labels = y.detach().cpu().numpy() if isinstance(y, torch.Tensor) else np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.size == 0:
        return y
    values, numeric = _numbers(classes), labels.dtype.kind in "iufb"
    known: dict[Any, int] = {name: number for number, name in enumerate(values if values and numeric else classes)}
    names = labels.tolist() if values and numeric else [label_name(label) for label in labels.tolist()]
    unknown = [label_name(label) for label, name in zip(labels.tolist(), names, strict=True) if name not in known]
    if not unknown:
        return torch.tensor([known[name] for name in names])
    whole = labels.dtype.kind in "iub" or (labels.dtype.kind == "f" and bool((labels == np.round(labels)).all()))
    if labels.dtype.kind == "f" and not (whole and values):
        return y
    if whole and values is None and labels.min() >= 0 and labels.max() < len(classes):
        return y
    raise unknown_classes(unknown, classes)


def _numbers(classes: tuple[str, ...]) -> list[float] | None:
    """Return the classes' names as numbers; None where they are none."""
    try:
        return [float(name) for name in classes]
    except ValueError:
        return None
