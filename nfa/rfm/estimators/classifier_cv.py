"""The classifier that chooses its own parameters."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from nfa.rfm.estimators.classifier import RFMClassifier
from nfa.rfm.estimators.search import PASSED_ON, BaseSearch, Criterion, of_best
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

    Args:
        class_weight: As for `RFMClassifier`; it counts in fits, in losses and in scores, as `sample_weight` does.

    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> model = RFMClassifierCV(kernels=["laplace"], max_iters=2).fit(X, X[:, 0] > 0)
    >>> bool(model.predict([[2, 0, 0]])[0]), model.best_score_ > 0.8
    (True, True)
    """

    searched = RFMClassifier
    _criterion = Criterion(
        loss=lambda units, outputs, targets, weights: log_loss(outputs, targets, weights),
        shown=lambda units, loss: loss,
        score=_accuracy,
    )
    classes_ = of_best("classes_", "The labels, sorted.")

    _passed: ClassVar = (*PASSED_ON, "class_weight")

    def __init__(
        self,
        kernels: Sequence[str] = ("laplace", "gaussian", "l1", "power"),
        *,
        exponent: float = 0.6,
        bandwidths: Sequence[float] = (1.0, 2.0, 4.0),
        ridges: Sequence[float] = (1e-3, 1e-2, 1e-1, 1.0, 10.0),
        max_iters: int = 4,
        shortlist: int = 3,
        cv: Any = 5,
        fit_intercept: bool = True,
        M_init: Any = None,
        diag: bool = False,
        center_grads: bool = False,
        agop_power: float = 1.0,
        agop_samples: int | None = None,
        n_components: int | None = None,
        class_weight: Any = None,
        memory_budget: float = 4.0,
        device: Any = None,
        dtype: Any = None,
        random_state: int = 0,
        progress: bool = True,
    ) -> None:
        super().__init__(
            kernels,
            exponent=exponent,
            bandwidths=bandwidths,
            ridges=ridges,
            max_iters=max_iters,
            shortlist=shortlist,
            cv=cv,
            fit_intercept=fit_intercept,
            M_init=M_init,
            diag=diag,
            center_grads=center_grads,
            agop_power=agop_power,
            agop_samples=agop_samples,
            n_components=n_components,
            memory_budget=memory_budget,
            device=device,
            dtype=dtype,
            random_state=random_state,
            progress=progress,
        )
        self.class_weight = class_weight

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Return the chosen machine's outputs; see `RFMClassifier`."""
        check_is_fitted(self)
        return np.asarray(self.best_estimator_.decision_function(X))

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Return the chosen machine's probabilities, (n, c); see `RFMClassifier`."""
        check_is_fitted(self)
        return np.asarray(self.best_estimator_.predict_proba(X))
