"""Recursive feature machines for classes."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from torch import Tensor

from nfa.common.errors import InputError
from nfa.data.labels import codes_of
from nfa.rfm.estimators.base import BaseRFM
from nfa.rfm.estimators.single import SingleRFM
from nfa.rfm.losses import log_probabilities
from nfa.rfm.saving.registry import kept_in_files
from nfa.rfm.saving.single import machine_parts, restored_machine


class ClassifierRFM(ClassifierMixin, BaseRFM):
    """The base of machines for classes: targets are one-hot rows of sorted labels, and the largest output wins."""

    classes_: NDArray[Any]

    def _targets(self, y: NDArray[Any], learn: bool) -> Tensor:
        """Return labels as one-hot rows, (n, c)."""
        if learn:
            # scikit-learn takes objects for text; here any labels will do that can be sorted.
            if y.dtype.kind != "O":
                check_classification_targets(y)
            try:
                self.classes_ = np.unique(y)
            except TypeError as error:
                raise InputError("y", "labels of kinds that cannot be sorted, expected those of one kind") from error
        codes, unknown = codes_of(y, self.classes_.tolist())
        if unknown:
            raise InputError("validation", f"holds the label {unknown[0]!r}, which y does not")
        return torch.eye(len(self.classes_), dtype=torch.float64)[torch.from_numpy(codes)]

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Return the outputs, (n, c), that estimate probabilities; of two classes their log-odds, (n,)."""
        outputs = self._outputs(X)
        if len(self.classes_) != 2:
            return outputs
        logarithms = log_probabilities(torch.from_numpy(outputs))
        return (logarithms[:, 1] - logarithms[:, 0]).numpy()

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the label of the largest output for each row."""
        outputs = self._outputs(X)
        return np.asarray(self.classes_[outputs.argmax(1)])

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Return the outputs as probabilities, (n, c); see `nfa.rfm.losses.log_probabilities`."""
        outputs = self._outputs(X)
        return log_probabilities(torch.from_numpy(outputs)).exp().numpy()


@kept_in_files(machine_parts, restored_machine)
class RFMClassifier(ClassifierRFM, SingleRFM):
    """A recursive feature machine for classes: regression on one-hot targets, the largest output wins.

    Parameters and attributes are those of `RFMRegressor`. Besides, `classes_` holds the sorted labels, of any type.

    Source: arXiv:2212.13881, Algorithm 1 and its tabular experiments.

    >>> X = np.random.default_rng(0).normal(size=(200, 5))
    >>> model = RFMClassifier().fit(X, np.where(X[:, 0] > 0, "yes", "no"))
    >>> model.predict([[3, 0, 0, 0, 0], [-3, 0, 0, 0, 0]]).tolist()
    ['yes', 'no']
    """
