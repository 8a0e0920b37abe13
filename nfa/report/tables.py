"""The tidy tables behind a report's figures, from an audit's rows and matrices."""

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfa.audits.audit import Audit, LayerAudit
from nfa.features.factored import FactoredMatrix
from nfa.features.powers import ALPHAS, PowerScan
from nfa.features.weight import CUTOFF

SERIES: dict[str, tuple[str, str, dict[str, str]]] = {
    "cosine": ("AGOP", "agop", {"untrained": "untrained_cosine", "rotated": "rotated_cosine"}),
    "cosine_centered": ("centered AGOP", "centered", {}),
    "cosine_sqrt": ("square root of AGOP", "nfm", {"untrained": "untrained_cosine_sqrt"}),
    "init_cosine": ("NFM before training", "init", {"chance": "init_cosine_null"}),
}
"""The similarities of NFM that are drawn: what each is with, its colour, and the columns of its nulls."""

POINTS = 80
"""Eigenvalues of a spectrum that are drawn, spread evenly over the logarithm of their rank."""

MOST_FEATURES = 12
"""A bar chart shows no more features than this."""


def similarity_table(audit: Audit) -> pd.DataFrame:
    """Return the similarities of each layer's NFM beside their nulls, as `nfa.plots.similarities` takes them."""
    rows = []
    for layer in audit:
        for column, (series, role, nulls) in SERIES.items():
            interval = (layer["ci_low"], layer["ci_high"]) if column == "cosine" else (math.nan, math.nan)
            rows.append(
                {
                    "layer": layer["name"],
                    "series": series,
                    "role": role,
                    "value": layer[column],
                    "low": interval[0],
                    "high": interval[1],
                    **{
                        null: layer[nulls[null]] if null in nulls else math.nan
                        for null in ("untrained", "rotated", "chance")
                    },
                }
            )
    table = pd.DataFrame(rows)
    known = table.groupby("series")["value"].transform(lambda values: values.notna().any())
    return table[known | (table["series"] == "AGOP")].reset_index(drop=True)


def scan_table(layers: Iterable[LayerAudit]) -> pd.DataFrame:
    """Return the cosine of NFM and AGOP^alpha for each layer over the grid of `alpha_best`."""
    rows = []
    for layer in layers:
        scan = PowerScan(layer.nfm, layer.agop)
        rows += [{"layer": layer["name"], "alpha": alpha, "cosine": scan.cosine(alpha)} for alpha in ALPHAS]
    return pd.DataFrame(rows)


def untrained_table(audit: Audit) -> pd.DataFrame:
    """Return what the audit knows of the same scan before training: alpha 1/2 and 1."""
    columns = {0.5: "untrained_cosine_sqrt", 1.0: "untrained_cosine"}
    rows = [
        {"layer": layer["name"], "alpha": alpha, "cosine": layer[column]}
        for layer in audit
        for alpha, column in columns.items()
    ]
    return pd.DataFrame(rows).dropna()


def spectrum_table(layers: Iterable[LayerAudit], matrix: str) -> pd.DataFrame:
    """Return eigenvalues of "NFM" or "AGOP" as shares of the largest, down to where they count as 0."""
    rows = []
    for layer in layers:
        # The scan has the AGOP's eigenvectors; of the NFM the values alone are much cheaper.
        values = layer.agop.eigen[0] if matrix == "AGOP" else torch.linalg.eigvalsh(layer.nfm.core).flip(0)
        values = values[values > CUTOFF * values[:1]]
        if len(values):
            drawn = np.unique(np.geomspace(1, len(values), POINTS).round().astype(int))
            rows += [{"layer": layer["name"], "index": i, "share": float(values[i - 1] / values[0])} for i in drawn]
    return pd.DataFrame(rows, columns=["layer", "index", "share"])


def share_of_trace(matrix: FactoredMatrix) -> NDArray[np.float64]:
    """Return the diagonal as shares of the trace, shape (d,); all 0 for the zero matrix."""
    diagonal = matrix.diagonal().clamp(min=0)
    return (diagonal / (diagonal.sum() or 1.0)).numpy()


def top_eigenvectors(matrix: FactoredMatrix, r: int) -> list[tuple[float, NDArray[np.float64]]]:
    """Return up to r eigenvectors, shape (d,), each with its share of the trace; their largest entry is positive."""
    values, vectors = matrix.top(r)
    trace = matrix.trace()
    return [(float(value) / trace, _largest_positive(vector)) for value, vector in zip(values, vectors.T, strict=True)]


def _largest_positive(vector: Tensor) -> NDArray[np.float64]:
    largest = vector[vector.abs().argmax()]
    return (vector * largest.sign()).numpy()


def diagonal_table(layer: LayerAudit, names: list[str]) -> pd.DataFrame:
    """Return the features with the largest share of AGOP's diagonal: their shares of NFM, AGOP and init's NFM."""
    series: dict[str, tuple[str, NDArray[np.float64]]] = {
        "NFM": ("nfm", share_of_trace(layer.nfm)),
        "AGOP": ("agop", share_of_trace(layer.agop)),
    }
    if layer.init_nfm is not None:
        series["NFM before training"] = ("init", share_of_trace(layer.init_nfm))
    return _feature_table(series, series["AGOP"][1] + 1e-9 * series["NFM"][1], names)


def eigenvector_table(layer: LayerAudit, names: list[str]) -> pd.DataFrame:
    """Return the features with the largest entries in the first eigenvectors of NFM and AGOP, turned the same way."""
    series: dict[str, tuple[str, NDArray[np.float64]]] = {}
    for label, role, matrix in (("NFM", "nfm", layer.nfm), ("AGOP", "agop", layer.agop)):
        for share, vector in top_eigenvectors(matrix, 1):
            series[f"{label} ({100 * share:.0f} % of its trace)"] = (role, vector)
    first, *rest = (vector for _, vector in series.values())
    for vector in rest:
        vector *= 1.0 if first @ vector >= 0 else -1.0
    return _feature_table(series, np.abs(np.stack([first, *rest])).max(0), names)


def _feature_table(
    series: dict[str, tuple[str, NDArray[np.float64]]], order: NDArray[Any], names: list[str]
) -> pd.DataFrame:
    chosen = np.argsort(-order, kind="stable")[:MOST_FEATURES]
    # Columns of one name are told apart by their numbers, and half of a surrogate pair is no letter for a table.
    written = [name.encode("utf-8", "replace").decode() for name in names]
    times = Counter(written)
    written = [f"{name} ({i})" if times[name] > 1 else name for i, name in enumerate(written)]
    rows = [
        {"feature": written[i], "series": label, "role": role, "value": float(values[i])}
        for label, (role, values) in series.items()
        for i in chosen
    ]
    return pd.DataFrame(rows)
