"""The methods of `analyses.defaults`: estimators as they come, made for a data set.

`METHODS[name](data, seed)` is an unfitted estimator as scikit-learn knows them, with no parameter but its seed. What is
done for a method that could not take the data otherwise:

- columns of categories are one-hot encoded for all but RFM, CatBoost and HistGradientBoosting, which take them as they
  are (CatBoost has to be told their names);
- methods for one target are fitted to each of several (`MultiOutputRegressor`);
- `svm`: probabilities come from scikit-learn's `CalibratedClassifierCV(ensemble=False)`, labels from `SVC` itself;
- `xrfm`: it needs rows to choose among its iterations by, and gets a fifth of the training rows for that.

Three are no rivals and have no rank: `constant` is the mean, or the most frequent label and the classes' shares;
`svm_tuned` has columns (and numbers to predict) scaled and C and gamma chosen by five-fold cross-validation; `rfm_agop`
is `rfm` with another power of the AGOP.
"""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, SVR

from analyses.varied_sets import Divided
from nfa.rfm import RFMClassifier, RFMClassifierCV, RFMRegressor, RFMRegressorCV

GRID = {"C": [0.1, 1.0, 10.0, 100.0, 1000.0], "gamma": [1e-4, 1e-3, 1e-2, 1e-1, 1.0]}
"""What the tuned support vector machine chooses from."""

Maker = Callable[[Divided, int], Any]


class ProbableSVC(SVC):
    """`SVC` with its own labels, and probabilities as scikit-learn advises since `probability=True` is deprecated."""

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the machine, then Platt's map to outputs that five machines have on rows they were not fitted to."""
        super().fit(X, y)
        self.calibrated_ = CalibratedClassifierCV(SVC(**self.get_params()), ensemble=False).fit(X, y)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probabilities of `classes_`, (n, c)."""
        return np.asarray(self.calibrated_.predict_proba(X))


class XRFM(BaseEstimator):
    """xRFM with its defaults.

    Args:
        classes: Whether targets are labels 0, 1, ...
        seed: Of the rows to choose by, and of xRFM.
    """

    VALIDATION = 0.2

    def __init__(self, classes: bool, seed: int) -> None:
        self.classes, self.seed = classes, seed

    def fit(self, X: Any, y: NDArray[Any]) -> Self:
        """Fit to four fifths of the rows."""
        from xrfm import xRFM

        targets = y.astype(np.int64) if self.classes else y.astype(np.float32)
        stratify = y if self.classes else None
        parts = train_test_split(X, targets, test_size=self.VALIDATION, random_state=self.seed, stratify=stratify)
        rows, held_out = (np.asarray(part, dtype=np.float32) for part in parts[:2])
        self.model_ = xRFM(device="cpu", random_state=self.seed, verbose=False)
        self.model_.fit(rows, parts[2], held_out, parts[3])
        self.shape_ = y.shape[1:]
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Return labels, or numbers of y's shape."""
        found = np.asarray(self.model_.predict(np.asarray(X, dtype=np.float32)))
        return found if self.classes else found.reshape(len(found), *self.shape_)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return probabilities, (n, c)."""
        return np.asarray(self.model_.predict_proba(np.asarray(X, dtype=np.float32)), dtype=np.float64)


def _encoded(data: Divided, estimator: Any, *scaling: Any) -> Any:
    """Return an estimator behind the one-hot encoding of the columns of categories, where there are any."""
    if not data.categories:
        return make_pipeline(*scaling, estimator)
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    transform = ColumnTransformer([("categories", encoder, data.categories)], remainder="passthrough")
    return make_pipeline(transform, *scaling, estimator)


def _one_by_one(data: Divided, estimator: Any) -> Any:
    """Return an estimator for one target, or one that fits it to each of several."""
    return MultiOutputRegressor(estimator) if data.y_train.ndim == 2 else estimator


def rfm(data: Divided, seed: int) -> Any:
    """A recursive feature machine."""
    return RFMClassifier(random_state=seed) if data.classes else RFMRegressor(random_state=seed)


def rfm_cv(data: Divided, seed: int) -> Any:
    """The search over recursive feature machines."""
    return RFMClassifierCV(random_state=seed) if data.classes else RFMRegressorCV(random_state=seed)


def hist_boosting(data: Divided, seed: int) -> Any:
    """scikit-learn's gradient boosting."""
    if data.classes:
        return HistGradientBoostingClassifier(random_state=seed)
    return _one_by_one(data, HistGradientBoostingRegressor(random_state=seed))


def catboost(data: Divided, seed: int) -> Any:
    """CatBoost; silent, in one thread, and without files."""
    from catboost import CatBoostClassifier, CatBoostRegressor

    options = {"random_seed": seed, "verbose": False, "thread_count": 1, "allow_writing_files": False}
    options |= {"cat_features": data.categories} if data.categories else {}
    return CatBoostClassifier(**options) if data.classes else _one_by_one(data, CatBoostRegressor(**options))


def random_forest(data: Divided, seed: int) -> Any:
    """A random forest."""
    forest = RandomForestClassifier if data.classes else RandomForestRegressor
    return _encoded(data, forest(random_state=seed))


def svm(data: Divided, seed: int) -> Any:
    """A support vector machine."""
    return _encoded(data, ProbableSVC() if data.classes else _one_by_one(data, SVR()))


def linear(data: Divided, seed: int) -> Any:
    """Ridge or logistic regression."""
    return _encoded(data, LogisticRegression() if data.classes else Ridge())


def xrfm(data: Divided, seed: int) -> Any:
    """The authors' own package."""
    return _encoded(data, XRFM(data.classes, seed))


def constant(data: Divided, seed: int) -> Any:
    """What is known without looking at the columns."""
    return DummyClassifier(strategy="prior") if data.classes else DummyRegressor()


def svm_tuned(data: Divided, seed: int) -> Any:
    """A support vector machine as somebody who knows it would use it."""
    if data.classes:
        return _encoded(data, GridSearchCV(SVC(), GRID, n_jobs=1), StandardScaler())
    machine = _one_by_one(data, GridSearchCV(SVR(), GRID, n_jobs=1))
    return TransformedTargetRegressor(_encoded(data, machine, StandardScaler()), transformer=StandardScaler())


def rfm_agop(data: Divided, seed: int) -> Any:
    """`rfm` with M the AGOP itself, not its root."""
    return rfm(data, seed).set_params(agop_power=1.0)


METHODS: Mapping[str, Maker] = {
    method.__name__: method
    for method in (
        *(rfm, rfm_cv, hist_boosting, catboost, random_forest, svm, linear, xrfm),
        *(constant, svm_tuned, rfm_agop),
    )
}
REFERENCES = ("constant", "svm_tuned", "rfm_agop")
"""Methods that have no rank."""
OPTIONAL = ("catboost", "xrfm")
"""Methods of packages that may be missing."""


def installed() -> list[str]:
    """Return the names of the methods whose packages are there."""
    return [name for name in METHODS if name not in OPTIONAL or find_spec(name) is not None]
