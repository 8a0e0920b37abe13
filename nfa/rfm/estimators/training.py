"""Checked rows, targets and weights to fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _check_sample_weight
from torch import Tensor

from nfa.common.checks import number
from nfa.common.errors import InputError
from nfa.rfm.estimators.tables import as_host


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The data that `fit` was given.

    Args:
        rows: Shape (n, d), in the dtype and on the device of the computation.
        targets: Shape (n,) or (n, c), as they were given.
        weights: Shape (n,), at least 0; None for 1.
    """

    rows: Tensor
    targets: NDArray[Any]
    weights: Tensor | None

    @property
    def numbers(self) -> NDArray[np.intp]:
        """Numbers of the rows of weight above 0."""
        return np.arange(len(self.targets)) if self.weights is None else np.flatnonzero(self.weights.cpu().numpy() > 0)

    def present(self) -> "TrainingData":
        """Return the rows of weight above 0; the others count as absent.

        Raises:
            InputError: there are none.
        """
        numbers = self.numbers
        if self.weights is None or len(numbers) == len(self.targets):
            return self
        if not len(numbers):
            raise InputError("sample_weight", "every weight is 0 in the dtype of the computation")
        return TrainingData(self.rows[numbers], self.targets[numbers], self.weights[numbers])


def weights_of(sample_weight: Any, X: Any) -> NDArray[np.float64] | None:
    """Return weights of the rows of X, float64; None where none are given.

    Raises:
        ValueError: not a number for each row, or one below 0, NaN or infinite, or all 0.
    """
    if sample_weight is None:
        return None
    found: NDArray[np.float64] = _check_sample_weight(
        as_host("sample_weight", sample_weight), X, dtype=np.float64, ensure_non_negative=True
    )
    return found


def class_factors(class_weight: Any, y: NDArray[Any], weights: NDArray[np.float64] | None) -> dict[Any, float]:
    """Return what rows of each label weigh besides their own weights, by label; a label that it lacks weighs 1.

    Args:
        class_weight: A dict from label to number; "balanced", so that every class weighs as much as the mean of all;
            None for 1.
        y: Labels, (n,).
        weights: Of the rows, (n,); None for 1.

    Raises:
        InputError: neither, a number below 0, or a label that y does not have while y has one without a number: where
            all of y's labels have numbers, the others are those of rows left out, as of a fold.

    >>> class_factors("balanced", np.array(["a", "a", "a", "b"]), None)
    {'a': 0.6666666666666666, 'b': 2.0}
    """
    if class_weight is None:
        return {}
    totals: dict[Any, float] = {}
    rows = [1.0] * len(y) if weights is None else weights.tolist()
    for label, weight in zip(y.tolist(), rows, strict=True):
        totals[label] = totals.get(label, 0.0) + weight
    if isinstance(class_weight, str) and class_weight == "balanced":
        # A class whose rows all count nothing is none.
        counted = {label: total for label, total in totals.items() if total > 0}
        mean = sum(counted.values()) / len(counted)
        return {label: mean / total for label, total in counted.items()}
    if not isinstance(class_weight, Mapping):
        raise InputError("class_weight", f"got {class_weight!r}, expected None, 'balanced' or a dict of labels")
    unknown = [label for label in class_weight if label not in totals]
    unweighted = [label for label in totals if label not in class_weight]
    if unknown and unweighted:
        raise InputError(
            "class_weight", f"has the label {unknown[0]!r}, which y does not, and none for y's {unweighted[0]!r}"
        )
    return {label: number("class_weight", value) for label, value in class_weight.items()}


def rows_weighed(factors: Mapping[Any, float], y: NDArray[Any]) -> NDArray[np.float64]:
    """Return the factor of each label in y, (n,), 1 where it has none.

    >>> rows_weighed({"a": 3}, np.array(["a", "b"])).tolist()
    [3.0, 1.0]
    """
    return np.array([factors.get(label, 1.0) for label in y.tolist()], dtype=np.float64)
