"""What the deep regressor and the deep classifier share: machines one after the other, random features between them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from nfa.common.checks import one_of, positive
from nfa.common.errors import InputError
from nfa.rfm.deep.collapse import neural_collapse
from nfa.rfm.deep.feature_maps import FEATURE_MAPS, FeatureMap, feature_map_named, unit_rows
from nfa.rfm.estimators.base import BaseRFM
from nfa.rfm.estimators.regressor import RFMRegressor
from nfa.rfm.machine import KernelMachine

AT = ("X", "M^(1/2) X", "Phi(M^(1/2) X)")
"""Where in a layer neural collapse is measured."""
LAST = "the last machine's rows are mapped no further"

Seed = Callable[[int, Tensor], Any]
"""Maps a layer's number and its rows to the first M of its machine (anything `RFMRegressor` takes as `M_init`)."""


@dataclass(frozen=True, eq=False)
class DeepLayer:
    """One layer: a machine on rows of norm 1, and the map from them to the next layer's.

    Args:
        machine: The fitted machine.
        history: A row per iteration, as `RFMRegressor.history_`.
        solver: How it was fitted, in words.
        feature_map: Phi; None in the last layer.
    """

    machine: KernelMachine
    history: pd.DataFrame
    solver: str
    feature_map: FeatureMap | None

    @property
    def M(self) -> NDArray[np.float64]:
        """The machine's feature matrix, (d, d), or (d,) with `diag`."""
        return self.machine.metric.M.cpu().numpy()

    def rooted(self, rows: Tensor) -> Tensor:
        """Return (M / its largest diagonal entry)^(1/2) x for each row x: no scale of M matters to what follows."""
        root = self.machine.metric.root
        if root is None:
            return rows
        root = root.to(rows.dtype)
        return rows * root if root.ndim == 1 else rows @ root

    def mapped(self, rows: Tensor) -> Tensor:
        """Return the next layer's rows."""
        assert self.feature_map is not None
        return unit_rows(self.feature_map(self.rooted(rows)))


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
            raise InputError("DeepRFM: is of two kinds, DeepRFMClassifier for classes and DeepRFMRegressor for numbers")
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

    def _fit(self, X: Tensor, Y: Tensor, weights: Tensor | None) -> Self:
        """Fit the machines, each seeded by `M_init`."""
        seeds = self.M_init
        if seeds is not None and (not isinstance(seeds, Sequence) or len(seeds) != self.depth):
            got = f"{len(seeds)} of them" if isinstance(seeds, Sequence) else type(seeds).__name__
            raise InputError(f"M_init: got {got}, expected a list with one for each of the {self.depth} machines")
        return self._stack(X, Y, weights, lambda number, rows: None if seeds is None else seeds[number])

    def _stack(self, X: Tensor, Y: Tensor, weights: Tensor | None, seed: Seed) -> Self:
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
            M = seed(number, rows)
            fitted = RFMRegressor(**parameters | {"M_init": M, "random_state": drawn})._fit(rows, Y, weights)
            feature_map = None
            if width is not None:
                L = fitted.machine_.bandwidth / fitted.machine_.metric.size**0.5
                generator = torch.Generator().manual_seed(int(drawn.randint(2**31)))
                feature_map = feature_map_named(self.feature_map, rows.shape[1], width, L, generator).to(rows.device)
            layer = DeepLayer(fitted.machine_, fitted.history_, fitted.solver_, feature_map)
            layers.append(layer)
            following = None if feature_map is None else layer.mapped(rows)
            table += collapse_rows(number, rows, layer.rooted(rows), following, classes, weights)
            if following is not None:
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
            raise InputError(f"width: got {self.width!r}, expected {expected}")
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


def collapse_rows(
    layer: int,
    rows: Tensor,
    rooted: Tensor,
    following: Tensor | None,
    classes: Tensor | None,
    weights: Tensor | None = None,
) -> list[dict[str, Any]]:
    """Return a layer's rows of `collapse_`.

    Args:
        layer: Its number.
        rows: X.
        rooted: M^(1/2) X.
        following: Phi(M^(1/2) X), the next layer's rows; None in the last layer.
        classes: Class numbers, or None.
        weights: Of the rows.
    """
    found = []
    for at, values in zip(AT, (rows, rooted, following), strict=True):
        if values is None:
            found.append({"layer": layer, "at": at, "nc1": np.nan, "nc2": np.nan, "note": LAST})
        else:
            collapse = neural_collapse(values, classes, weights)
            found.append({"layer": layer, "at": at} | vars(collapse))
    return found
