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
        found += [f"{task}: {sentence}" for sentence in _updates(rows[rows["optimizer"].isna()])]
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
        found += [f"{name}: {sentence}" for sentence in [*_after(rows), *_verdict(rows)]]
    return found


def after_updates(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the cosines of a network's matrices (`b`) and M after `index` updates, a row each."""
    return rows[rows["quantity"] == "cosine_after"]


def _after(rows: pd.DataFrame) -> list[str]:
    found = after_updates(rows)
    parts = []
    for (first, second), words in PAIRS.items():
        by_updates = found[(found["a"] == first) & (found["b"] == second)].groupby("index")["value"]
        if len(by_updates):
            listed = ", ".join(f"{updates:.0f}: {spread(values)}" for updates, values in by_updates)
            parts.append(f"{words} {listed}")
    return [f"cosine by updates of M: {'; '.join(parts)}."] if parts else []


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


def over_updates(table: pd.DataFrame) -> pd.DataFrame:
    """Return test errors of RFMs looked at over their updates, of one task: seed by number of updates."""
    rows = table[table["optimizer"].isna() & (table["quantity"] == "error")]
    return rows.pivot_table(index="seed", columns="index", values="value")


def _updates(rows: pd.DataFrame) -> list[str]:
    path = over_updates(rows)
    if path.empty:
        return ["missing: the RFM over its updates (the cells without an optimizer)."]
    listed = ", ".join(f"{updates:.0f}: {spread(path[updates])}" for updates in path)
    found = [f"test error by updates of M ({len(path)} seeds): {listed}."]
    first, last = path.iloc[:, 0], path.iloc[:, -1]
    for worse, better, word in ((last, first, "higher"), (first, last, "lower")):
        if (worse > better).all():
            found.append(f"in every seed the test error is {word} after the last update than without any.")
    alike = rows[rows["b"] == "last"].groupby("index")["value"]
    listed = ", ".join(f"{updates:.0f}: {spread(values)}" for updates, values in alike)
    return [*found, f"cosine of M and the last M by updates: {listed}."]
