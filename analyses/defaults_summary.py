"""What the table of `analyses.defaults` says of each method; the numbers are defined there."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from analyses.defaults_rivals import METHODS, OPTIONAL, REFERENCES

NAMES = {"regression": "R^2", "classification": "accuracy"}


def by_method(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return means over splits, set by method; methods without a value on some set are left out.

    Sets that some method has not been run on, with all the splits of the others, are left out first.
    """
    groups = table.groupby(["dataset", "method"], sort=False)
    counts = groups.size().unstack("method")
    complete = counts.index[counts.eq(counts.max().max()).all(axis=1)]
    means = groups[column].mean().unstack("method").loc[complete]
    return means.reindex(columns=[name for name in METHODS if name in means]).dropna(axis=1)


def mean_ranks(values: pd.DataFrame, largest_first: bool) -> pd.Series:
    """Return each method's mean rank over sets, of the methods that are no references.

    >>> mean_ranks(pd.DataFrame({"rfm": [0.9, 0.5], "svm": [0.8, 0.5], "constant": [0.0, 0.6]}), True).to_dict()
    {'rfm': 1.25, 'svm': 1.75}
    """
    ranked = values.drop(columns=list(REFERENCES), errors="ignore").round(9)
    ranks = rankdata(-ranked if largest_first else ranked, axis=1)
    return pd.Series(np.mean(ranks, axis=0), ranked.columns)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Summarise the rows of one task; one row per method, best first by rank, then the references."""
    scores, losses = by_method(table, "score"), by_method(table, "log_loss")
    found = pd.DataFrame({"rank": mean_ranks(scores, True)}, index=scores.columns)
    if not losses.empty:
        found["rank by log loss"] = mean_ranks(losses, False)
        found["log loss"] = losses.mean()
    found["mean"], found["worst"] = scores.mean(), scores.min()
    found["seconds"] = by_method(table, "fit_seconds").mean()
    return found.rename_axis("method").sort_values(["rank", "mean"], ascending=[True, False], na_position="last")


def losing(values: pd.DataFrame, method: str, other: str, margin: float = 1e-9) -> pd.Series:
    """Return by how much a method's values are below another's, on the sets where it is more than a margin."""
    behind = values[other] - values[method]
    return behind[behind > margin].sort_values(ascending=False)


def findings(table: pd.DataFrame) -> list[str]:
    """Say how methods rank for numbers and for classes, and where RFMs are behind."""
    said = [line for task, rows in table.groupby("task", sort=False) for line in _of_task(str(task), rows)]
    if missing := [name for name in OPTIONAL if name not in set(table["method"])]:
        said.append(f"Not among the methods: {', '.join(missing)} (pip install '.[analyses]' brings them).")
    return said


def _of_task(task: str, table: pd.DataFrame) -> Iterator[str]:
    scores, losses = by_method(table, "score"), by_method(table, "log_loss")
    sets, splits = table["dataset"].nunique(), table["split"].nunique()
    yield f"{task}: {len(scores)} of {sets} sets count, {splits} splits each: all methods are there."
    if scores.empty:
        return
    yield summary(table).to_string(float_format="{:.3f}".format, na_rep="–")
    if "rfm_cv" in scores:
        best = scores.drop(columns=["rfm_cv", *REFERENCES], errors="ignore").max(axis=1)
        yield _list(f"{task}: rfm_cv behind the best rival", losing(scores.assign(best=best), "rfm_cv", "best"))
    for method in scores.columns.intersection(["rfm", "rfm_cv"]):
        if "constant" in scores:
            yield _list(f"{task}: {method} behind a constant by {NAMES[task]}", losing(scores, method, "constant"))
        if {method, "constant"} <= set(losses):
            yield _list(f"{task}: {method} behind a constant by log loss", losing(-losses, method, "constant"))
        if "svm_tuned" in scores:
            points = 100 * (scores[method] - scores["svm_tuned"])
            worst = _list("more than a point behind", losing(scores, method, "svm_tuned", margin=0.01))
            yield f"{task}: {method} less svm_tuned: {points.mean():+.2f} points of {NAMES[task]} on average; {worst}"


def _list(what: str, found: pd.Series) -> str:
    """Return the sets of a series in words.

    >>> _list("behind", pd.Series({"iris": 0.021}))
    'behind on 1: iris 0.021'
    """
    each = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
    return f"{what} on {len(found)}{': ' + each if each else ''}"
