"""The rivals of recursive feature machines on tabular data, each with what is needed to tune it.

`RIVALS[name](seed)` is an unfitted estimator as scikit-learn knows them. Its `fit(X, y)` chooses its settings on the
given rows alone: by stratified five-fold cross-validation, shuffled with the seed, and then a fit on all of them;
`xrfm` on a fifth of the rows, as its authors mean it to be used. After `fit`, `best_params_` says what was chosen.

The settings keep the whole analysis at hours on two cores; where that bounds quality, the comment says so.
"""

import itertools
import warnings
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

CV = 5


class Tuned:
    """An estimator, its settings chosen from a grid by cross-validation.

    A class with fewer than five members is missing in some training folds. Every estimator here is then fitted to the
    classes it sees and cannot predict the others, which accuracy counts as errors; nothing fails and nothing has to be
    mended, but stratified folds warn.

    Args:
        estimator: What to tune.
        grid: The choices, by name of the parameter.
        seed: Of the folds.
        final: Parameters of the last fit, on all rows, alone.
    """

    def __init__(
        self, estimator: Any, grid: dict[str, list[Any]], seed: int, final: dict[str, Any] | None = None
    ) -> None:
        self.estimator, self.grid, self.seed, self.final = estimator, grid, seed, final or {}

    def fit(self, X: NDArray[Any], y: NDArray[Any]) -> Self:
        """Choose, then fit on all rows."""
        folds = StratifiedKFold(CV, shuffle=True, random_state=self.seed)
        # A failing fit is an error, never a score of NaN.
        search = GridSearchCV(
            self.estimator, self.grid, cv=folds, scoring="accuracy", n_jobs=1, refit=False, error_score="raise"
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class in y has only", UserWarning)
            # Networks stop after a given number of epochs, and say so.
            warnings.filterwarnings("ignore", category=ConvergenceWarning)
            self.best_params_ = search.fit(X, y).best_params_
            self.estimator_ = clone(self.estimator).set_params(**self.best_params_, **self.final).fit(X, y)
        return self

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return the class of every row."""
        return np.asarray(self.estimator_.predict(X))

    def score(self, X: NDArray[Any], y: NDArray[Any]) -> float:
        """Return the accuracy."""
        return float((self.predict(X) == y).mean())


def random_forest(seed: int) -> Tuned:
    """500 trees; features tried at a split: the square root, a quarter or half of them.

    The choice among the three is made with 100 trees: that takes a fifth of the time.
    """
    forest = RandomForestClassifier(100, random_state=seed, n_jobs=1)
    return Tuned(forest, {"max_features": ["sqrt", 0.25, 0.5]}, seed, final={"n_estimators": 500})


def boosting(seed: int) -> Tuned:
    """Gradient boosting on histograms: learning rate by size of a tree.

    scikit-learn's 20 rows in every leaf allow no split at all in the smallest sets, so 5 here; and without a penalty
    on the leaves' values boosting diverges where there are many classes (yeast: 0.28 instead of 0.60). 50 rounds, half
    of scikit-learn's, with a larger learning rate among the choices: with 100 classes each round grows 100 trees.
    """
    trees = HistGradientBoostingClassifier(
        max_iter=50, min_samples_leaf=5, l2_regularization=1.0, early_stopping=False, random_state=seed
    )
    return Tuned(trees, {"learning_rate": [0.05, 0.1, 0.3], "max_leaf_nodes": [4, 12, 31]}, seed)


def svm(seed: int) -> Tuned:
    """Support vector machine with a Gaussian kernel."""
    # The cache of kernel values is only there for speed, in MB.
    machine = make_pipeline(StandardScaler(), SVC(kernel="rbf", cache_size=500, random_state=seed))
    grid = {"svc__C": [0.1, 1.0, 10.0, 100.0, 1000.0], "svc__gamma": [1e-4, 1e-3, 1e-2, 1e-1, 1.0]}
    return Tuned(machine, grid, seed)


def mlp(seed: int) -> Tuned:
    """One hidden layer: width by weight decay.

    100 epochs at learning rate 0.003 instead of scikit-learn's 200 at 0.001: an epoch of the smallest sets is a single
    step, and 200 small ones leave them half trained.
    """
    network = MLPClassifier(max_iter=100, learning_rate_init=0.003, random_state=seed)
    grid = {
        "mlpclassifier__hidden_layer_sizes": [(32,), (128,), (256,)],
        "mlpclassifier__alpha": [1e-4, 1e-2, 1.0],
    }
    return Tuned(make_pipeline(StandardScaler(), network), grid, seed)


class XRFM:
    """xRFM with the settings of its documentation, tuned on a fifth of the rows.

    Its Laplace kernel (`l2`, exponent 1, full M), five updates with early stopping, its Brier loss on the validation
    rows choosing among the iterations. Settings are chosen by accuracy on the same rows, ties by Brier loss. The
    validation rows are not trained on in the end: xRFM has no such step.

    Args:
        seed: Of the validation rows, and of xRFM.
    """

    VALIDATION = 0.2
    GRID = tuple(itertools.product((1e-4, 1e-2, 1.0), (1.0, 5.0, 25.0), ("constant", "adaptive")))
    """Ridge, bandwidth, its mode: `adaptive` multiplies it by the median distance, anew in every iteration."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def fit(self, X: NDArray[Any], y: NDArray[Any]) -> Self:
        """Fit every setting, keep the best model."""
        import torch

        self.scaler_ = StandardScaler()
        # Class numbers without gaps: xRFM takes them as columns.
        self.classes_, labels = np.unique(y, return_inverse=True)
        train, validation = self._divide(labels)
        # As its documentation says: numerical columns are standardised, float32. Fitted on the rows trained on.
        rows = self.scaler_.fit_transform(X[train]).astype(np.float32)
        held_out = self.scaler_.transform(X[validation]).astype(np.float32)
        best: tuple[float, float] | None = None
        for ridge, bandwidth, mode in self.GRID:
            model = self._model(ridge, bandwidth, mode)
            model.fit(rows, torch.from_numpy(labels[train]), held_out, torch.from_numpy(labels[validation]))
            probabilities = model.predict_proba(held_out)
            target = np.eye(len(self.classes_))[labels[validation]]
            accuracy = float((model.predict(held_out) == labels[validation]).mean())
            brier = float(((probabilities[:, : target.shape[1]] - target) ** 2).mean())
            if best is None or (accuracy, -brier) > best:
                best, self.model_ = (accuracy, -brier), model
                self.best_params_ = {"reg": ridge, "bandwidth": bandwidth, "bandwidth_mode": mode}
        self.best_params_["iteration"] = self.model_.trees[0]["model"].best_iter
        return self

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return the class of every row."""
        return self.classes_[self.model_.predict(self.scaler_.transform(X).astype(np.float32))]

    def score(self, X: NDArray[Any], y: NDArray[Any]) -> float:
        """Return the accuracy."""
        return float((self.predict(X) == y).mean())

    def _divide(self, labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        rows = np.arange(len(labels))
        # Stratified where every class has two members and both parts have room for every class.
        counts = np.bincount(labels)
        possible = counts.min() >= 2 and round(self.VALIDATION * len(labels)) >= len(counts)
        train, validation = train_test_split(
            rows, test_size=self.VALIDATION, random_state=self.seed, stratify=labels if possible else None
        )
        return train, validation

    def _model(self, ridge: float, bandwidth: float, mode: str) -> Any:
        from xrfm import xRFM

        model = {"kernel": "l2", "exponent": 1.0, "diag": False, "bandwidth": bandwidth, "bandwidth_mode": mode}
        fit = {"reg": ridge, "iters": 5, "early_stop_rfm": True, "verbose": False}
        return xRFM({"model": model, "fit": fit}, device="cpu", random_state=self.seed, verbose=False)


RIVALS: dict[str, Callable[[int], Any]] = {
    "random_forest": random_forest,
    "boosting": boosting,
    "svm": svm,
    "mlp": mlp,
    "xrfm": XRFM,
}
