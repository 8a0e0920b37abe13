"""Machines in a row: each is fitted to the rows that the one before it makes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from torch import Tensor

from nfa.rfm.deep.collapse import LAST, collapse_rows
from nfa.rfm.deep.feature_maps import FeatureMap, feature_map_named, unit_rows
from nfa.rfm.estimators.choosing import chosen
from nfa.rfm.estimators.fitting import FitSettings, Fitted, fitted
from nfa.rfm.machine import KernelMachine

FirstMatrix = Callable[[int, Tensor], Any]
"""Maps a layer's number and its rows to the first M of its machine (anything `RFMRegressor` takes as `M_init`)."""


@dataclass(frozen=True, eq=False)
class DeepLayer:
    """One layer: a machine on rows of norm 1, and the map from these to the next layer's rows.

    Args:
        fitted: The machine.
        feature_map: Phi; None in the last layer.
    """

    fitted: Fitted
    feature_map: FeatureMap | None

    @property
    def machine(self) -> KernelMachine:
        """The fitted kernel machine."""
        return self.fitted.machine

    @property
    def history(self) -> pd.DataFrame:
        """A row per iteration, as `RFMRegressor.history_`."""
        return self.fitted.history

    @property
    def M(self) -> NDArray[np.float64]:
        """The machine's feature matrix, (d, d), or (d,) with `diag`."""
        return self.fitted.M

    def rooted(self, rows: Tensor) -> Tensor:
        """Return (M / its largest diagonal entry)^(1/2) x for each row x; M's scale does not matter afterwards."""
        if self.machine.metric.root is None:
            return rows
        root = self.machine.metric.root.to(rows.dtype)
        return rows * root if root.ndim == 1 else rows @ root

    def mapped(self, rows: Tensor) -> Tensor:
        """Return the next layer's rows."""
        assert self.feature_map is not None
        return unit_rows(self.feature_map(self.rooted(rows)))


def stacked(
    X: Tensor,
    Y: Tensor,
    weights: Tensor | None,
    settings: FitSettings,
    widths: Sequence[int],
    feature_map: str,
    first: FirstMatrix,
    classes: Tensor | None,
) -> tuple[list[DeepLayer], pd.DataFrame]:
    """Fit machine after machine; return the layers, and the neural collapse of their rows.

    Args:
        X: Shape (n, d).
        Y: Shape (n, c).
        weights: Shape (n,), or None.
        settings: The settings of every machine, without its first M.
        widths: Random features of each map between machines.
        feature_map: The maps' name.
        first: The first M of each machine.
        classes: Class numbers, (n,); None for real targets.
    """
    # One stream for all that is drawn; its first number is the one that a single machine would draw.
    drawn = check_random_state(settings.random_state)
    rows = unit_rows(X)
    # Rows of later machines have seen the targets, so that leave-one-out can choose for the first alone.
    settings = chosen(rows, Y, weights, replace(settings, M_init=None))
    layers: list[DeepLayer] = []
    table: list[dict[str, Any]] = []
    for number, width in enumerate([*widths, None]):
        one = fitted(rows, Y, weights, replace(settings, M_init=first(number, rows), random_state=drawn))
        phi = None
        if width is not None:
            L = one.machine.bandwidth / one.machine.metric.size**0.5
            generator = torch.Generator().manual_seed(int(drawn.randint(2**31)))
            phi = feature_map_named(feature_map, rows.shape[1], width, L, generator).to(rows.device)
        layer = DeepLayer(one, phi)
        layers.append(layer)
        following = LAST if phi is None else layer.mapped(rows)
        table += collapse_rows(number, [rows, layer.rooted(rows), following], classes, weights)
        if isinstance(following, Tensor):
            rows = following
    return layers, pd.DataFrame(table)
