"""A layer's machine: fitted to the layer's rows, or to their coordinates where d > n."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from nfa.features.factored import FactoredMatrix
from nfa.features.similarity import cosine_of
from nfa.rfm.coordinates import Coordinates
from nfa.rfm.estimators.classifier import RFMClassifier
from nfa.rfm.estimators.regressor import RFMRegressor
from nfa.rfm.kernels import kernel_named

RFM = RFMClassifier | RFMRegressor


@dataclass(frozen=True, eq=False)
class LayerMachine:
    """A fitted machine, and the coordinates of the layer's rows h that it takes.

    Args:
        machine: The estimator.
        coordinates: The coordinates that it was fitted to; None for h itself.
        start: M before the first update; None for the identity.
        updates: Of M.
    """

    machine: RFM
    coordinates: Coordinates | None
    start: FactoredMatrix | None
    updates: int

    def predict(self, H: Tensor) -> NDArray[Any]:
        """Return predictions for rows H (m x d)."""
        return self.machine.predict(H if self.coordinates is None else self.coordinates.rows(H))

    def cosine(self, measured: FactoredMatrix) -> float:
        """Return the cosine of M and a measured matrix; NaN where one of them is 0."""
        A = torch.from_numpy(self.machine.M_)
        if self.coordinates is None:
            return cosine_with(A, measured)
        M = self.start if self.updates == 0 else self.coordinates.matrix(A)
        if M is None:  # the identity
            return cosine_of(measured.trace(), float(measured.d), measured.square)
        return cosine_of(M.inner(measured), M.square, measured.square)


def staged(machine: RFM, H: Tensor, y: NDArray[Any], start: FactoredMatrix | None) -> Iterator[LayerMachine]:
    """Fit a machine to the rows that reach a layer, and yield it after 0, 1, ... updates of M.

    Args:
        machine: The estimator, whose first M is `start`.
        H: The rows, n x d.
        y: Their targets.
        start: M before the first update; None for the identity.
    """
    coordinates = None
    if H.shape[1] > len(H) and kernel_named(machine.kernel, machine.exponent).radial:
        coordinates = Coordinates.of(H, start)
    M, rows = (start, H) if coordinates is None else (None, coordinates.rows(H))
    for updates, fitted in enumerate(machine.set_params(M_init=M).staged_fit(rows, y)):
        # A shallow copy: a further fit replaces the estimator's parts, and does not change them.
        yield LayerMachine(copy.copy(fitted), coordinates, start, updates)


def cosine_with(M: Tensor, measured: FactoredMatrix) -> float:
    """Return the cosine of a feature matrix (d, d), float64, and a measured one; NaN where one of them is 0."""
    # <M, W'SW> = <WM, SW>: k d^2 operations, and nothing of size d x d but M.
    W = measured.weight.W.double()
    SW = W if measured.S is None else measured.S.double() @ W
    inner = float(((W @ M) * SW).sum()) * measured.weight.unit**2
    return cosine_of(inner, float((M * M).sum()), measured.square)
