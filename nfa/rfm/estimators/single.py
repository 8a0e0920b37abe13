"""The base of estimators with one machine, a regressor and a classifier."""

from collections.abc import Iterator
from typing import Any, Self

from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from nfa.rfm.estimators.base import BaseRFM
from nfa.rfm.estimators.fitting import Fitted, fitted, stages


class SingleRFM(BaseRFM):
    """An estimator that has one machine, `fitted_`."""

    fitted_: Fitted

    def staged_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Iterator[Self]:
        """Fit as `fit` does, and yield the estimator itself after 0, 1, ..., n_iters updates of M.

        Args:
            X: As for `fit`, like the others.
            y: Targets.
            sample_weight: Weights.

        >>> import numpy as np
        >>> from nfa.rfm import RFMRegressor
        >>> X = np.random.default_rng(0).normal(size=(30, 2))
        >>> [one.machine_.metric.root is None for one in RFMRegressor(n_iters=1).staged_fit(X, X[:, 1])]
        [True, False]
        """
        training = self._training(X, y, sample_weight).present()
        targets = self._targets(training.targets, learn=True)
        for fitted_so_far in stages(training.rows, targets, training.weights, self._settings()):
            self.fitted_ = fitted_so_far
            yield self

    def _fit(self, X: Tensor, Y: Tensor, weights: Tensor | None) -> None:
        self.fitted_ = fitted(X, Y, weights, self._settings())

    @property
    def _output_machine(self) -> Fitted:
        check_is_fitted(self, "fitted_")
        return self.fitted_
