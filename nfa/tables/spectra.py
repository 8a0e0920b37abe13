"""Eigenvalues of NFM and AGOP, and the similarity of the NFM to every power of the AGOP."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from nfa.audits.audit import LayerAudit
from nfa.common.errors import InputError
from nfa.common.shown import writable
from nfa.features.powers import ALPHA_GRID, SCAN_DRAWS, PowerScan, rotated_scan
from nfa.features.weight import CUTOFF
from nfa.tables.networks import Network, layer_of

POINTS = 80
"""At most this many eigenvalues of a spectrum are drawn, spread evenly over the logarithm of their rank."""


def spectrum_table(networks: Sequence[Network], layer: str | int) -> pd.DataFrame:
    """Return the eigenvalues of a layer's NFM and AGOP as shares of the largest, down to where they count as 0.

    Columns: network, run, layer, matrix ("NFM" or "AGOP"), index (from 1), share, effective_rank (trace^2 / norm^2).

    Args:
        networks: From `nfa.tables.networks.networks`.
        layer: Name or number.

    Raises:
        InputError: an audit does not have the layer.
    """
    rows: list[dict[str, Any]] = []
    for network in networks:
        for run in network.runs:
            found = layer_of(run.audit, layer)
            for matrix, each in (("NFM", found.nfm), ("AGOP", found.agop)):
                # The scan has the AGOP's eigenvectors. For the NFM, values alone are much cheaper.
                values = each.eigen[0] if matrix == "AGOP" else torch.linalg.eigvalsh(each.core).flip(0)
                values = values[values > CUTOFF * values[:1].clamp(min=0)]
                if not len(values):
                    continue
                drawn = np.unique(np.geomspace(1, len(values), POINTS).round().astype(int))
                known = {"network": network.name, "run": run.name, "layer": writable(found["name"]), "matrix": matrix}
                rank = each.effective_rank()
                shares = [float(values[i - 1] / values[0]) for i in drawn]
                rows += [
                    known | {"index": int(i), "share": share, "effective_rank": rank}
                    for i, share in zip(drawn, shares, strict=True)
                ]
    return pd.DataFrame(rows, columns=["network", "run", "layer", "matrix", "index", "share", "effective_rank"])


def power_table(networks: Sequence[Network], layer: str | int | None = None, draws: int = SCAN_DRAWS) -> pd.DataFrame:
    """Return the cosine of NFM and AGOP^alpha for each layer over the grid of `alpha_best`, and its null.

    Columns: network, run, layer, alpha, cosine, null (S turned at random, mean of a few draws).

    Args:
        networks: One network, from `nfa.tables.networks.networks`.
        layer: Name or number; all layers whose gradient is not the same for every row by default.
        draws: Of the null; 0 for none.

    Raises:
        InputError: several networks, or a layer that is not there.
    """
    if len(networks) > 1:
        names = ", ".join(network.name for network in networks)
        raise InputError("audits", f"got {len(networks)} networks ({names}), expected one, or runs of one")
    rows = []
    for run in networks[0].runs:
        chosen = _telling(list(run.audit)) if layer is None else [layer_of(run.audit, layer)]
        for found in chosen:
            scan = PowerScan(found.nfm, found.agop)
            nulls = rotated_scan(found.nfm, found.agop, ALPHA_GRID, draws)
            rows += [
                {
                    "network": networks[0].name,
                    "run": run.name,
                    "layer": writable(found["name"]),
                    "alpha": alpha,
                    "cosine": scan.cosine(alpha),
                    "null": null,
                }
                for alpha, null in zip(ALPHA_GRID, nulls, strict=True)
            ]
    return pd.DataFrame(rows, columns=["network", "run", "layer", "alpha", "cosine", "null"])


def _telling(layers: list[LayerAudit]) -> list[LayerAudit]:
    """Return the layers whose gradient differs between rows; all layers if there are none."""
    return [layer for layer in layers if not layer["trivial"]] or layers
