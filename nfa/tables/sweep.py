"""A column of every layer over a setting of the networks: width, depth, or a setting in their names."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from nfa.audits.audit import Audit
from nfa.common.errors import InputError
from nfa.common.numerals import NUMBER
from nfa.common.shown import writable
from nfa.tables.layers import known_layer_table
from nfa.tables.networks import Network, Run

_SETTING = re.compile(r"([^\s,/=]+)=([^\s,/=]+)")
"""A setting in a name, as in "lr=0.1"."""

SIZES: dict[str, Callable[[Audit], int]] = {
    "width": lambda audit: max(layer["d_out"] for layer in (*audit.layers[:-1], audit.layers[0])),
    "depth": lambda audit: len(audit) - 1,
    "rows": lambda audit: audit.about.n_samples,
    "outputs": lambda audit: audit.about.n_outputs,
}
"""The settings that need no name: units of the widest hidden layer, hidden layers, samples, outputs."""


def sweep_table(
    networks: Sequence[Network], x: str, column: str = "cosine", null: str | None = "rotated"
) -> pd.DataFrame:
    """Return a column of every layer and run over a setting: the columns of `layer_table`, and `x`.

    Layers whose gradient is the same for every row are left out if there are others: their number in forward order
    depends on the depth, and their similarities mean nothing.

    Args:
        networks: From `nfa.tables.networks.networks`.
        x: A key of `SIZES`; a setting in the names, such as "lr" in "lr=0.1, seed=3"; or a column of the audits.
        column: The column on the other axis.
        null: As for `layer_table`.

    Raises:
        InputError: an audit does not have x, or the column.
    """
    table = known_layer_table(networks, column, null)
    table = table[table["column"] == column]
    varying = table[~table["trivial"].astype(bool)]
    table = varying if len(varying) else table
    values = {
        (network.name, run.name, writable(layer["name"])): _value(x, network, run, layer.row, networks)
        for network in networks
        for run in network.runs
        for layer in run.audit
    }
    keys = zip(table["network"], table["run"], table["layer"], strict=True)
    return table.assign(x=[values[key] for key in keys]).reset_index(drop=True)


def _value(x: str, network: Network, run: Run, row: dict[str, Any], networks: Sequence[Network]) -> Any:
    if x in SIZES:
        return SIZES[x](run.audit)
    settings = _settings(network, run)
    if x in settings:
        return settings[x]
    if isinstance(row.get(x), (int, float)):
        return row[x]
    everyone = {name for each in networks for one in each.runs for name in _settings(each, one)}
    known = ", ".join([*SIZES, *sorted(everyone), "a column of the table"])
    whose = f"{run.name} has no {x!r}" if x in everyone else f"no audit has {x!r}"
    raise InputError("x", f"{whose} (known: {known}); names such as '{x}=0.1' give a setting of one's own")


def _settings(network: Network, run: Run) -> dict[str, float | str]:
    """Return the settings in a run's names."""
    return {key: _number(value) for key, value in _SETTING.findall(f"{network.name}, {run.name}")}


def _number(text: str) -> float | str:
    return float(text) if NUMBER.fullmatch(text) else text
