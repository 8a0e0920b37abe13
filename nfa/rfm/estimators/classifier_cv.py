"""The classifier that chooses its own parameters."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from nfa.rfm.calibration import best_temperature, calibrated, log_loss_at
from nfa.rfm.estimators.classifier import TEMPERATURE, RFMClassifier
from nfa.rfm.estimators.held_out import prior_of
from nfa.rfm.estimators.search import PASSED_ON, BaseSearch, Criterion, of_best
from nfa.rfm.estimators.training import class_factors, rows_weighed
from nfa.rfm.losses import log_loss
from nfa.rfm.recursion import Problem
from nfa.rfm.saving.registry import kept_in_files
from nfa.rfm.saving.search import restored_search, search_parts
from nfa.rfm.selection import Loss


def _accuracy(outputs: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any] | None) -> float:
    return float(accuracy_score(targets.argmax(1), outputs.argmax(1), sample_weight=weights))


@kept_in_files(search_parts, restored_search)
class RFMClassifierCV(ClassifierMixin, BaseSearch):
    """An `RFMClassifier` that chooses its kernel, bandwidth, ridge and number of updates from the training rows alone.

    It works as `RFMRegressorCV` does, but minimises the mean of -log p(class) (see `nfa.rfm.calibration`), which is
    smoother than the share of right answers. `best_score_` is that share, on rows that the machines were not fitted on.

    Args:
        class_weight: As for `RFMClassifier`; it counts in fits, in losses and in scores, as `sample_weight` does.
        temperature: As for `RFMClassifier`; "auto" takes each candidate's predictions for the rows that judge it.

    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> model = RFMClassifierCV(kernels=["laplace"], max_iters=2).fit(X, X[:, 0] > 0)
    >>> bool(model.predict([[2, 0, 0]])[0]), model.best_score_ > 0.8
    (True, True)
    """

    searched = RFMClassifier
    _criterion = Criterion(
        shown=lambda units, loss: loss,
        score=_accuracy,
    )
    classes_ = of_best("classes_", "The labels, sorted.")

    _passed: ClassVar = (*PASSED_ON, "class_weight", "temperature")

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
        scale: str | None = "auto",
        fit_intercept: bool = True,
        M_init: Any = None,
        diag: bool = False,
        center_grads: bool = False,
        agop_power: float = 1.0,
        agop_samples: int | None = None,
        n_components: int | None = None,
        class_weight: Any = None,
        temperature: float | str | None = "auto",
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
            scale=scale,
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
        self.temperature = temperature

    def _held_out_weights(
        self, held: NDArray[Any], y: NDArray[Any], weights: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """Return the weights of held-out rows: those of their classes, "balanced" by the training rows."""
        return rows_weighed(class_factors(self.class_weight, y, weights), held)

    def _loss(self, problem: Problem) -> Loss:
        """Return the mean of -log p(class), at the temperature that is best for the outputs judged."""
        given, prior = TEMPERATURE("temperature", self.temperature), prior_of(problem)
        if given is None:
            return log_loss
        if given == "auto":
            return lambda outputs, targets, weights: best_temperature(outputs, targets, weights, prior)[1]
        return lambda outputs, targets, weights: log_loss_at(outputs, targets, weights, prior, given)

    def _calibration(
        self, problem: Problem, outputs: Tensor, targets: Tensor, weights: Tensor | None
    ) -> dict[str, float]:
        """Return the temperature for the outputs judged, where it is to be chosen."""
        if self.temperature != "auto":
            return {}
        return {"temperature": best_temperature(outputs, targets, weights, prior_of(problem))[0]}

    def _answers(self, problem: Problem, outputs: Tensor, temperature: float | None) -> Tensor:
        """Return logarithms of probabilities; the likeliest class is what is predicted."""
        T = TEMPERATURE("temperature", self.temperature) if temperature is None else temperature
        return outputs if T is None else calibrated(outputs, prior_of(problem), float(T))

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Return logarithms of the chosen machine's probabilities, (m, c) or (m,); see `RFMClassifier`."""
        check_is_fitted(self)
        return np.asarray(self.best_estimator_.decision_function(X))

    def outputs(self, X: Any) -> NDArray[Any]:
        """Return f(x) of the chosen machine for each row, (m, c); see `RFMClassifier`."""
        check_is_fitted(self)
        return np.asarray(self.best_estimator_.outputs(X))

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Return the chosen machine's probabilities, (n, c); see `RFMClassifier`."""
        check_is_fitted(self)
        return np.asarray(self.best_estimator_.predict_proba(X))
