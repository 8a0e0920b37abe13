"""A layer of a deep machine: a kernel machine, and the map to the next layer."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from nfa.rfm.deep.feature_maps import FeatureMap, unit_rows
from nfa.rfm.machine import KernelMachine


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
        if self.machine.metric.root is None:
            return rows
        root = self.machine.metric.root.to(rows.dtype)
        return rows * root if root.ndim == 1 else rows @ root

    def mapped(self, rows: Tensor) -> Tensor:
        """Return the next layer's rows."""
        assert self.feature_map is not None
        return unit_rows(self.feature_map(self.rooted(rows)))
