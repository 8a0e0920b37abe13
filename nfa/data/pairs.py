"""What a pair means: (inputs, targets), wherever data come from."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from nfa.common.errors import InputError
from nfa.data.libraries import TARGETS, unpacked
from nfa.data.masked import refuse_masked
from nfa.data.targets import IGNORED


def paired(data: Any) -> tuple[Any, Any]:
    """Return data in memory as (inputs, targets); targets may be None.

    A tuple of two is (inputs, targets), whatever its parts are; one of a single part is inputs alone. Several
    inputs are a dict by name, or a tuple inside of a pair: ((A, B), y), or ((A, B), None) without targets. A list
    holds rows, unless it is a pair that cannot be rows: [table of rows, targets]. What a dict of inputs calls "labels"
    or "label" are its targets, if it stands alone; in a pair it stays as it is. A Bunch and a data set of Hugging Face
    are unpacked (see `nfa.data.libraries.unpacked`).

    Raises:
        InputError: masked entries; a tuple of more than two; a list of two tables of one shape, which could be a pair
            or two samples; "labels" that are another input of the dict, as causal language models take them.

    >>> paired((("A", "B"), None))
    (('A', 'B'), None)
    >>> paired([[1.0, 2.0], [3.0, 4.0]])
    ([[1.0, 2.0], [3.0, 4.0]], None)
    """
    X, y = _parts(unpacked(data))
    parts = X.items() if isinstance(X, Mapping) else enumerate(X) if isinstance(X, tuple) else ()
    for name, part in [("data", X), ("y", y), *((f"data[{key!r}]", part) for key, part in parts)]:
        refuse_masked(name, part)
    return X, y


def _parts(data: Any) -> tuple[Any, Any]:
    if isinstance(data, tuple):
        if len(data) > 2 or not data:
            raise InputError(
                "data",
                f"a tuple of {len(data)}; hand over (X, y), or ((X1, X2, ...), y) for several inputs (y may be None)",
            )
        return _two(data)
    if isinstance(data, list) and len(data) == 2 and _holds_rows(data[0]):
        if _holds_rows(data[1]) and np.shape(data[0]) == np.shape(data[1]):
            raise InputError(
                "data",
                "a list of two tables of one shape; hand over a tuple (X, y) for inputs and targets, ((A, B), None) "
                "for two inputs, torch.stack(list) for two samples",
            )
        return _two(data)
    return _labels_apart(data)


def paired_batch(batch: Any) -> tuple[Any, Any]:
    """Return what a loader yields as (inputs, targets): as `paired`, but lists are tuples, as torch collates them.

    Raises:
        InputError: more than two things, or "labels" as for `paired`.
    """
    if not isinstance(batch, (tuple, list)):
        return _labels_apart(batch)
    if len(batch) > 2 or not batch:
        raise InputError(
            "data",
            f"the loader yields {len(batch)} things, expected x, (x, y), or ((x1, x2, ...), y) for several inputs "
            "(y may be None)",
        )
    return _two(batch)


def _two(parts: tuple[Any, ...] | list[Any]) -> tuple[Any, Any]:
    return parts[0], parts[1] if len(parts) > 1 else None


def _labels_apart(X: Any) -> tuple[Any, Any]:
    """Return inputs, and the labels that a dict of them holds beside others, or None."""
    names = [name for name in TARGETS if isinstance(X, Mapping) and name in X]
    if not names or len(X) == 1:
        return X, None
    if len(names) > 1:
        raise InputError("data", 'a dict with both "label" and "labels"; hand over (inputs, targets) without them')
    inputs, labels = {name: value for name, value in X.items() if name != names[0]}, X[names[0]]
    for name, value in inputs.items():
        if _same_tokens(labels, value):
            raise InputError(
                "data",
                f"its labels are {name}, which causal language models shift by one position inside; hand over "
                f"({{'{name}': ...}}, targets), targets[:, t] = {name}[:, t + 1] and {IGNORED} at the last position, "
                "or None for targets",
            )
    return inputs, labels


def _same_tokens(labels: Any, x: Any) -> bool:
    """Return whether labels of several positions are an input's entries, where they count."""
    a, b = (np.asarray(each.detach().cpu() if isinstance(each, Tensor) else each) for each in (labels, x))
    if a.ndim != 2 or a.shape != b.shape or a.shape[1] < 2 or a.dtype.kind not in "iu" or b.dtype.kind not in "iu":
        return False
    counted = a != IGNORED
    return bool(counted.any() and (a == b)[counted].all())


def _holds_rows(part: Any) -> bool:
    """Whether a part of a list is inputs of several samples, or several inputs."""
    if isinstance(part, tuple):
        return any(isinstance(each, (Tensor, np.ndarray)) and each.ndim > 0 for each in part)
    return (
        isinstance(part, Mapping)
        or hasattr(part, "columns")
        or (isinstance(part, (Tensor, np.ndarray)) and part.ndim > 1)
    )
