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
    for (task, optimizer), rows in table.groupby(["task", "optimizer"], sort=False):
        name, seeds = f"{task}, {optimizer}", rows["seed"].nunique()
        listed = ", ".join(f"{method} {spread(values)}" for method, values in errors(rows).items())
        found.append(f"{name}: test error ({seeds} seeds): {listed}.")
        chance = pair(rows, "overlap", "rfm", "chance").mean()
        overlap = f"overlap of leading eigenvectors (by chance {chance:.2g})"
        for quantity, what in (("cosine", "cosine"), ("correlation", "correlation of diagonals"), ("overlap", overlap)):
            values = {words: pair(rows, quantity, *names) for names, words in PAIRS.items()}
            listed = ", ".join(f"{words} {spread(part)}" for words, part in values.items() if len(part))
            if listed:
                found.append(f"{name}: {what}: {listed}.")
        found += [f"{name}: {sentence}" for sentence in _verdict(rows)]
    return found


def _verdict(rows: pd.DataFrame) -> list[str]:
    claim = pair(rows, "cosine", "rfm", "nfm")
    nulls = [pair(rows, "cosine", "rfm", name) for name in ("init", "covariance")]
    if claim.empty or any(null.empty for null in nulls):
        return []
    above = all(claim.min() > null.max() for null in nulls)
    return [
        "in every seed M is more like the NFM than like untrained weights and the covariance of x."
        if above
        else "M is not in every seed more like the NFM than like untrained weights and the covariance of x."
    ]
