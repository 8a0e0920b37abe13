"""Several runs of one network: means and deviations over runs beside intervals over rows, and counts of verdicts."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from nfa.common.shown import writable
from nfa.tables.drawn import drawn, null_of
from nfa.tables.networks import Network

COLUMNS = (
    *("network", "layer", "runs", "column", "mean", "std", "low", "high", "null"),
    *("mean_runs", "interval_runs", "null_runs", "verdicts"),
)


def run_table(networks: Sequence[Network], columns: Sequence[str]) -> pd.DataFrame:
    """Return a row for each layer and column of every network that has several runs.

    Columns: network, layer, runs, column, mean and std (standard deviation, n - 1) over runs, low and high (ends of
    the interval over samples, each the mean over runs), null (the same), and the verdicts in words. A run in which the
    column is undefined counts for none of them; mean_runs, interval_runs and null_runs say over how many runs the mean,
    the interval and the null are.

    Args:
        networks: From `nfa.tables.networks`; those with one run are left out.
        columns: Columns of numbers.
    """
    rows: list[dict[str, Any]] = []
    for network in networks:
        if len(network.runs) < 2:
            continue
        for number, layer in enumerate(network.runs[0].audit.layers):
            of_runs = [run.audit.layers[number].row for run in network.runs]
            for column in columns:
                look, (_, null) = drawn(column), null_of(column, "rotated")
                of_each = _values(of_runs, {"mean": column, "low": look.low, "high": look.high, "null": null})
                of_each = of_each[of_each["mean"].notna()]
                ends = of_each[["low", "high"]].dropna()
                rows.append(
                    {
                        "network": network.name,
                        "layer": writable(layer["name"]),
                        "runs": len(of_runs),
                        "column": column,
                        "mean": of_each["mean"].mean(),
                        "std": of_each["mean"].std(),
                        "low": ends["low"].mean(),
                        "high": ends["high"].mean(),
                        "null": of_each["null"].mean(),
                        "mean_runs": len(of_each),
                        "interval_runs": len(ends),
                        "null_runs": int(of_each["null"].count()),
                        "verdicts": verdicts([row.get("verdict") for row in of_runs]),
                    }
                )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def verdicts(of_runs: Sequence[str | None]) -> str:
    """Return how often each verdict was given, the most frequent first; "" where runs have none.

    >>> verdicts(["learned", "learned", "moved"])
    'learned in 2 of 3 runs, moved in 1'
    """
    counts = Counter(each for each in of_runs if each is not None)
    said = [
        f"{verdict} in {times} of {len(of_runs)} runs" if number == 0 else f"{verdict} in {times}"
        for number, (verdict, times) in enumerate(counts.most_common())
    ]
    return ", ".join(said)


def _values(rows: Sequence[dict[str, Any]], columns: dict[str, str]) -> pd.DataFrame:
    """Return a row for each run: columns by other names, NaN where a run is without one."""
    found = [{name: row.get(column, math.nan) for name, column in columns.items()} for row in rows]
    return pd.DataFrame(found, columns=list(columns), dtype=float)
