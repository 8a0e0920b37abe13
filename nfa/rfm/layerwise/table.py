"""The errors of each layer's machines on test rows, beside the network's own."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfa.audits.audit import LayerAudit
from nfa.common.errors import InputError
from nfa.data.labels import Targets
from nfa.network.model import Model
from nfa.network.scoring import Score, score_outputs
from nfa.rfm.layerwise.layer_machine import LayerMachine

COLUMNS = (
    *("layer", "name", "d_in", "features", "n_iters"),
    *("metric", "error", "network_error", "constant_error"),
    *("cosine_nfm", "cosine_agop", "n", "note"),
)
"""The columns of `LayerwiseRFM.score_frame`."""


def error_of(predicted: NDArray[Any], y: NDArray[Any], are_classes: bool) -> float:
    """Return the share of wrong labels, or 1 - R^2 = sum |y - f|^2 / sum |y - mean y|^2, pooled over targets.

    NaN where real targets are all the same.

    >>> error_of(np.array([1.0, 1.0]), np.array([0.0, 2.0]), are_classes=False)
    1.0
    """
    if are_classes:
        return float((predicted != y).mean())
    y = y.astype(np.float64)
    spread = float(((y - y.mean(0)) ** 2).sum())
    return float(((y - predicted) ** 2).sum()) / spread if spread > 0 else math.nan


def network_score(model: Model, outputs: Tensor, y: NDArray[Any], fitted: Targets) -> tuple[Score | None, str]:
    """Return a network's own score on test rows, or None; and why, or what is unusual about it, in words.

    Args:
        model: The network.
        outputs: Shape (n, positions, c).
        y: Their targets.
        fitted: The targets of the training rows, which say whether y is labels, and their order.
    """
    if not model.scored:
        return None, "the network's outputs cannot be compared with y"
    n_classes = model.answers(outputs.shape[-1]).n_classes
    try:
        targets = torch.from_numpy(fitted.codes_of(y) if fitted.are_classes else y)
        found = score_outputs(outputs, targets, ending=model.ending)
    except InputError as error:
        # Machines do not need a network whose classes are those of y.
        return None, f"the network's own error is undefined ({error})"
    if (found.metric == "accuracy") != fitted.are_classes:
        return None, "the network's own error is of another kind than the machines'"
    known = len(np.unique(fitted.values)) if fitted.are_classes else n_classes
    if known != n_classes:
        return found, f"y has {known} classes, but the network tells {n_classes} apart"
    return found, "; ".join(fitted.notes)


@dataclass(frozen=True, eq=False)
class Test:
    """The targets of test rows, and the network's score on them.

    Args:
        y: Labels, or numbers.
        are_classes: Whether they are labels.
        y_train: The targets of the training rows.
        score: The network's score on the test rows; None where it has none.
        why: Why there is no score, or what is unusual, in words.
    """

    y: NDArray[Any]
    are_classes: bool
    y_train: NDArray[Any]
    score: Score | None
    why: str

    def rows(
        self,
        layer: LayerAudit,
        features: str,
        n_iters: int,
        stages: Iterable[LayerMachine] | str,
        H: Mapping[str, Tensor],
    ) -> Iterator[dict[str, Any]]:
        """Yield a layer's rows of the table for one first matrix.

        Args:
            layer: The layer.
            features: What its machines start from.
            n_iters: Updates of M.
            stages: Its machines after 0, 1, ... updates, or why there are none.
            H: By layer, the test rows that reach it.
        """
        about = {"layer": layer["layer"], "name": layer["name"], "d_in": layer["d_in"], "features": features}
        about |= {"metric": "error rate" if self.are_classes else "1 - R^2", "n": len(self.y)}
        about["network_error"] = math.nan if self.score is None else 1 - self.score.value
        about["constant_error"] = self._constant()
        if isinstance(stages, str):
            for number in range(n_iters + 1):
                undefined = dict.fromkeys(("error", "cosine_nfm", "cosine_agop"), math.nan)
                yield about | {"n_iters": number, "note": _joined(stages, self.why)} | undefined
            return
        trivial = "trivial: delta is the same for every row" if layer["trivial"] else ""
        for number, machine in enumerate(stages):
            yield about | {
                "n_iters": number,
                "error": error_of(machine.predict(H[layer["name"]]), self.y, self.are_classes),
                "cosine_nfm": machine.cosine(layer.nfm),
                "cosine_agop": machine.cosine(layer.agop),
                "note": _joined(trivial, self.why),
            }

    def _constant(self) -> float:
        """Return the error of the training rows' commonest class, or of their mean."""
        if self.are_classes:
            labels, counts = np.unique(self.y_train, return_counts=True)
            return float((self.y != labels[counts.argmax()]).mean())
        mean = np.broadcast_to(self.y_train.mean(0), self.y.shape)
        return error_of(mean, self.y, are_classes=False)


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
