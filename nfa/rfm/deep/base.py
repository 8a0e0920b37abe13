"""Deep machines of all kinds: their common interface, and how a network becomes one."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from nfa.audits.audit import Audit
from nfa.common.checks import one_of, positive
from nfa.common.errors import InputError
from nfa.rfm.estimators.regressor import RFMRegressor
from nfa.rfm.network import Network

HEADS = ("network", "kernel")
"""What predicts: the network's last linear layer, or a kernel machine on the rows that reach it."""


class DeepRFM:
    """A deep recursive feature machine: a `DeepRFMRegressor`, a `DeepRFMClassifier`, or a network's `PolarRFM`.

    Attributes:
        layers_: Its layers, each with its feature matrix `M`.
        collapse_: A data frame, three rows per layer: how far the classes have collapsed; see `neural_collapse`.
        notes_: What is unusual about a machine made from a network, in sentences.
    """

    layers_: Sequence[Any]
    collapse_: pd.DataFrame
    notes_: list[str]

    def __init__(self, *parameters: Any, **named: Any) -> None:
        raise InputError("DeepRFM", "is of two kinds, DeepRFMClassifier for classes and DeepRFMRegressor for numbers")

    @abstractmethod
    def predict(self, X: Any) -> NDArray[Any]:
        """Return a label, or numbers, for each row."""

    @abstractmethod
    def score(self, X: Any, y: Any) -> float:
        """Return the share of right labels, or R^2."""

    @classmethod
    def from_network(
        cls,
        net: Any,
        X: Any,
        y: Any,
        *,
        transport: str = "polar",
        features: str = "agop",
        power: float = 1.0,
        audit: Audit | None = None,
        head: str | None = None,
        n_iters: int = 0,
        width: int | Sequence[int] | None = None,
        feature_map: str | None = None,
        transport_ridge: float = 1e-3,
        **parameters: Any,
    ) -> "DeepRFM":
        """Return a deep machine of the network's depth, with the M of each layer taken from the network's layer.

        - "polar": the network itself with weights U_M M^(1/2) in its hidden layers, with U_M the polar factor of
          W M^(1/2) and M at the scale of the NFM. M = NFM gives the network back; so does M = AGOP^alpha, as far as the
          ansatz holds.
        - "random": new random features between machines, as in `fit`. Each M is carried into their coordinates: ridge
          regression of the network's rows h on the machine's rows x, h ~ T'x, turns M into TMT'. The network must be a
          plain chain. The carried matrices are the estimator's `M_init`, so that `fit` starts from them again.

        Args:
            net: Anything that `nfa.load` takes or returns.
            X: Rows, as the network takes them (of two axes for "random").
            y: Classes (labels, whole numbers, one-hot rows) or numbers; the machine is a classifier or a regressor.
            transport: "polar" or "random".
            features: "agop" or "nfm".
            power: M is this power of it.
            audit: An `nfa.audit` of this network on these rows; without one the AGOPs are measured.
            head: What predicts: "network", its last linear layer (only for "polar", and there the default), or
                "kernel", a machine on the rows that reach that layer, with an M like the others (for "random" always).
            n_iters: Updates of each layer's M on that layer's rows, first to last.
            width: Random features; None for the network's widths.
            feature_map: As of `DeepRFMRegressor`; "relu" by default.
            transport_ridge: The ridge of the regression, as a share of the mean diagonal entry of X'X.
            **parameters: Of the machines, as for `RFMRegressor`.

        Returns:
            A fitted `PolarRFM`; or, for "random", a fitted `DeepRFMClassifier` or `DeepRFMRegressor`, which also has
            `carried_`: for each layer the share of its M's variance that the new rows explain. All are `DeepRFM`s, and
            have `notes_`.

        Raises:
            InputError: an unknown choice; a network without hidden layer, one that cannot take X, or (for "random")
                one that is no plain chain; an AGOP of 0; an audit of another network.

        >>> import numpy as np, torch
        >>> X = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> same = DeepRFM.from_network(net, X, X[:, :2], features="nfm")
        >>> bool(np.abs(same.outputs(X) - net(X).detach().numpy()).max() < 1e-5)
        True
        """
        made = TRANSPORTS[one_of("transport", transport, TRANSPORTS)]
        for name in parameters:
            if name in ("M_init", "depth"):
                raise InputError(name, "comes from the network")
            one_of("parameters", name, RFMRegressor().get_params())
        if head is not None:
            one_of("head", head, HEADS)
        network = Network(net)
        asked = Request(
            network=network,
            inputs=network.prepared(X),
            X=X,
            y=y,
            features=features,
            power=power,
            audit=audit,
            head=head,
            n_iters=positive("n_iters", n_iters, least=0),
            width=width,
            feature_map=feature_map,
            transport_ridge=transport_ridge,
            parameters=parameters,
        )
        return made(cls, asked)


@dataclass(frozen=True, eq=False)
class Request:
    """The arguments of `DeepRFM.from_network`.

    Args:
        network: The network.
        inputs: X, prepared for it.
        X: As it was given.
        y: Targets.
        features: Which matrix.
        power: Its power.
        audit: An audit with the matrices, or None.
        head: What predicts; None for the default.
        n_iters: Updates of each M.
        width: Of the random features, or None.
        feature_map: Their map, or None.
        transport_ridge: Of the regression that carries matrices.
        parameters: The machines'.
    """

    network: Network
    inputs: Any
    X: Any
    y: Any
    features: str
    power: float
    audit: Audit | None
    head: str | None
    n_iters: int
    width: int | Sequence[int] | None
    feature_map: str | None
    transport_ridge: float
    parameters: dict[str, Any]


TRANSPORTS: dict[str, Callable[[type[DeepRFM], Request], DeepRFM]] = {}
"""Functions that make a deep machine of a network, by `transport`.

The module of each kind of machine enters its own function, since it builds on this module.
"""
