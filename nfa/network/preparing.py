"""Bring data into the form that a loaded network was trained on, and say what was done."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from nfa.common.errors import InputError
from nfa.common.numerals import WHOLE
from nfa.data.dataset import Dataset, Scaling
from nfa.data.inputs import is_sparse
from nfa.data.label_words import not_told_apart, order_in_words
from nfa.data.labels import numbers_of, read_targets
from nfa.data.mapped import MappedRows, mapped
from nfa.data.pairs import paired
from nfa.data.samples import ArraySamples
from nfa.data.streaming import StreamSamples
from nfa.network.model import Model


def prepare(model: Model, data: Any) -> tuple[Any, list[str]]:
    """Return data as a network wants them: columns by name, rows divided, inputs transformed and scaled.

    The named classes of a `Dataset` are brought into the order of the network's. Other targets are `encoded` once the
    number of outputs is known.

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
            raise InputError(
                "data",
                "a loader's inputs cannot be prepared as this network needs; hand over arrays, nfa.audit(net, (X, y))",
            )
        return data, []
    X, y = paired(data)
    if isinstance(X, (Mapping, tuple)) and (model.transform is not None or _scaling(model) is not None):
        raise InputError("data", "several inputs cannot be prepared as this network needs; it was trained on one")
    if model.transform is None and model.features is not None and hasattr(X, "columns"):
        missing = [name for name in model.features if name not in X.columns]
        if missing:
            raise InputError("data", f"no column {missing[0]!r}, unlike the network's training data")
        X = X[list(model.features)]
    rows = mapped("data", X)
    X, said = _inputs(model, X if rows is None else rows)
    # Several inputs in a tuple differ from a pair by being part of one.
    return (X if y is None and not isinstance(X, (tuple, Mapping)) else (X, y)), said


def encoded(model: Model, data: Any, n_outputs: int, positions: int = 1) -> tuple[Any, list[str]]:
    """Return prepared data with their targets as class numbers (int64) or numbers; see `nfa.data.labels.read_targets`.

    Args:
        model: The network and what is known of its outputs.
        data: What `prepare` returned.
        n_outputs: Of the network, at each of its positions.
        positions: The number of positions at which it answers for each sample.

    Returns:
        The data, and a sentence where an order of the labels was assumed.

    Raises:
        InputError: the targets do not fit the outputs.

    >>> (_, y), _ = encoded(Model(torch.nn.Linear(2, 2), "net", classes=("b", "a")), (torch.zeros(2, 2), ["a", "b"]), 2)
    >>> y.tolist()
    [1, 0]
    """
    answers = replace(model.answers(n_outputs), positions=positions)
    if isinstance(data, Dataset):
        if data.y is None:
            return data, []
        # Where the classes have names, `prepare` has brought them into the order of the network's.
        if data.class_names and model.classes is None and len(data.class_names) != answers.n_classes:
            raise not_told_apart(len(data.class_names), answers.n_classes)
        found = read_targets(data.y, replace(answers, names=None) if data.class_names else answers)
        return replace(data, y=found.encoded()), list(found.notes)
    if isinstance(data, (DataLoader, TorchDataset)):
        if model.classes is None:
            return data, []
        return StreamSamples(data, lambda y: torch.from_numpy(read_targets(y, answers).encoded())), []
    X, y = paired(data)
    if y is None:
        return data, []
    found = read_targets(y, answers)
    return (X, found.encoded()), list(found.notes)


MOST_CLASSES = 1_000_000
"""The largest class number that is taken for an output's number."""


def _prepared_set(model: Model, rows: Dataset) -> tuple[Dataset, list[str]]:
    said = []
    if model.settings.get("loss") == "mse":
        rows = rows.with_real_targets()
    elif model.classes is not None and rows.class_names is not None:
        rows = rows.with_classes(model.classes)
    elif rows.class_names is not None and (numbers := _whole(rows.class_names)) is not None:
        # Classes that are called by whole numbers have these numbers, as in an array.
        if numbers.max() > MOST_CLASSES:
            raise InputError("y", f"{rows.name} has a class {numbers.max()}; no network has so many outputs")
        rows = replace(rows, y=numbers[rows.y], class_names=None)
    elif rows.class_names is not None:
        said.append(order_in_words(rows.class_names))
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


def _whole(names: tuple[str, ...]) -> NDArray[np.int64] | None:
    """Return names as the whole numbers that they are; None where one is none, two are the same, or one is too long."""
    return numbers_of(names) if all(map(WHOLE.fullmatch, names)) else None


def _scaling(model: Model) -> Scaling | None:
    return None if model.scaling is None or model.scaling.kind == "none" else model.scaling


def _inputs(model: Model, X: Any) -> tuple[Any, list[str]]:
    """Return inputs transformed and scaled, and a sentence for each of the two that was done."""
    said = []
    transform = model.transform
    if transform is not None:
        if isinstance(X, torch.Tensor):
            X = (X.to_dense() if is_sparse(X) else X).detach().cpu().numpy()
        X = _applied(lambda rows: np.asarray(transform(rows)), X)
        said.append("The pipeline's earlier steps were applied to the inputs.")
    scaling = _scaling(model)
    if scaling is not None:
        X = _applied(lambda rows: scaling.apply(_array(rows)), _dense(X))
        said.append(f"Inputs scaled as in training ({scaling.kind}).")
    return X, said


def _applied(step: Callable[[Any], NDArray[Any]], X: Any) -> Any:
    """Return what a step makes of the rows; of those of a memory-mapped file, when they are read."""
    return X.then(step) if isinstance(X, MappedRows) else step(X)


def _dense(X: Any) -> Any:
    if not is_sparse(X):
        return X
    return X.to_dense() if isinstance(X, torch.Tensor) else X.toarray()


def _array(X: Any) -> NDArray[Any]:
    array = X.detach().cpu().numpy() if isinstance(X, torch.Tensor) else np.asarray(X)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)
