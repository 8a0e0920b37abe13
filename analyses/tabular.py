"""How good are recursive feature machines on tabular data? Accuracy of several methods on UCI sets.

Claim (abstract; section "RFMs on tabular data"): recursive feature machines outperform the other models on tabular
data. Refuted where tuned rivals have the better mean accuracy or rank under a protocol that keeps test rows out of all
choices.

Data: `--folder` holds the UCI sets (see `nfa.data.uci`); without it `../shared/data/uci` where that is, else three sets
that come with scikit-learn. Their results are a table of their own, `tabular_bundled.csv`: they are divided in another
way, also where a name (`iris`) is the same. Sets of more than 5,000 rows are left out, and `trains` (10 rows: the
authors' protocol has no valid choice there). Every method is fitted on the training rows of a fold and scored on its
test rows; whatever it chooses, it chooses on the training rows (but for `rfm_authors`, see `analyses.tabular_rfm`). One
row of the table is one data set, fold and method: `n, d, classes, accuracy, chosen` (JSON).

The findings have these numbers for each method. A data set's accuracy is the mean over its four folds, and only data
sets for which all methods have all four count. Of `rfm_authors` there is the mean alone: test rows have chosen for it,
so that no other method is compared with it, and "any method" below is any other.

- mean: mean accuracy over the data sets.
- P90, P95: on how many of the data sets, in percent, the method's accuracy is at least 90 % or 95 % of the best
  accuracy of any method.
- PMA, percentage of the maximum accuracy: the mean over data sets of the accuracy divided by the best of any method.
- rank, Friedman's: the mean over data sets of the method's rank, 1 for the best, ties averaged. Lower is better.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from analyses.analysis import Analysis, Cell, Options, Row
from analyses.tabular_rfm import run_authors, run_cv, run_inside_fold
from analyses.tabular_rivals import RIVALS
from analyses.tabular_summary import findings
from nfa.common.checks import one_of
from nfa.data.uci import FOLDS, UciSet, read_uci, uci_names

FOLDER, MAX_ROWS, SEED = Path("../shared/data/uci"), 5000, 0
LEFT_OUT = ("trains",)
BUNDLED = ("iris", "wine", "breast_cancer")
"""Sets of scikit-learn's, for machines without a folder."""

Method = Callable[[UciSet, int, int], dict[str, Any]]
"""(data set, fold, seed) -> `accuracy` on the fold's test rows, and whatever was chosen on the way."""


def run_rival(name: str, data: UciSet, fold: int, seed: int) -> dict[str, Any]:
    """Tune and fit one of `RIVALS` on a fold's training rows, and score it on its test rows."""
    train, test = data.folds[fold]
    estimator = RIVALS[name](seed).fit(data.X[train], data.y[train])
    # `svc__C` and the like: the step of the pipeline says nothing that the method's name does not.
    chosen = {key.rpartition("__")[2]: value for key, value in estimator.best_params_.items()}
    return {"accuracy": estimator.score(data.X[test], data.y[test]), **chosen}


METHODS: dict[str, Method] = {
    "rfm_authors": run_authors,
    "rfm_inside_fold": run_inside_fold,
    "rfm_cv": run_cv,
    **{name: partial(run_rival, name) for name in RIVALS},
}
QUICK = ("rfm_authors", "rfm_inside_fold", "rfm_cv", "svm")
"""Methods of a quick run, on the smallest bundled set."""


def folder_of(options: Options) -> Path | None:
    """Return the folder of the data sets; None for the bundled ones."""
    if options.folder is not None:
        return options.folder
    return FOLDER if FOLDER.is_dir() and not options.quick else None


def variant(options: Options) -> str:
    """Return what the table of results is called besides: the bundled sets are no UCI sets."""
    return "_bundled" if folder_of(options) is None and not options.quick else ""


def names_of(folder: Path | None) -> list[str]:
    """Return the names of all data sets."""
    return list(BUNDLED) if folder is None else [name for name in uci_names(folder) if name not in LEFT_OUT]


def read(folder: Path | None, name: str) -> UciSet:
    """Read a data set; the bundled ones are standardised and divided as the UCI sets are."""
    return bundled(name) if folder is None else read_uci(folder, name)


def bundled(name: str) -> UciSet:
    """Return a set of scikit-learn's: columns standardised, half the rows to tune on, three quarters to train on."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    rows = np.arange(len(y))

    def divided(share: float, seed: int) -> tuple[Any, Any]:
        train, test = train_test_split(rows, test_size=share, stratify=y, random_state=seed)
        return np.sort(train), np.sort(test)

    folds = tuple(divided(0.25, fold) for fold in range(FOLDS))
    return UciSet(name, StandardScaler().fit_transform(X), y.astype(np.int64), *divided(0.5, FOLDS), folds)


def cells(options: Options) -> list[Cell]:
    """All methods on all folds, the cheapest data sets first."""
    folder = folder_of(options)
    known = names_of(folder)
    sets = [one_of("dataset", name, known) for name in options.datasets or known]
    methods = list(METHODS)
    if options.quick:
        sets, methods = list(options.datasets or ["iris"]), list(QUICK)
    costs = {}
    for name in sets:
        data = read(folder, name)
        n, d = data.X.shape
        if n <= MAX_ROWS:
            costs[name] = n * d * data.n_classes
    ordered = sorted(costs, key=lambda name: (costs[name], name))
    return [
        {"dataset": name, "fold": fold, "method": method, "seed": SEED}
        for name in ordered
        for method in methods
        for fold in range(FOLDS)
    ]


def rows(cell: Cell, options: Options) -> list[Row]:
    """Fit and score one method on one fold."""
    data = read(folder_of(options), cell["dataset"])
    found = METHODS[cell["method"]](data, cell["fold"], cell["seed"])
    n, d = data.X.shape
    accuracy = found.pop("accuracy")
    return [{"n": n, "d": d, "classes": data.n_classes, "accuracy": accuracy, "chosen": json.dumps(found)}]


ANALYSIS = Analysis(cells, rows, findings, variant)
