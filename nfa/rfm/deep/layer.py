"""A layer of a deep machine: a kernel machine, and the map to the next layer."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
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

    @cached_property
    def root(self) -> Tensor:
        """(M / its largest diagonal entry)^(1/2), of M's shape, float64: no scale of M matters to what follows.

        Unlike in a distance, the root of what rounding makes of 0 would count here, and be half as many digits away
        from 0: eigenvalues at rounding count as 0.
        """
        M = self.machine.metric.M / self.machine.metric.size
        if M.ndim == 1 or torch.equal(M, torch.diag(M.diagonal())):
            return M.clamp(min=0).sqrt()
        values, V = torch.linalg.eigh(M)
        kept = values > len(values) * torch.finfo(values.dtype).eps * values[-1]
        root: Tensor = (V * values.where(kept, 0.0).sqrt()) @ V.T
        return root

    def rooted(self, rows: Tensor) -> Tensor:
        """Return `root` x for each row x."""
        root = self.root.to(rows.dtype)
        return rows * root if root.ndim == 1 else rows @ root

    def mapped(self, rows: Tensor) -> Tensor:
        """Return the next layer's rows."""
        assert self.feature_map is not None
        return unit_rows(self.feature_map(self.rooted(rows)))
