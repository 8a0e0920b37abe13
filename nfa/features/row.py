"""One layer's row of an audit: small functions, each of which gives a few columns of one group."""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nfa.common.errors import InputError
from nfa.features.alignment import UNDEFINED, Alignment, alignment, rotated_cosine
from nfa.features.columns import COLUMNS, names
from nfa.features.fact import fact_columns
from nfa.features.factored import FactoredMatrix
from nfa.features.interval import LayerTraces, group_traces, interval, probe_error
from nfa.features.measuring import Measured
from nfa.features.powers import PowerScan
from nfa.features.similarity import cosine, cosine_and_pearson
from nfa.features.subspace import subspace_overlap
from nfa.features.weight import Weight
from nfa.probe import Layer

FEW_DIGITS = 1e4
"""Where delta varies by less than so many units of rounding, centered columns are known to four digits or fewer."""

HANGS = 1e-3
"""Where cosine(NFM, AGOP) of the same rows differs by more between float32 and float64, gradients hang on rounding."""

SMALLEST = float(np.finfo(np.float64).tiny)
"""Below it numbers lose digits one by one."""


@dataclass(frozen=True, eq=False)
class LayerMeasures:
    """What was measured of a layer, and the matrices that its columns share; each is made when a column first asks.

    Args:
        number: Of the layer, in forward order.
        measured: The layer's sums.
        init: The same layer before training, or None.
        untrained: The sums of that layer, where columns are about its AGOP.
        gradient: dL/dW of the loss (k x d), or None.
        weight_decay: lambda of the training, if known.
        published: The layer's published numbers, or None.

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

    def __post_init__(self) -> None:
        """Check the range of NFM and AGOP, on which everything else rests."""
        for matrix, called in ((self.nfm, "NFM"), (self.agop, "AGOP")):
            if not SMALLEST <= matrix.scale < math.inf or not math.isfinite(matrix.trace()):
                name = self.measured.layer.name
                raise InputError("net", f"the {called} of layer {name} leaves the range of float64")

    @cached_property
    def weight(self) -> Weight:
        """W."""
        return Weight(self.measured.layer.weight)

    @cached_property
    def nfm(self) -> FactoredMatrix:
        """W'W."""
        return FactoredMatrix(self.weight)

    @cached_property
    def centered(self) -> FactoredMatrix:
        """The centered AGOP W'S_cW."""
        return FactoredMatrix(self.weight, self.measured.S_centered)

    @cached_property
    def agop(self) -> FactoredMatrix:
        """The AGOP W'SW, S = S_c + mean'mean."""
        return self.centered.plus(self.measured.mean)

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
        return cosine_and_pearson(self.nfm, self.agop)

    @cached_property
    def alignment(self) -> Alignment:
        """Alignment of C = WW' and S."""
        return self.aligned(self.weight, self.measured.S)

    def aligned(self, weight: Weight, S: Tensor) -> Alignment:
        """Return the alignment of a weight of this layer and some S."""
        return alignment(weight.C, S, torch.finfo(self.measured.layer.weight.dtype).eps)

    @property
    def varies(self) -> bool:
        """Whether delta differs between rows, without which nothing centered is defined."""
        return not self.measured.trivial and self.measured.rows > 1

    @cached_property
    def init_nfm(self) -> FactoredMatrix | None:
        """W0'W0."""
        return None if self.init is None else FactoredMatrix(self.init.weight)

    @cached_property
    def change(self) -> FactoredMatrix | None:
        """Gram matrix dW'dW of the weight's change dW = W - W0."""
        if self.init is None or self.init_nfm is None:
            return None
        W, W_0 = self.measured.layer.weight, self.init.weight
        dtype, dtype_0 = self.weight.W.dtype, self.init_nfm.weight.W.dtype
        return FactoredMatrix(W.cpu().to(dtype) - W_0.cpu().to(dtype_0))


Columns = dict[str, Any]

