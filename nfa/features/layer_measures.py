"""The measurements of a layer, and the matrices that the columns of its row share."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from nfa.common.errors import InputError
from nfa.features.alignment import NO_ALIGNMENT, Alignment, Moments, Split, alignment, undefined
from nfa.features.factored import FactoredMatrix
from nfa.features.interval import LayerTraces, group_traces
from nfa.features.measuring import Measured
from nfa.features.powers import PowerScan
from nfa.features.rows_matrix import RowsMatrix
from nfa.features.second_moment import SecondMoment
from nfa.features.similarity import cosine_and_pearson
from nfa.features.weight import Weight
from nfa.probe import Layer

SMALLEST = float(np.finfo(np.float64).tiny)
"""Smaller numbers lose digits, one by one."""


@dataclass(frozen=True, eq=False)
class LayerMeasures:
    """The measurements of a layer, and the matrices that its columns share; each is made when a column first needs it.

    Args:
        number: Of the layer, in forward order.
        measured: The layer's sums.
        init: The same layer before training, or None.
        untrained: The sums of that layer, where columns are about its AGOP.
        gradient: dL/dW of the loss (k x d), or None.
        weight_decay: lambda of the training, if known.
        published: The layer's published numbers, or None.
        nfm_of_init: W0'W0, where it is at hand.

    Raises:
        InputError: the NFM or the AGOP leaves the range of float64.
    """

    number: int
    measured: Measured
    init: Layer | None = None
    untrained: Measured | None = None
    gradient: Tensor | None = None
    weight_decay: float | None = None
    published: Mapping[str, float] | None = None
    nfm_of_init: FactoredMatrix | None = None

    def __post_init__(self) -> None:
        """Check the range of NFM and AGOP, from which everything else is computed."""
        for matrix, called in ((self.nfm, "NFM"), (self.agop, "AGOP")):
            if not SMALLEST <= matrix.scale < math.inf or not math.isfinite(matrix.trace()):
                name = self.measured.layer.name
                raise InputError("net", f"the {called} of layer {name} leaves the range of float64")

    @property
    def weight(self) -> Weight:
        """W."""
        return self.measured.weight

    @cached_property
    def nfm(self) -> FactoredMatrix:
        """W'W."""
        return FactoredMatrix(self.weight)

    @property
    def centered(self) -> FactoredMatrix:
        """The centered AGOP W'S_cW."""
        return self.measured.agop_centered

    @property
    def agop(self) -> FactoredMatrix:
        """The AGOP W'SW, S = S_c + mean'mean."""
        return self.measured.agop

    @cached_property
    def scan(self) -> PowerScan:
        """NFM against powers of the AGOP."""
        return PowerScan(self.nfm, self.agop)

    @cached_property
    def traces(self) -> LayerTraces:
        """Inner products by group of samples."""
        return group_traces(self.measured, self.nfm, self.agop)

    @cached_property
    def similarity(self) -> tuple[float, float]:
        """Cosine and Pearson of NFM and AGOP."""
        return cosine_and_pearson(self.agop, self.nfm)

    @cached_property
    def alignment(self) -> Alignment:
        """Alignment of C = WW' and S; without random probes' S where delta is the same for every sample."""
        return NO_ALIGNMENT if self.varies_by_probes else self.aligned(self.agop, self.measured.second)

    @property
    def varies_by_probes(self) -> bool:
        """Whether delta is the same for every sample, so that S varies by its random probes alone."""
        return self.measured.trivial and self.measured.probes is not None

    @property
    def not_aligned(self) -> str:
        """Why the alignment is undefined, in words; "" where it is defined."""
        if self.varies_by_probes:
            return "S varies by its random probes alone"
        layer = self.measured.layer
        eps = torch.finfo(layer.weight.dtype).eps
        return undefined(self.C_moments, self.measured.second.moments, eps, self.weight.d // layer.groups)

    @cached_property
    def C_moments(self) -> Moments:
        """What the nulls need of C = WW'."""
        groups = self.measured.layer.groups
        return self.weight.moments if groups == 1 else Split.of(self.weight.C, groups)

    @cached_property
    def C_split(self) -> Split:
        """The same with C itself."""
        found = self.C_moments
        if isinstance(found, Split):
            return found
        return Split(found.k, found.levels, found.spreads, found.eps, self.weight.C[None])

    def aligned(self, M: FactoredMatrix, S: SecondMoment) -> Alignment:
        """Return the alignment of WW' and S of a matrix M = W'SW, W any weight of this layer's shape."""
        layer = self.measured.layer
        eps = torch.finfo(layer.weight.dtype).eps
        if isinstance(M, RowsMatrix):
            return alignment(M.of.moments, S.moments, eps, inner=M.in_unit, d=self.weight.d)
        C = self.C_split if M.weight is self.weight else Split.of(M.weight.C, layer.groups)
        return alignment(C, S.split, eps, layer.groups, d=self.weight.d // layer.groups)

    @property
    def varies(self) -> bool:
        """Whether delta differs between rows, without which nothing centered is defined."""
        return not self.measured.trivial and self.measured.rows > 1

    @cached_property
    def init_nfm(self) -> FactoredMatrix | None:
        """W0'W0."""
        if self.nfm_of_init is not None:
            return self.nfm_of_init
        return None if self.init is None else FactoredMatrix(self.init.weight)

    @cached_property
    def change(self) -> FactoredMatrix | None:
        """Gram matrix dW'dW of the weight's change dW = W - W0."""
        if self.init is None or self.init_nfm is None:
            return None
        W, W_0 = self.measured.layer.weight, self.init.weight
        place, dtype, dtype_0 = self.weight.W.device, self.weight.W.dtype, self.init_nfm.weight.W.dtype
        return FactoredMatrix(W.to(place, dtype) - W_0.to(place, dtype_0))
