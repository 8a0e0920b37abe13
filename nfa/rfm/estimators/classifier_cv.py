"""The classifier that chooses its own parameters."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from nfa.rfm.estimators.classifier import RFMClassifier
from nfa.rfm.estimators.search import BaseSearch, Criterion, of_best
from nfa.rfm.losses import log_loss
from nfa.rfm.saving.registry import kept_in_files
from nfa.rfm.saving.search import restored_search, search_parts


def _accuracy(outputs: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any] | None) -> float:
    return float(accuracy_score(targets.argmax(1), outputs.argmax(1), sample_weight=weights))


@kept_in_files(search_parts, restored_search)
class RFMClassifierCV(ClassifierMixin, BaseSearch):
    """An `RFMClassifier` that chooses its kernel, bandwidth, ridge and number of updates from the training rows alone.

    It works as `RFMRegressorCV` does, but minimises the mean of -log p(class) (see `nfa.rfm.losses`), which is smoother
    than the share of right answers. `best_score_` is that share, on rows that the machines were not fitted on.

    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> model = RFMClassifierCV(kernels=["laplace"], max_iters=2).fit(X, X[:, 0] > 0)
    >>> bool(model.predict([[2, 0, 0]])[0]), model.best_score_ > 0.8
    (True, True)
    """

    searched = RFMClassifier
    _criterion = Criterion(
        loss=lambda unit, outputs, targets, weights: log_loss(outputs * unit, targets * unit, weights),
        shown=lambda unit, loss: loss,
        score=_accuracy,
    )
    classes_ = of_best("classes_", "The labels, sorted.")

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Return the chosen machine's outputs; see `RFMClassifier`."""
        check_is_fitted(self)
        return np.asarray(self.best_estimator_.decision_function(X))

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Return the chosen machine's probabilities, (n, c); see `RFMClassifier`."""
        check_is_fitted(self)
        return np.asarray(self.best_estimator_.predict_proba(X))
