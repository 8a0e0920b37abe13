"""What the table of `analyses.rfm_vs_network` says of each task."""

import pandas as pd

from analyses.spread import spread

PAIRS = {
    ("rfm", "nfm"): "M and NFM",
    ("rfm", "agop"): "M and AGOP",
    ("nfm", "agop"): "NFM and AGOP",
    ("rfm", "init"): "M and untrained NFM",
    ("rfm", "covariance"): "M and covariance of x",
    ("nfm", "covariance"): "NFM and covariance of x",
}
"""What is compared, the claim first, then its nulls."""


def pair(table: pd.DataFrame, quantity: str, a: str, b: str) -> pd.Series:
    """Return the values of a similarity over the seeds."""
    rows = table[(table["quantity"] == quantity) & (table["a"] == a) & (table["b"] == b)]
    return rows["value"]


def errors(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Return test errors by method, over the seeds."""
    rows = table[table["quantity"] == "error"]
    return {str(method): part["value"] for method, part in rows.groupby("a", sort=False)}


def findings(table: pd.DataFrame) -> list[str]:
    """Say how alike the matrices are beside their nulls, and who errs how much."""
    found = []
    for task, rows in table.groupby("task", sort=False):
        seeds = rows["seed"].nunique()
        listed = ", ".join(f"{method} {spread(values)}" for method, values in errors(rows).items())
        found.append(f"{task}: test error ({seeds} seeds): {listed}.")
        for quantity, what in (("cosine", "cosine"), ("correlation", "correlation of diagonals")):
            values = {name: pair(rows, quantity, *names) for names, name in PAIRS.items()}
            listed = ", ".join(f"{name} {spread(part)}" for name, part in values.items() if len(part))
            found.append(f"{task}: {what}: {listed}.")
        chance = pair(rows, "overlap", "rfm", "chance").mean()
        values = {name: pair(rows, "overlap", *names) for names, name in PAIRS.items()}
        listed = ", ".join(f"{name} {spread(part)}" for name, part in values.items() if len(part))
        found.append(f"{task}: overlap of leading eigenvectors (by chance {chance:.2g}): {listed}.")
        found.append(f"{task}: {_verdict(rows)}")
    return found


def _verdict(rows: pd.DataFrame) -> str:
    claim = pair(rows, "cosine", "rfm", "nfm")
    nulls = [pair(rows, "cosine", "rfm", name) for name in ("init", "covariance")]
    above = all(claim.min() > null.max() for null in nulls)
    return f"M is{'' if above else ' not'} more like the NFM than like untrained weights and inputs, in every seed."
