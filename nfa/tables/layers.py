"""A column of every layer beside its null and its interval, for several networks and several runs of each."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from nfa.audits.audit import LayerAudit
from nfa.common.shown import writable
from nfa.tables.drawn import Drawn, drawn, missing, null_of
from nfa.tables.networks import Network, Run

COLUMNS = (
    *("network", "run", "layer", "number", "series", "column", "role", "value", "low", "high"),
    *("null", "null_kind", "trivial"),
)


def layer_table(networks: Sequence[Network], column: str = "cosine", null: str | None = "rotated") -> pd.DataFrame:
    """Return a column of every layer and run, and the column of the NFM against init's if it is drawn beside it.

    Columns: network, run, layer (name), number (in forward order), series (what is compared, in words), column, role
    (of its colour), value, low and high (interval over samples, NaN without one), null (NaN without one) and its kind,
    trivial (whether the gradient is the same for every row).

    Args:
        networks: From `nfa.tables.networks.networks`.
        column: A column of numbers.
        null: "rotated" or "untrained", for columns that have a null of the kind; None for none.

    Raises:
        InputError: an unknown column or null.
    """
    look = drawn(column)
    rows = [
        row
        for network in networks
        for run in network.runs
        for layer in run.audit
        for each in ((column,) if not look.beside else (look.beside, column))
        if (row := _row(network, run, layer, each, null, drawn(each))) is not None
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table[(table["column"] == column) | table["value"].notna()].reset_index(drop=True)


def known_layer_table(networks: Sequence[Network], column: str, null: str | None) -> pd.DataFrame:
    """Return the same table, after checking that every run has the column at some layer, and some run the null.

    Raises:
        InputError: as `layer_table`; an audit does not have the column, or none has the null.
    """
    table = layer_table(networks, column, null)
    own = table[table["column"] == column]
    known = own.dropna(subset="value")
    for network in networks:
        for run in network.runs:
            if not ((known["network"] == network.name) & (known["run"] == run.name)).any():
                raise missing(column, run.name or network.name)
    null_column = null_of(column, null)[1]
    if null_column and own["null"].isna().all():
        raise missing(null_column, "every audit")
    return table


def _row(
    network: Network, run: Run, layer: LayerAudit, column: str, null: str | None, look: Drawn
) -> dict[str, Any] | None:
    if column not in layer.row:
        return None
    kind, null_column = null_of(column, null)
    return {
        "network": network.name,
        "run": run.name,
        "layer": writable(layer["name"]),
        "number": layer["layer"],
        "series": look.label,
        "column": column,
        "role": look.role,
        "value": float(layer[column]),
        "low": layer.row.get(look.low, math.nan),
        "high": layer.row.get(look.high, math.nan),
        "null": layer.row.get(null_column, math.nan),
        "null_kind": kind,
        "trivial": layer["trivial"],
    }
