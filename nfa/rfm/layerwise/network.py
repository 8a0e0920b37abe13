"""What a network's own outputs are worth on test rows, beside the machines'."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfa.common.errors import InputError
from nfa.network.model import Model
from nfa.network.preparing import prepare
from nfa.network.scoring import Score, score_outputs


def network_score(
    model: Model, outputs: Tensor, y: NDArray[Any], classes: NDArray[Any] | None
) -> tuple[Score | None, str]:
    """Return the network's score, or None, and what is unusual about it, in words.

    Args:
        model: The network.
        outputs: Shape (n, c).
        y: Their targets.
        classes: The labels of the training rows; None for real targets.
    """
    if not model.scored:
        return None, "the network's outputs cannot be compared with y"
    answers = max(2, outputs.shape[1])
    values: Any = y
    try:
        if classes is not None and model.classes is not None:
            (_, values), _ = prepare(replace(model.bare(), classes=model.classes), (outputs, y))
        elif classes is not None:
            values = _numbered(y, classes, answers)
        values = np.asarray(values)
        targets = torch.from_numpy(values.astype(np.int64) if values.dtype.kind in "iub" else values)
        found = score_outputs(outputs, targets, ending=model.ending)
    except InputError as error:
        # Machines need no network whose classes are those of y.
        return None, f"the network's own error is undefined ({error})"
    if (found.metric == "accuracy") != (classes is not None):
        return None, "the network's own error is of another kind than the machines'"
    if classes is not None and len(classes) != answers:
        return found, f"y has {len(classes)} classes, but the network tells {answers} apart"
    return found, ""


def _numbered(y: NDArray[Any], classes: NDArray[Any], answers: int) -> NDArray[np.int64]:
    """Return numbers of the outputs that labels stand for: themselves, or for text their place among the classes.

    Raises:
        InputError: text that cannot be told to outputs.
    """
    # Objects are what they hold.
    y, classes = (np.array(labels.tolist()) for labels in (y, classes))
    if y.dtype.kind in "iub":
        return y.astype(np.int64)
    if len(classes) != answers:
        raise InputError("y", f"has {len(classes)} classes called by text, but the network tells {answers} apart")
    unknown = y[~np.isin(y, classes)]
    if len(unknown):
        raise InputError("y", f"holds the label {unknown[0].item()!r}, which the training rows lack")
    return np.searchsorted(classes, y)