ABOUT_AGOP = {
    *(set(names(["alignment", "similarity", "root", "interval", "power", "subspace"])) - {"alpha_linear"}),
    *("delta_cosine", "delta_alignment", "delta_alignment_null", "delta_alignment_z", "cnfa_cosine", "cnfa_pearson"),
    *("agop_trace", "agop_effective_rank", "pearson_sqrt_centered"),
}
"""The columns that are NaN where the AGOP is rounding."""


def identity(layer: LayerMeasures) -> Columns:
    """Which layer it is, and its sizes."""
    weight, measured = layer.weight, layer.measured
    return {
        "layer": layer.number,
        "name": measured.layer.name,
        "d_in": weight.d,
        "d_out": weight.k,
        "rows": measured.rows,
    }


def alignments(layer: LayerMeasures) -> Columns:
    """W's left vectors against the output's gradients, beside S turned at random."""
    found = layer.alignment
    return {
        "alignment": found.value,
        "alignment_null": found.null,
        "alignment_null_sd": found.null_sd,
        "alignment_z": found.z,
        "alignment_excess": found.excess,
    }


def alignment_certainty(layer: LayerMeasures) -> Columns:
    """How sure the alignment is."""
    undefined = bool(layer.alignment.undefined)
    low, high = (math.nan, math.nan) if undefined else interval(layer.traces.alignment)
    return {"alignment_low": low, "alignment_high": high}


def centered_alignment(layer: LayerMeasures) -> Columns:
    """The same with the centered S."""
    found = layer.aligned(layer.weight, layer.measured.S_centered) if layer.varies else UNDEFINED
    return {"alignment_centered": found.value, "alignment_centered_z": found.z}


def similarities(layer: LayerMeasures) -> Columns:
    """NFM against the AGOP, beside S turned at random."""
    similar, correlated = layer.similarity
    rotated = rotated_cosine(layer.weight.C, layer.measured.S)
    return {"cosine": similar, "rotated_cosine": rotated, "pearson": correlated}


def centered_similarity(layer: LayerMeasures) -> Columns:
    """NFM against the centered AGOP."""
    return {"cosine_centered": cosine(layer.nfm, layer.centered) if layer.varies else math.nan}


def roots(layer: LayerMeasures) -> Columns:
    """NFM against the square root of the AGOP."""
    return {"cosine_sqrt": layer.scan.cosine(0.5), "pearson_sqrt": layer.scan.pearson(0.5)}


def centered_root(layer: LayerMeasures) -> Columns:
    """NFM against the square root of the centered AGOP."""
    value = PowerScan(layer.nfm, layer.centered).pearson(0.5) if layer.varies else math.nan
    return {"pearson_sqrt_centered": value}


def certainty(layer: LayerMeasures) -> Columns:
    """How sure the cosine is."""
    low, high = interval(layer.traces.cosine)
    return {"ci_low": low, "ci_high": high, "probe_error": probe_error(layer.traces.cosine)}


def powers(layer: LayerMeasures) -> Columns:
    """NFM against other powers of the AGOP."""
    best, cosine_best = layer.scan.best()
    linear = 1.0 / layer.measured.layer.to_output
    return {
        "alpha_best": best,
        "cosine_alpha_best": cosine_best,
        "alpha_linear": linear,
        "cosine_alpha_linear": layer.scan.cosine(linear),
    }


def untrained(layer: LayerMeasures) -> Columns:
    """The same similarities in the network before training."""
    if layer.untrained is None or layer.init_nfm is None:
        return {}
    nfm = layer.init_nfm
    agop = FactoredMatrix(nfm.weight, layer.untrained.S)
    aligned = layer.aligned(nfm.weight, layer.untrained.S)
    return {
        "untrained_cosine": cosine(nfm, agop),
        "untrained_cosine_sqrt": PowerScan(nfm, agop).cosine(0.5),
        "untrained_alignment": aligned.value,
        "untrained_alignment_null": aligned.null,
        "untrained_alignment_z": aligned.z,
    }


