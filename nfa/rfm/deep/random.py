"""A network's feature matrices in random features: the deep machine that starts from them."""

from typing import Any

import pandas as pd
from torch import Tensor

from nfa.audits.audit import Audit
from nfa.common.checks import number
from nfa.common.errors import InputError
from nfa.probe import activations
from nfa.rfm.deep.base import DeepRFM
from nfa.rfm.deep.classifier import DeepRFMClassifier
from nfa.rfm.deep.network import Source, single_rows
from nfa.rfm.deep.regressor import DeepRFMRegressor
from nfa.rfm.deep.transport import carried

TRANSPORTS = ("polar", "random")
"""How a network's matrices come to be used: on its own directions, or in random features."""


def random_rfm(
    source: Source,
    X: Any,
    y: Any,
    features: str,
    power: float,
    audit: Audit | None,
    ridge: float,
    parameters: dict[str, Any],
) -> DeepRFM:
    """Return a deep machine seeded in the coordinates of its random features; see `DeepRFM.from_network`."""
    number("transport_ridge", ridge)
    with source.probe(X) as probe:
        source.check_chain(probe)
        seeds = source.matrices(probe, features, power, audit)
        targets, said = source.targets(y, probe.n_outputs)
        rows = activations(probe, source.names).rows
    if parameters["width"] is None:
        parameters |= {"width": [layer.weight.shape[1] for layer in source.layers[1:]]}
    kind = DeepRFMClassifier if targets.are_classes else DeepRFMRegressor
    model = kind(depth=len(source.layers), **parameters)
    shares: list[dict[str, Any]] = []
    matrices: list[Tensor] = []

    def first(place: int, x: Tensor) -> Tensor:
        name = source.names[place]
        TR, share = carried(seeds[name].factor, single_rows(rows[name], name), x, ridge)
        if not bool(TR.any()):
            raise InputError("net", f"layer {name} sees the same for every sample (a dead layer); no M can be carried")
        shares.append({"layer": place, "name": name, "share": share})
        matrices.append(TR @ TR.T)
        return matrices[-1]

    training = model._training(X, targets.values, None)
    model._stack(training.rows, model._targets(training.targets, learn=True), None, first)
    model.M_init = [M.cpu() for M in matrices]
    model.carried_, model.notes_ = pd.DataFrame(shares), [*source.model.notes, *said, *source.unusual(rows)]
    return model
