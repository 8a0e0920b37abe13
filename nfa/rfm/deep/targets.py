"""Targets beside a network's outputs: classes or numbers, and which label each output stands for."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfa.common.errors import InputError
from nfa.common.shown import few
from nfa.network.model import Model
from nfa.rfm.estimators.labels import labels_of
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
        raise InputError("y", f"{len(values)} targets, but X has {n} rows")
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
                "y",
                f"{len(present)} classes called by text, but the network has {n_outputs} outputs; "
                "hand over the outputs' numbers",
            )
        answers = present
    notes = []
    if set(present.tolist()) != set(answers.tolist()):
        had, known = (few([str(each) for each in some.tolist()], 10) for some in (present, answers))
        notes.append(f"y has the classes {had}, unlike the network's outputs {known}.")
    return Targets(labels, answers, notes)
