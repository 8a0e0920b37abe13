"""What the deep regressor and the deep classifier share: machines one after the other, random features between them."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from nfa.audits.audit import Audit
from nfa.common.checks import one_of, positive
from nfa.common.errors import InputError
from nfa.rfm.deep.collapse import LAST, collapse_rows
from nfa.rfm.deep.feature_maps import FEATURE_MAPS, feature_map_named, unit_rows
from nfa.rfm.deep.layer import DeepLayer
from nfa.rfm.estimators.base import BaseRFM
from nfa.rfm.estimators.regressor import RFMRegressor

if TYPE_CHECKING:
    from nfa.rfm.deep.polar import PolarRFM

FirstMatrix = Callable[[int, Tensor], Any]
"""Maps a layer's number and its rows to the first M of its machine (anything `RFMRegressor` takes as `M_init`)."""


class DeepRFM(BaseRFM):
    """A deep recursive feature machine, of either kind: a `DeepRFMRegressor` or a `DeepRFMClassifier`."""

    layers_: list[DeepLayer]
    collapse_: pd.DataFrame

    def __init__(
        self,
        depth: int = 3,
        width: int | Sequence[int] = 1024,
        feature_map: str = "relu",
        *,
        kernel: str = "laplace",
        exponent: float = 1.0,
        bandwidth: float = 1.0,
        bandwidth_scale: str | None = "median",
        ridge: float = 1e-3,
        n_iters: int = 1,
        M_init: Any = None,
        M_scale: str | None = "max",
        diag: bool = False,
        center_grads: bool = False,
        agop_power: float = 1.0,
        agop_samples: int | None = None,
        memory_budget: float = 4.0,
        device: Any = None,
        dtype: Any = None,
        random_state: int = 0,
        progress: bool = True,
    ) -> None:
        if type(self) is DeepRFM:
            raise InputError(
                "DeepRFM", "is of two kinds, DeepRFMClassifier for classes and DeepRFMRegressor for numbers"
            )
        super().__init__(
            kernel,
            exponent=exponent,
            bandwidth=bandwidth,
            bandwidth_scale=bandwidth_scale,
            ridge=ridge,
            n_iters=n_iters,
            M_init=M_init,
            M_scale=M_scale,
            diag=diag,
            center_grads=center_grads,
            agop_power=agop_power,
            agop_samples=agop_samples,
            memory_budget=memory_budget,
            device=device,
            dtype=dtype,
            random_state=random_state,
            progress=progress,
        )
        self.depth = depth
        self.width = width
        self.feature_map = feature_map

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
    ) -> "Self | PolarRFM":
        """Return a deep machine whose M in each layer is that of a network's layer; depth is the network's.

        - "polar": the network itself with weights U_M M^(1/2) in its hidden layers, U_M the polar factor of W M^(1/2),
          M at the scale of the NFM. M = NFM gives the network back; M = AGOP^alpha does as far as the ansatz holds.
        - "random": new random features between machines, as `fit` does, each M carried into their coordinates: ridge
          regression of the network's rows h on the machine's rows x, h ~ T'x, makes M to TMT'. The network must be a
          plain chain. The matrices carried are the estimator's `M_init`, so that `fit` starts from them again.

        Args:
            net: Anything that `nfa.load` takes or returns.
            X: Rows, as the network takes them (of two axes for "random").
            y: Classes (labels, whole numbers, one-hot rows) or numbers; which of the two decides what is made.
            transport: "polar" or "random".
            features: "agop" or "nfm".
            power: M is this power of it.
            audit: An `nfa.audit` of this network on these rows; without one the AGOPs are measured.
            head: What answers: "network", its last linear layer (for "polar", and there the default), or "kernel", a
                machine on the rows that reach that layer, its M as the others (for "random" always).
            n_iters: Updates of each layer's M on that layer's rows, first to last.
            width: Random features; None for the network's widths.
            feature_map: As of `DeepRFMRegressor`; "relu" by default.
            transport_ridge: Of the regression, as a share of the mean diagonal entry of X'X.
            **parameters: The machines', as of `RFMRegressor`.

        Returns:
            A fitted `PolarRFM`; or, for "random", a fitted `DeepRFMClassifier` or `DeepRFMRegressor` that has besides
            `carried_`, for each layer the share of its M's variance that the new rows explain. Both have `notes_`.

        Raises:
            InputError: an unknown choice; a network without hidden layer, one that cannot take X, or (for "random")
                one that is no plain chain; an AGOP of 0; an audit of another network.

        >>> X = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> same = DeepRFM.from_network(net, X, X[:, :2], features="nfm")
        >>> bool(np.abs(same.outputs(X) - net(X).detach().numpy()).max() < 1e-5)
        True
        """
        # They build on this module.
        from nfa.rfm.deep.network import Source
        from nfa.rfm.deep.polar import HEADS, polar_rfm
        from nfa.rfm.deep.random import TRANSPORTS, random_rfm

        one_of("transport", transport, TRANSPORTS)
        for name in parameters:
            if name in ("M_init", "depth"):
                raise InputError(name, "comes from the network")
            one_of("parameters", name, RFMRegressor().get_params())
        head = ("network" if transport == "polar" else "kernel") if head is None else one_of("head", head, HEADS)
        source, n_iters = Source(net, X), positive("n_iters", n_iters, least=0)
        if transport == "polar":
            for name, value in (("width", width), ("feature_map", feature_map)):
                if value is not None:
                    raise InputError(name, "only for transport='random'; 'polar' keeps the network's own")
            return polar_rfm(source, X, y, features, power, audit, head, n_iters, parameters)
        if head == "network":
            raise InputError("head", "'network' cannot take random features; expected 'kernel' for transport='random'")
        parameters |= {"n_iters": n_iters, "feature_map": feature_map or "relu", "width": width}
        made = random_rfm(source, X, y, features, power, audit, transport_ridge, parameters)
        if not isinstance(made, cls):
            raise InputError("y", f"asks for a {type(made).__name__}, not a {cls.__name__}; DeepRFM takes either")
        return made

    def staged_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Iterator[Self]:
        """Refuse: each machine's rows are made by the last M of the one before it, so there are no stages of the whole.

        Raises:
            InputError: always.
        """
        raise InputError(
            "staged_fit", f"a {type(self).__name__} has no stages; fit it with other n_iters, or a flat RFM"
        )

    def _fit(self, X: Tensor, Y: Tensor, weights: Tensor | None) -> Self:
        """Fit the machines, each seeded by `M_init`."""
        # What `from_network` said was of its rows.
        for name in ("carried_", "notes_"):
            self.__dict__.pop(name, None)
        seeds = self.M_init
        if seeds is not None and (not isinstance(seeds, Sequence) or len(seeds) != self.depth):
            got = f"{len(seeds)} of them" if isinstance(seeds, Sequence) else type(seeds).__name__
            raise InputError("M_init", f"got {got}, expected a list with one for each of the {self.depth} machines")
        return self._stack(X, Y, weights, lambda number, rows: None if seeds is None else seeds[number])

    def _stack(self, X: Tensor, Y: Tensor, weights: Tensor | None, first: FirstMatrix) -> Self:
        """Fit machine after machine, each to the rows that the one before it makes."""
        widths = self._widths()
        one_of("feature_map", self.feature_map, FEATURE_MAPS)
        parameters = {name: getattr(self, name) for name in RFMRegressor().get_params()}
        # One stream for all that is drawn, whose first number is the one that a machine alone would draw.
        drawn = check_random_state(self.random_state)
        Y = Y.to(X.device)
        classes = Y.argmax(1) if is_classifier(self) else None
        rows, layers, table = unit_rows(X), [], []
        for number, width in enumerate([*widths, None]):
            M = first(number, rows)
            fitted = RFMRegressor(**parameters | {"M_init": M, "random_state": drawn})._fit(rows, Y, weights)
            feature_map = None
            if width is not None:
                L = fitted.machine_.bandwidth / fitted.machine_.metric.size**0.5
                generator = torch.Generator().manual_seed(int(drawn.randint(2**31)))
                feature_map = feature_map_named(self.feature_map, rows.shape[1], width, L, generator).to(rows.device)
            layer = DeepLayer(fitted.machine_, fitted.history_, fitted.solver_, feature_map)
            layers.append(layer)
            following = LAST if feature_map is None else layer.mapped(rows)
            table += collapse_rows(number, [rows, layer.rooted(rows), following], classes, weights)
            if isinstance(following, Tensor):
                rows = following
        # Whatever is known of a machine after fitting is known here of the last one.
        self.__dict__ |= {name: value for name, value in vars(fitted).items() if name not in parameters}
        self.layers_, self.collapse_ = layers, pd.DataFrame(table)
        return self

    def _widths(self) -> list[int]:
        """Return the width of every map, checked."""
        depth = positive("depth", self.depth)
        if not isinstance(self.width, Sequence):
            return [positive("width", self.width)] * (depth - 1)
        if len(self.width) != depth - 1:
            expected = f"a number, or one for each of the {depth - 1} maps between machines"
            raise InputError("width", f"got {self.width!r}, expected {expected}")
        return [positive("width", width) for width in self.width]

    def _rows(self, X: Any) -> Tensor:
        """Return the last machine's rows for rows to predict, checked against the columns that `fit` saw."""
        rows = unit_rows(super()._rows(X))
        for layer in self.layers_[:-1]:
            rows = layer.mapped(rows)
        return rows

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """The diagonal of the first machine's M as shares of its trace, for each column of X, (n_features_in_,)."""
        check_is_fitted(self)
        return self._shares(self.layers_[0].M)
