"""Out of the box: recursive feature machines with their defaults beside other estimators with theirs.

Claim: somebody who hands over a raw table and sets no parameter is served at least as well by `RFMRegressorCV` and
`RFMClassifierCV` as by any rival (the best mean rank for numbers, and for classes), and by `RFMRegressor` and
`RFMClassifier` never worse than by a constant, on average within a point of a tuned support vector machine. Refuted
where another method's mean rank is better, where a constant is better on a set, or where the mean difference is larger.

The sets are those of `analyses.varied_sets`, chosen before anything was measured; the methods are those of
`analyses.defaults_rivals`. Every method sees the same raw columns. One row of the table is one set, split and method:

- `n`, `d`: training rows and columns; `targets`: how many targets or classes;
- `score`: R^2 (the mean over targets), or accuracy, on the test rows;
- `log_loss`: mean of -log p(class) there; empty for numbers and for methods without probabilities;
- `fit_seconds`: of a processor, to fit and to predict.

A set's score is the mean over its splits. The findings have for each method the mean rank by score, and for classes
also by log loss (1 is the best, ties averaged), the mean score, the worst one, and the mean time. Means of R^2 are of
numbers that go down to minus infinity, so ranks say more. `constant` and `svm_tuned` have no rank.
"""

import time
import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, log_loss, r2_score

from analyses.analysis import Analysis, Cell, Options, Row
from analyses.defaults_rivals import METHODS, installed
from analyses.defaults_summary import findings
from analyses.varied_sets import SETS, divided
from nfa.common.checks import one_of

SPLITS = 3
QUICK_SETS, QUICK_METHODS = ("few-rows", "iris"), ("rfm", "rfm_cv", "linear", "constant", "svm_tuned")


def cells(options: Options) -> list[Cell]:
    """Every method on every split of every set."""
    known = {name: None for sets in SETS.values() for name in sets}
    wanted = [one_of("dataset", name, known) for name in options.datasets or (QUICK_SETS if options.quick else known)]
    return [
        {"task": task, "dataset": name, "split": split, "method": method}
        for task, sets in SETS.items()
        for name in sets
        if name in wanted
        for split in range(1 if options.quick else SPLITS)
        for method in (QUICK_METHODS if options.quick else installed())
    ]


def rows(cell: Cell, options: Options) -> list[Row]:
    """Fit one method to the training rows of a set, and score it on its test rows."""
    data = divided(cell["task"], cell["dataset"], cell["split"])
    model = METHODS[cell["method"]](data, cell["split"])
    started = time.process_time()
    with warnings.catch_warnings():
        # Linear and support vector machines stop before they are done where columns are in different units.
        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        model.fit(data.X_train, data.y_train)
    predicted = np.asarray(model.predict(data.X_test))
    seconds = time.process_time() - started
    n, d = data.X_train.shape
    if data.classes:
        found = {"score": accuracy_score(data.y_test, predicted.ravel()), "log_loss": _log_loss(model, data)}
    else:
        found = {"score": r2_score(data.y_test, predicted.reshape(data.y_test.shape)), "log_loss": np.nan}
    targets = len(np.unique(data.y_train)) if data.classes else data.y_train[0].size
    return [{"n": n, "d": d, "targets": targets, **found, "fit_seconds": seconds}]


def _log_loss(model: Any, data: Any) -> float:
    if not hasattr(model, "predict_proba"):
        return float("nan")
    # Some methods' float32 probabilities do not add up to 1 to the digits that scikit-learn asks for.
    probabilities = np.asarray(model.predict_proba(data.X_test), dtype=np.float64)
    return float(log_loss(data.y_test, probabilities / probabilities.sum(1, keepdims=True)))


ANALYSIS = Analysis(cells, rows, findings)
