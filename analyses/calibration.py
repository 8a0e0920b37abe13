"""Are the probabilities of recursive feature machines right? Calibration error, Brier score and log loss.

Claim: `RFMClassifier` and `RFMClassifierCV` give probabilities that are as well calibrated as those of a support vector
machine with Platt's map and of logistic regression; on the digits their log loss is below 0.08, and with two classes
they are no worse than the map without calibration. Refuted where one of the numbers is larger.

Sets: the digits, and sets of two classes of `analyses.varied_sets`. Methods: `rfm` and `rfm_cv` with their defaults;
`rfm_uncalibrated`, the same machine without a temperature: its outputs are taken for probabilities as they are;
`svm` and `logistic`, both behind a `StandardScaler`. One row of the table is one set, split and method:

- `accuracy`, `log_loss`: of the test rows;
- `brier`: sum over classes of (p_j - y_j)^2, the mean over test rows, from 0 to 2;
- `ece`: expected calibration error, sum over 15 bins of confidence max_j p_j, equally wide, of the bin's share of the
  rows times |accuracy - mean confidence| there (Guo et al., arXiv:1706.04599).
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from analyses.analysis import Analysis, Cell, Options, Row
from analyses.defaults_rivals import ProbableSVC
from analyses.defaults_summary import losing
from analyses.varied_sets import divided
from nfa.common.checks import one_of
from nfa.rfm import RFMClassifier, RFMClassifierCV

SPLITS, BINS = 5, 15
SETS = ("digits", "breast-cancer", "breast-cancer-40", "flipped", "imbalance", "hastie", "xor", "linear", "row-number")

METHODS: Mapping[str, Callable[[], Any]] = {
    "rfm": RFMClassifier,
    "rfm_cv": RFMClassifierCV,
    "rfm_uncalibrated": lambda: RFMClassifier(temperature=None),
    "svm": lambda: make_pipeline(StandardScaler(), ProbableSVC()),
    "logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
}
MEASURES = ("accuracy", "log_loss", "brier", "ece")


def expected_calibration_error(p: NDArray[np.float64], labels: NDArray[np.int64], bins: int = BINS) -> float:
    """Return how far confidence is from accuracy, on average over rows.

    Args:
        p: Probabilities, (n, c).
        labels: Shape (n,), numbers of columns of p.
        bins: Of confidence, equally wide.

    >>> p = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4]])
    >>> round(expected_calibration_error(p, np.array([0, 1, 0])), 3)
    0.4
    """
    confidence, right = p.max(1), p.argmax(1) == labels
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    excess = np.bincount(which, weights=confidence - right, minlength=bins)
    return float(np.abs(excess).sum() / len(p))


def cells(options: Options) -> list[Cell]:
    """Every method on every split of every set."""
    quick = ("breast-cancer-40",)
    wanted = [one_of("dataset", name, SETS) for name in options.datasets or (quick if options.quick else SETS)]
    return [
        {"dataset": name, "split": split, "method": method}
        for name in wanted
        for split in range(1 if options.quick else SPLITS)
        for method in METHODS
    ]


def rows(cell: Cell, options: Options) -> list[Row]:
    """Fit one method, and measure its probabilities on the test rows."""
    data = divided("classification", cell["dataset"], cell["split"])
    model = METHODS[cell["method"]]().fit(data.X_train, data.y_train)
    p = np.asarray(model.predict_proba(data.X_test), dtype=np.float64)
    p = p / p.sum(1, keepdims=True)
    labels = np.searchsorted(model.classes_, data.y_test)
    measured = {
        "accuracy": float((p.argmax(1) == labels).mean()),
        "log_loss": float(log_loss(labels, p, labels=np.arange(p.shape[1]))),
        "brier": float(((p - np.eye(p.shape[1])[labels]) ** 2).sum(1).mean()),
        "ece": expected_calibration_error(p, labels),
    }
    return [{"n": len(data.X_train), "classes": p.shape[1], **measured}]


def findings(table: pd.DataFrame) -> list[str]:
    """Return the means over splits, and the sets on which a machine's errors are larger than another method's."""
    means = table.groupby(["dataset", "method"], sort=False)[list(MEASURES)].mean()
    order = [name for name in METHODS if name in set(table["method"])]
    said, behind = [], []
    for measure in MEASURES:
        values = means[measure].unstack("method")[order].loc[table["dataset"].unique()]
        said.append(f"{measure}, mean over splits:\n{values.to_string(float_format='{:.3f}'.format, na_rep='–')}")
        for method in ("rfm", "rfm_cv") if measure != "accuracy" else ():
            for other in ("rfm_uncalibrated", "svm", "logistic"):
                if {method, other} <= set(order):
                    larger = losing(-values, method, other)
                    words = "".join(f", {name} +{apart:.3f}" for name, apart in larger.items())
                    behind.append(
                        f"{measure} of {method} above that of {other} on {len(larger)} of {len(values)}{words}"
                    )
    return said + behind


ANALYSIS = Analysis(cells, rows, findings)