def initialisation(layer: LayerMeasures) -> Columns:
    """NFM against the NFM before training."""
    null = layer.weight.k / (layer.weight.k + layer.weight.d)
    if layer.init_nfm is None:
        return {"init_cosine_null": null}
    similar, correlated = cosine_and_pearson(layer.nfm, layer.init_nfm)
    # An initial weight of 0 has no directions, so none of them were kept.
    kept = 0.0 if layer.init_nfm.norm() == 0 < layer.nfm.norm() else similar
    return {
        "init_cosine": similar,
        "init_pearson": correlated,
        "init_cosine_null": null,
        "moved": (1 - kept) / (1 - null),
    }


def changes(layer: LayerMeasures) -> Columns:
    """The weight's change: its size, and its Gram matrix against the AGOP."""
    if layer.change is None:
        return {}
    moved = layer.change
    aligned = layer.aligned(moved.weight, layer.measured.S)
    # arXiv:2402.05271: dW in place of W on both sides.
    similar, correlated = cosine_and_pearson(moved, FactoredMatrix(moved.weight, layer.agop.S))
    size = layer.weight.norm()
    return {
        "delta_norm": moved.weight.norm() / size if size > 0 else math.nan,
        "delta_cosine": cosine(moved, layer.agop),
        "delta_alignment": aligned.value,
        "delta_alignment_null": aligned.null,
        "delta_alignment_z": aligned.z,
        "cnfa_cosine": similar,
        "cnfa_pearson": correlated,
    }


def sizes(layer: LayerMeasures) -> Columns:
    """Traces and effective ranks."""
    return {
        "nfm_trace": layer.nfm.trace(),
        "agop_trace": layer.agop.trace(),
        "nfm_effective_rank": layer.nfm.effective_rank(),
        "agop_effective_rank": layer.agop.effective_rank(),
    }


def subspaces(layer: LayerMeasures) -> Columns:
    """Leading eigenvectors of NFM and AGOP."""
    overlap, by_chance = subspace_overlap(layer.nfm, layer.agop)
    return {"subspace_overlap": overlap, "subspace_overlap_null": by_chance}


def remarks(layer: LayerMeasures) -> Columns:
    """What is undefined or unusual."""
    notes = (_on_values(layer), _on_rows(layer), _on_rounding(layer), _on_certainty(layer), _on_init(layer))
    return {"trivial": layer.measured.trivial, "note": "; ".join(note for each in notes for note in each)}


def convergence(layer: LayerMeasures) -> Columns:
    """The Features at Convergence Theorem, which the loss's gradient gives."""
    if layer.gradient is None:
        raise ValueError("the columns of `fact` need the loss's gradient")
    return fact_columns(layer.measured.layer.weight, layer.gradient, layer.weight_decay)


def published(layer: LayerMeasures) -> Columns:
    """The numbers that the authors' scripts print."""
    if layer.published is None:
        raise ValueError("the columns of `published` need the network probed anew")
    return dict(layer.published)


MEASURES: dict[Callable[[LayerMeasures], Columns], tuple[str, ...]] = {
    identity: names(["layer"]),
    alignments: ("alignment", "alignment_null", "alignment_null_sd", "alignment_z", "alignment_excess"),
    alignment_certainty: ("alignment_low", "alignment_high"),
    centered_alignment: ("alignment_centered", "alignment_centered_z"),
    similarities: ("cosine", "rotated_cosine", "pearson"),
    centered_similarity: ("cosine_centered",),
    roots: names(["root"]),
    certainty: names(["interval"]),
    powers: names(["power"]),
    untrained: names(["null"]),
    initialisation: names(["init"]),
    changes: names(["change"]),
    sizes: names(["size"]),
    subspaces: names(["subspace"]),
    remarks: names(["remark"]),
    convergence: names(["fact"]),
    published: tuple(name for name in names(["published"]) if name != "pearson_sqrt_centered"),
    centered_root: ("pearson_sqrt_centered",),
}
"""The functions that give the columns, and which; a number that its function does not give is NaN.

Not here is "verdict": an audit judges whole rows, beside the network's score.
"""

