"""What the table of `analyses.low_rank` says of each target."""

import pandas as pd

from analyses.spread import spread

LEARNED = 0.1
"""A target is learned where the mean test error over seeds is below this share of its variance."""


def findings(table: pd.DataFrame) -> list[str]:
    """Say who errs how much at most rows, from how many rows a target is learned, and whose directions are right."""
    found = []
    for target, rows in table.groupby("target", sort=False):
        most = rows[rows["n"] == rows["n"].max()]
        n, seeds = int(most["n"].iloc[0]), most["seed"].nunique()
        errors = {method: part["test_error"] for method, part in most.groupby("method", sort=False)}
        listed = ", ".join(f"{method} {spread(values)}" for method, values in errors.items())
        found.append(f"{target}: test error at n = {n:,} ({seeds} seeds): {listed}.")
        if {"rfm", "kernel"} <= errors.keys():
            ratio = errors["rfm"].mean() / errors["kernel"].mean()
            verdict = f"divide the kernel's error by {1 / ratio:.1f}" if ratio < 1 else f"multiply it by {ratio:.2f}"
            found.append(f"{target}: the updates of M {verdict}.")
        found.append(f"{target}: learned (test error below {LEARNED}) {_from(rows)}.")
        for column, what in (("overlap", "AGOP"), ("overlap_nfm", "NFM")):
            for method, part in most.dropna(subset=column).groupby("method", sort=False):
                null = part["overlap_null"].mean()
                found.append(
                    f"{target}, {method}: the leading eigenvectors of the {what} hold {spread(part[column])} of the "
                    f"directions (random ones {null:.2f})."
                )
    return found


def _from(rows: pd.DataFrame) -> str:
    means = rows.groupby(["method", "n"])["test_error"].mean()
    said = []
    for method in rows["method"].unique():
        enough = [n for n, error in means[method].items() if error < LEARNED]
        said.append(f"by {method} from n = {min(enough):,}" if enough else f"not by {method}")
    return ", ".join(said)
