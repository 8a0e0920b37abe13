"""Categories as the mean of their targets."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.model_selection import KFold
from sklearn.preprocessing import TargetEncoder
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted

FOLDS = 5
"""Of the cross-fitting: a training row is encoded by the targets of the other folds alone."""


class TargetEncoding(TransformerMixin, BaseEstimator):
    """scikit-learn's `TargetEncoder` for every target, side by side: (rows, targets x columns).

    `fit_transform` is cross-fitted, so it is not `fit` and then `transform`.

    Args:
        random_state: A seed, of the folds.
        dtype: Of the encoded columns.
        categories: "auto", or a list of arrays, one for each column.
    """

    def __init__(self, random_state: int = 0, dtype: Any = np.float64, categories: Any = "auto") -> None:
        self.random_state = random_state
        self.dtype = dtype
        self.categories = categories

    def fit(self, X: Any, y: NDArray[np.float64]) -> Self:
        """Learn the means of targets y, (n, c)."""
        self.encoders_ = [TargetEncoder(self.categories, target_type="continuous").fit(X, target) for target in y.T]
        return self

    def fit_transform(self, X: Any, y: NDArray[np.float64]) -> NDArray[Any]:
        """Learn the means, and return each row encoded by the other folds' targets."""
        # scikit-learn's own cross-fitting takes its seed in another way from version to version.
        found = np.empty((len(X), y.shape[1] * X.shape[1]))
        for others, fold in KFold(FOLDS, shuffle=True, random_state=self.random_state).split(X):
            fitted = clone(self).fit(_safe_indexing(X, others), y[others])
            found[fold] = fitted.transform(_safe_indexing(X, fold))
        self.fit(X, y)
        return found.astype(self.dtype)

    def transform(self, X: Any) -> NDArray[Any]:
        """Return rows encoded by the means of all training rows; a category not seen is the mean of all."""
        check_is_fitted(self)
        return np.hstack([one.transform(X) for one in self.encoders_]).astype(self.dtype)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the columns' names, with the target's number where there are several."""
        names = self.encoders_[0].get_feature_names_out(input_features)
        if len(self.encoders_) == 1:
            return np.asarray(names, dtype=object)
        return np.array([f"{name}_{number}" for number in range(len(self.encoders_)) for name in names], dtype=object)

    @property
    def categories_(self) -> list[NDArray[Any]]:
        """The categories of each column."""
        found: list[NDArray[Any]] = self.encoders_[0].categories_
        return found