BY_GROUP = {*MEASURES[alignment_certainty], *MEASURES[certainty]}
"""The columns that need the sums of each group of samples."""

OF_UNTRAINED = {*MEASURES[untrained]}
"""The columns that need the gradients of the network before training."""

PUBLISHED = {*MEASURES[published]}
"""The columns that need the network probed anew."""


def row(layer: LayerMeasures, wanted: Collection[str]) -> Columns:
    """Return some columns of one layer, by name, in the order of the table; nothing else is computed."""
    found: Columns = {}
    for measure, given in MEASURES.items():
        if not set(given).isdisjoint(wanted):
            found |= measure(layer)
    if reason := _drowned(layer):
        found |= dict.fromkeys(ABOUT_AGOP, math.nan) | {"note": reason}
    return {name: found.get(name, math.nan) for name in COLUMNS if name in wanted}


def _drowned(layer: LayerMeasures) -> str:
    """Return why nothing is known of the AGOP, in words; nothing where something is."""
    rounding = layer.measured.rounding
    if layer.agop.norm() == 0 or (layer.agop.trace() > 0 and (rounding is None or rounding.error < 1)):
        return ""
    return "the gradients cancel to rounding: trace and directions of the AGOP are undefined"


def _on_values(layer: LayerMeasures) -> list[str]:
    if layer.nfm.norm() == 0:
        return ["the weight is zero: similarities are undefined"]
    if layer.agop.norm() == 0:
        return ["dead: the chosen outputs do not depend on this layer on any row, similarities are undefined"]
    notes = []
    silent = int((layer.measured.S.diagonal() == 0).sum())
    if silent:
        notes.append(f"{silent} of {layer.weight.k} units have no gradient on any row")
    if math.isnan(layer.similarity[1]):
        notes.append("all entries of the NFM or of the AGOP are the same: Pearson is undefined")
    if layer.alignment.undefined:
        notes.append(f"{layer.alignment.undefined}, alignment is undefined")
    return notes


def _on_rows(layer: LayerMeasures) -> list[str]:
    measured = layer.measured
    if measured.trivial:
        same = "sample at the same row" if measured.constant else "row"
        return [f"trivial: delta is the same for every {same}, so NFM = AGOP up to S; centered columns are undefined"]
    if measured.rows == 1:
        return ["one row: the centered AGOP is 0 and its columns are undefined"]
    if layer.nfm.norm() == 0 or layer.agop.norm() == 0:
        return []
    # Relative to its mean, delta is known to so many digits.
    varies = math.sqrt(max(0.0, float(measured.S_centered.trace())) / float(measured.S.trace()))
    if varies < FEW_DIGITS * torch.finfo(layer.weight.W.dtype).eps:
        return [f"delta varies by {varies:.0e} of its size: centered columns carry few digits"]
    return []


def _on_rounding(layer: LayerMeasures) -> list[str]:
    rounding = layer.measured.rounding
    if rounding is None or layer.measured.layer.weight.dtype == torch.float64:
        return []
    own, in_float64 = rounding.cosines
    if not abs(own - in_float64) > HANGS:
        return []
    found = f"on {rounding.rows} rows cosine(NFM, AGOP) is {own:.3f}, in float64 {in_float64:.3f}"
    return [f"gradients hang on rounding: {found}"]


def _on_certainty(layer: LayerMeasures) -> list[str]:
    notes = []
    groups = layer.measured.sums.rows
    if len(groups) > 1 and int((groups > 0).sum()) < 2:
        notes.append("too few samples for an interval")
    if layer.measured.probes is not None:
        notes.append(
            f"{layer.measured.probes} random probes: AGOP and its trace are unbiased, "
            "similarities and centered columns are not"
        )
    return notes


def _on_init(layer: LayerMeasures) -> list[str]:
    if layer.init is not None and torch.equal(layer.measured.layer.weight.cpu(), layer.init.weight.cpu()):
        return ["the weights are those of init: columns about their change are undefined"]
    return []
