"""A layer's note: what is undefined or unusual in its row, and why."""

import math

import torch

from nfa.common.shown import printable
from nfa.features.layer_measures import LayerMeasures
from nfa.features.rounding import Rounding, Unchecked
from nfa.features.weight import CUTOFF

FEW_DIGITS = 1e4
"""Where delta varies by fewer units of rounding than this, centered columns have four digits or fewer."""

HANGS = 1e-3
"""Gradients depend on rounding if cosine(NFM, AGOP) of the same rows differs by more between float32 and float64."""

CANCELS = "the gradients cancel to rounding: trace and directions of the AGOP are undefined"
ON_ROUNDING = "gradients hang on rounding"
"""How a note begins that only rows in another precision give a reason for."""


def note(layer: LayerMeasures) -> str:
    """Return what is undefined or unusual in a layer's row, in words; "" where nothing is."""
    about = (
        _on_groups(layer),
        _on_ties(layer),
        _on_values(layer),
        _on_rows(layer),
        _on_rounding(layer),
        _on_certainty(layer),
        _on_init(layer),
    )
    return "; ".join(each for notes in about for each in notes)


def undefined_agop(layer: LayerMeasures) -> str:
    """Return why nothing is known of the AGOP, in words; "" where it is known."""
    size, rounding = layer.measured.second.trace(), layer.measured.rounding
    if size == 0 or layer.nfm.norm() == 0:
        return ""
    # The rounding of the product W'SW itself, which counts where W's columns lie where S is nearly 0.
    left = torch.finfo(layer.weight.W.dtype).eps * size * layer.nfm.trace()
    trace = layer.agop.trace()
    cancels = isinstance(rounding, Rounding) and rounding.error >= 1 and rounding.speaks_for(trace)
    if trace > left and not cancels:
        return ""
    return CANCELS


def _on_groups(layer: LayerMeasures) -> list[str]:
    groups = layer.measured.layer.groups
    if groups == 1:
        return []
    return [
        f"{groups} groups of channels: W and NFM are block-diagonal; of S and AGOP the blocks alone are measured, "
        "without correlations across groups"
    ]


def _on_ties(layer: LayerMeasures) -> list[str]:
    tied = layer.measured.layer.tied
    if not tied:
        return []
    return [
        f"its weight is also that of {', '.join(map(printable, tied))}: gradients that come through there hold it, so "
        "that alignment beyond chance is no sign of learning by itself"
    ]


def _on_values(layer: LayerMeasures) -> list[str]:
    if layer.nfm.norm() == 0:
        return ["the weight is zero: similarities are undefined"]
    if layer.agop.norm() == 0:
        return ["dead: the chosen outputs do not depend on this layer on any row, similarities are undefined"]
    notes = []
    if layer.nfm.effective_rank() - 1 <= CUTOFF:
        notes.append("W has one direction, so that cosine(NFM, AGOP) is 1 whatever was learned")
    silent = int((layer.measured.second.diagonal() == 0).sum())
    if silent:
        notes.append(f"{silent} of {layer.weight.k} units have no gradient on any row")
    if math.isnan(layer.similarity[1]):
        notes.append("all entries of the NFM or of the AGOP are the same: Pearson is undefined")
    if layer.not_aligned:
        notes.append(f"{layer.not_aligned}, alignment is undefined")
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
    # The variation of delta relative to its size.
    varies = math.sqrt(max(0.0, measured.centered.trace()) / measured.second.trace())
    if varies < FEW_DIGITS * torch.finfo(layer.weight.W.dtype).eps:
        return [f"delta varies by {varies:.0e} of its size: centered columns carry few digits"]
    return []


def _on_rounding(layer: LayerMeasures) -> list[str]:
    rounding = layer.measured.rounding
    if rounding is None or layer.measured.layer.weight.dtype == torch.float64:
        return []
    if isinstance(rounding, Unchecked):
        if not layer.agop.norm() > 0:
            return []
        return [f"whether gradients hang on rounding was not checked: {rounding.reason}"]
    if not rounding.speaks_for(layer.agop.trace()):
        return [
            f"whether gradients hang on rounding was not checked: {rounding.rows} rows measured again have next to none"
        ]
    own, in_float64 = rounding.cosines(layer.weight)
    if not abs(own - in_float64) > HANGS:
        return []
    found = f"on {rounding.rows} rows cosine(NFM, AGOP) is {own:.3f}, in float64 {in_float64:.3f}"
    return [f"{ON_ROUNDING}: {found}"]


def _on_certainty(layer: LayerMeasures) -> list[str]:
    notes = []
    if layer.measured.uneven:
        notes.append(
            "a sample has another number of rows in one batch than in another, as where a network trims its batches: "
            "means over rows depend on batch_size"
        )
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
    if layer.init is None:
        return []
    notes = []
    if layer.weight.d == 1:
        notes.append("one input: the NFM is a number, so that init_cosine is 1 and moved is undefined")
    if torch.equal(layer.measured.layer.weight.cpu(), layer.init.weight.cpu()):
        notes.append("the weights are those of init: columns about their change are undefined")
    return notes
