"""The table of layerwise machines in plain words."""

import math

import pandas as pd

from nfa.network.margins import ERRORS, binomial_error
from nfa.network.scoring import ORDER_DOUBTED

NAMES = {
    "nfm": "the NFM",
    "agop": "the AGOP",
    "agop_centered": "the centered AGOP",
    "init_nfm": "the untrained NFM",
    "random": "random features",
    "identity": "the identity",
}
"""Features by their names in a sentence."""


def standard_error(error: float, n: int, metric: str) -> float:
    """Return the standard error of an error on n rows: binomial, or that of a mean square of Gaussian residuals."""
    return binomial_error(error, n) if metric == "error rate" else error * math.sqrt(2 / n)


def updates_to_reach(table: pd.DataFrame, features: str, error: float) -> int | None:
    """Return the fewest updates after which machines from some features err no more than `error`; None if never.

    Args:
        table: One layer's rows.
        features: What the machines started from.
        error: The error to reach.
    """
    reached = table[(table["features"] == features) & (table["error"] <= error)]["n_iters"]
    return None if reached.empty else int(reached.min())


def sentences(table: pd.DataFrame, features: str, ordered: bool = False) -> list[str]:
    """Return a sentence for each layer: whether its features are good enough, and what starting from them saves.

    Features are good enough if the machine's error is within a standard error of the network's own; a network that errs
    clearly more often than a constant answer is no measure. The saving is the number of updates that a machine from the
    identity needs to come within a standard error of the machine that starts from the features.

    Args:
        table: Of `LayerwiseRFM.score_frame`.
        features: The features in question.
        ordered: Whether the labels are known to be in the order of the network's outputs.
    """
    return [_about(part, features, ordered) for _, part in table.groupby("layer", sort=True)]


def _about(part: pd.DataFrame, features: str, ordered: bool) -> str:
    seeded = part[part["features"] == features].sort_values("n_iters")
    first, start = seeded.iloc[0], NAMES[features]
    name = f"Layer {first['name']} ({first['d_in']} inputs)"
    if math.isnan(first["error"]):
        return f"{name}: no machine from {start} ({first['note']})."
    kind, n = first["metric"], int(first["n"])
    says = f"a kernel machine on its inputs, started from {start}, has {_as(first['error'], kind)} without updates"
    own, constant = first["network_error"], first["constant_error"]
    if math.isnan(own):
        compared = "the network's own error is not known"
    elif kind == "error rate" and own > constant + ERRORS * standard_error(constant, n, kind):
        compared = (
            f"the network has {_as(own, kind)}, more than a constant answer ({_as(constant, kind)}), so it is no "
            f"measure of these features{'' if ordered else ': ' + ORDER_DOUBTED}"
        )
    else:
        near = first["error"] - own <= standard_error(own, n, kind)
        verdict = "good enough for a kernel machine" if near else "not yet good enough for a kernel machine"
        compared = f"the network has {_as(own, kind)}, so these features are {verdict}"
    if features == "identity":
        return f"{name}: {says}; {compared}."
    most = int(part["n_iters"].max())
    needed = updates_to_reach(part, "identity", first["error"] + standard_error(first["error"], n, kind))
    if needed is None:
        saved = f"from the identity {_updates(most)} do not get there" if most > 1 else "the identity does worse"
    elif needed == 0:
        plain = float(part[(part["features"] == "identity") & (part["n_iters"] == 0)]["error"].iloc[0])
        better = plain < first["error"] - standard_error(first["error"], n, kind)
        how = "better" if better else "as well"
        saved = f"the identity does {how} ({_as(plain, kind)}), so starting from the network saves nothing"
    else:
        saved = f"from the identity it takes {_updates(needed)}, which starting from the network saves"
    return f"{name}: {says}; {saved}; {compared}."


def _updates(number: int) -> str:
    return f"{number} update" if number == 1 else f"{number} updates"


def _as(error: float, metric: str) -> str:
    return f"{100 * error:.1f} % errors" if metric == "error rate" else f"1 - R^2 = {error:.3f}"
