"""What the table of `analyses.tabular` says of each method; the numbers are defined there."""

import pandas as pd
from scipy.stats import rankdata

from nfa.data.uci import FOLDS

LEAKING = ("rfm_authors",)
"""Methods for which test rows have chosen: they have a mean, and nobody is compared with them."""


def mean_accuracies(table: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy over folds, data set by method, of the data sets for which all methods have every fold."""
    groups = table.groupby(["dataset", "method"])["accuracy"]
    return groups.mean()[groups.count() == FOLDS].unstack("method").reindex(columns=table["method"].unique()).dropna()


def best_of(accuracies: pd.DataFrame) -> pd.Series:
    """Return the best accuracy on each data set, of the methods that keep test rows out."""
    return _kept_honest(accuracies).max(axis=1)


def _kept_honest(accuracies: pd.DataFrame) -> pd.DataFrame:
    return accuracies.drop(columns=list(LEAKING), errors="ignore")


def summary(accuracies: pd.DataFrame) -> pd.DataFrame:
    """Summarise accuracies (data set by method); one row per method, best first by rank. All but rank are percentages.

    Of `LEAKING` methods there is the mean alone.

    >>> found = summary(pd.DataFrame({"a": [1.0, 0.5], "b": [0.92, 0.5]}))
    >>> found.loc["b"].round(2).to_dict()
    {'mean': 71.0, 'P90': 100.0, 'P95': 50.0, 'PMA': 96.0, 'rank': 1.75}
    """
    honest = _kept_honest(accuracies)
    share = honest.div(best_of(accuracies), axis=0)
    # Where no method is ever right, all of them reach the best.
    share = share.fillna(1.0)
    # Accuracies are means of four fractions: what is equal may differ in the last digit.
    ranks = pd.DataFrame(rankdata(-honest.round(9), axis=1), honest.index, honest.columns)
    found = pd.DataFrame(
        {
            "mean": 100 * accuracies.mean(),
            "P90": 100 * (share >= 0.90 - 1e-9).mean(),
            "P95": 100 * (share >= 0.95 - 1e-9).mean(),
            "PMA": 100 * share.mean(),
            "rank": ranks.mean(),
        }
    )
    return found.rename_axis("method").sort_values(["rank", "mean"], ascending=[True, False])


def findings(table: pd.DataFrame) -> list[str]:
    """Return the summary, and how many data sets it is of."""
    accuracies = mean_accuracies(table)
    methods, sets = table["method"].nunique(), table["dataset"].nunique()
    count = f"{len(accuracies)} of {sets} data sets count: all {FOLDS} folds of {methods} methods are there."
    if accuracies.empty:
        return [count]
    found = summary(accuracies)
    said = [found.to_string(float_format="{:.2f}".format, na_rep="–"), count]
    if leaking := [name for name in LEAKING if name in found.index]:
        said.append(f"{', '.join(leaking)} leaks: test rows have chosen for it. The others are compared without it.")
    return said
