"""Checked rows, targets and weights to fit."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _check_sample_weight
from torch import Tensor

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
        as_host(sample_weight), X, dtype=np.float64, ensure_non_negative=True
    )
    return found
