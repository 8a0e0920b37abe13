"""Targets beside a network's outputs: classes or numbers, and which label each output stands for."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfa.common.errors import InputError
from nfa.common.shown import few
from nfa.network.model import Model
from nfa.rfm.estimators.tables import as_host


@dataclass(frozen=True, eq=False)
class Targets:
    """Targets as a machine takes them.

    Args:
        values: Labels (n,), or numbers (n,) or (n, c).
        answers: The labels that the network's outputs stand for; None for numbers.
        notes: Sentences on classes that are not the network's.
    """

    values: NDArray[Any]
    answers: NDArray[Any] | None
    notes: list[str] = field(default_factory=list)


def targets_of(model: Model, y: Any, n: int, n_outputs: int) -> Targets:
    """Return targets, and what they are beside the outputs of a network.

    Args:
        model: The network.
        y: Shape (n,) or (n, c).
        n: Samples.
        n_outputs: Of the network; a single one tells two classes apart.

    Raises:
        InputError: another number of targets than samples, or classes called by text that cannot be told to outputs.

    >>> import torch
    >>> targets_of(Model(torch.nn.Linear(2, 3), "net"), [0, 1, 1], 3, 3).notes
    ["y has the classes 0, 1, unlike the network's outputs 0, 1, 2."]
    """
    values = np.asarray(as_host(y))
    if len(values) != n:
        raise InputError(f"y: {len(values)} targets, but X has {n} rows")
    labels = labels_of(values, n_outputs)
    if labels is None:
        return Targets(values, None)
    present, answers = np.unique(labels), np.arange(max(2, n_outputs))
    text = labels.dtype.kind in "OUS"
    if model.classes is not None:
        names = np.array(model.classes)
        if text:
            answers = names
        elif set(present.astype(str)) <= set(names) and all(name.lstrip("-").isdecimal() for name in model.classes):
            answers = names.astype(np.int64)
    elif text:
        if len(present) != len(answers):
            raise InputError(
                f"y: {len(present)} classes called by text, but the network has {n_outputs} outputs; "
                "hand over the outputs' numbers"
            )
        answers = present
    notes = []
    if set(present.tolist()) != set(answers.tolist()):
        had, known = (few([str(each) for each in some.tolist()], 10) for some in (present, answers))
        notes.append(f"y has the classes {had}, unlike the network's outputs {known}.")
    return Targets(labels, answers, notes)


def labels_of(y: Any, n_outputs: int) -> NDArray[Any] | None:
    """Return targets as labels where they are classes, as `nfa.network.score` decides; None for real targets.

    Classes are text, truth values, whole numbers and one-hot rows; for a network of several outputs, whole numbers kept
    as real ones too.

    Args:
        y: Shape (n,) or (n, c).
        n_outputs: Of the network.

    >>> labels_of([[0.0, 1.0], [1.0, 0.0]], 2).tolist()
    [1, 0]
    >>> labels_of([0.5, 1.0], 1) is None
    True
    """
    values = np.asarray(as_host(y))
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    kind = values.dtype.kind
    if values.ndim == 2:
        wide = values.shape[1] == n_outputs > 1 and kind not in "US"
        one_hot = wide and np.isin(values, (0, 1)).all() and (values.sum(1) == 1).all()
        return values.argmax(1) if one_hot else None
    if kind != "f":
        few = kind not in "iu" or n_outputs > 1 or set(np.unique(values)) <= {0, 1}
        return values if values.ndim == 1 and few else None
    return values.astype(np.int64) if n_outputs > 1 and (values == values.round()).all() else None
