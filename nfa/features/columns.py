"""One layer's row of an audit: every similarity beside its null."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nfa.common.errors import InputError
from nfa.features.factored import FactoredMatrix
from nfa.features.interval import group_traces, interval, probe_error
from nfa.features.measuring import Measured
from nfa.features.powers import PowerScan
from nfa.features.similarity import cosine, cosine_and_pearson
from nfa.features.subspace import subspace_overlap
from nfa.features.weight import Weight

COLUMNS = (
    *("layer", "name", "d_in", "d_out", "rows"),
    *("cosine", "pearson", "cosine_centered"),
    *("cosine_sqrt", "pearson_sqrt", "pearson_sqrt_centered"),
    *("ci_low", "ci_high", "probe_error"),
    *("alpha_best", "cosine_alpha_best", "alpha_linear", "cosine_alpha_linear"),
    *("untrained_cosine", "untrained_cosine_sqrt"),
    *("init_cosine", "init_pearson", "init_cosine_null"),
    *("delta_norm", "delta_cosine", "cnfa_cosine", "cnfa_pearson"),
    *("nfm_trace", "agop_trace", "nfm_effective_rank", "agop_effective_rank"),
    *("subspace_overlap", "subspace_overlap_null"),
    *("trivial", "note"),
)
"""The columns of an audit, in order."""

FEW_DIGITS = 1e4
"""Where delta varies by less than so many units of rounding, centered columns are known to four digits or fewer."""

SMALLEST = float(np.finfo(np.float64).tiny)
"""Below it numbers lose digits one by one."""

ABOUT_AGOP = (
    *("cosine", "pearson", "cosine_centered", "cosine_sqrt", "pearson_sqrt", "pearson_sqrt_centered"),
    *("ci_low", "ci_high", "probe_error", "alpha_best", "cosine_alpha_best", "cosine_alpha_linear"),
    *("delta_cosine", "cnfa_cosine", "cnfa_pearson", "agop_trace", "agop_effective_rank"),
    *("subspace_overlap", "subspace_overlap_null"),
)
"""The columns that are NaN where the AGOP is rounding."""

NEEDS_INIT = (
    *("untrained_cosine", "untrained_cosine_sqrt", "init_cosine", "init_pearson"),
    *("init_cosine_null", "delta_norm", "delta_cosine", "cnfa_cosine", "cnfa_pearson"),
)
"""The columns that are NaN without the network before training."""


def layer_columns(measured: Measured, init: Measured | None) -> dict[str, Any]:
    """Return every column but `layer` for what was measured of a layer, and of the same layer before training."""
    weight = Weight(measured.layer.weight)
    nfm = FactoredMatrix(weight)
    centered = FactoredMatrix(weight, measured.S_centered)
    agop = centered.plus(measured.mean)
    for matrix, called in ((nfm, "NFM"), (agop, "AGOP")):
        if matrix.scale < SMALLEST or matrix.trace() == math.inf:
            raise InputError("net", f"the {called} of layer {measured.layer.name} leaves the range of float64")
    scan = PowerScan(nfm, agop)
    alpha_linear = 1.0 / measured.layer.to_output
    similar, correlated = cosine_and_pearson(nfm, agop)
    traces = group_traces(measured, nfm, agop)
    ci_low, ci_high = interval(traces)
    alpha_best, cosine_alpha_best = scan.best()
    overlap, overlap_null = subspace_overlap(nfm, agop)
    row: dict[str, Any] = {
        "name": measured.layer.name,
        "d_in": weight.d,
        "d_out": weight.k,
        "rows": measured.rows,
        "cosine": similar,
        "pearson": correlated,
        "cosine_sqrt": scan.cosine(0.5),
        "pearson_sqrt": scan.pearson(0.5),
        "ci_low": ci_low,
        "ci_high": ci_high,
        "probe_error": probe_error(traces),
        "alpha_best": alpha_best,
        "cosine_alpha_best": cosine_alpha_best,
        "alpha_linear": alpha_linear,
        "cosine_alpha_linear": scan.cosine(alpha_linear),
        "nfm_trace": nfm.trace(),
        "agop_trace": agop.trace(),
        "nfm_effective_rank": nfm.effective_rank(),
        "agop_effective_rank": agop.effective_rank(),
        "subspace_overlap": overlap,
        "subspace_overlap_null": overlap_null,
        "trivial": measured.trivial,
        "note": _note(measured, nfm, agop, correlated, init),
    }
    row |= _centered(measured, nfm, centered)
    row |= dict.fromkeys(NEEDS_INIT, math.nan) if init is None else _against_init(measured, nfm, agop, init)
    if reason := _drowned(measured, nfm, agop):
        row |= dict.fromkeys(ABOUT_AGOP, math.nan) | {"note": reason}
    return {column: row[column] for column in COLUMNS if column != "layer"}


def _drowned(measured: Measured, nfm: FactoredMatrix, agop: FactoredMatrix) -> str:
    """Return why nothing is known of the AGOP, in words; nothing where something is."""
    size = float(measured.S.trace())
    if size == 0 or nfm.norm() == 0:
        return ""
    # What the product W'SW itself leaves of S, where W's columns lie where S is nearly 0.
    left = torch.finfo(nfm.weight.W.dtype).eps * size * nfm.trace()
    if agop.trace() > left and (measured.rounding is None or measured.rounding.error < 1):
        return ""
    return "the gradients cancel to rounding: trace and directions of the AGOP are undefined"


def _centered(measured: Measured, nfm: FactoredMatrix, centered: FactoredMatrix) -> dict[str, float]:
    if measured.trivial or measured.rows == 1:
        return {"cosine_centered": math.nan, "pearson_sqrt_centered": math.nan}
    return {
        "cosine_centered": cosine(nfm, centered),
        "pearson_sqrt_centered": PowerScan(nfm, centered).pearson(0.5),
    }


def _against_init(measured: Measured, nfm: FactoredMatrix, agop: FactoredMatrix, init: Measured) -> dict[str, float]:
    weight = nfm.weight
    weight_0 = Weight(init.layer.weight)
    moved_by = measured.layer.weight.cpu().to(weight.W.dtype) - init.layer.weight.cpu().to(weight_0.W.dtype)
    nfm_0 = FactoredMatrix(weight_0)
    agop_0 = FactoredMatrix(weight_0, init.S)
    moved = Weight(moved_by)
    nfm_moved = FactoredMatrix(moved)
    init_cosine, init_pearson = cosine_and_pearson(nfm, nfm_0)
    # The authors' own measure: dW in place of W on both sides.
    cnfa_cosine, cnfa_pearson = cosine_and_pearson(nfm_moved, FactoredMatrix(moved, agop.S))
    return {
        "untrained_cosine": cosine(nfm_0, agop_0),
        "untrained_cosine_sqrt": PowerScan(nfm_0, agop_0).cosine(0.5),
        "init_cosine": init_cosine,
        "init_pearson": init_pearson,
        "init_cosine_null": weight.k / (weight.k + weight.d),
        "delta_norm": _ratio(moved.unit * _frobenius(moved.W), weight.unit * _frobenius(weight.W)),
        "delta_cosine": cosine(nfm_moved, agop),
        "cnfa_cosine": cnfa_cosine,
        "cnfa_pearson": cnfa_pearson,
    }


def _frobenius(W: Tensor) -> float:
    return math.sqrt(float(torch.linalg.vecdot(W, W).sum(dtype=torch.float64)))


def _ratio(a: float, b: float) -> float:
    return a / b if b > 0 else math.nan


def _note(
    measured: Measured, nfm: FactoredMatrix, agop: FactoredMatrix, correlated: float, init: Measured | None
) -> str:
    notes = []
    alive = nfm.norm() > 0 and agop.norm() > 0
    if nfm.norm() == 0:
        notes.append("the weight is zero: similarities are undefined")
    elif agop.norm() == 0:
        notes.append("dead: the chosen outputs do not depend on this layer on any row, similarities are undefined")
    else:
        silent = int((measured.S.diagonal() == 0).sum())
        if silent:
            notes.append(f"{silent} of {nfm.weight.k} units have no gradient on any row")
        if math.isnan(correlated):
            notes.append("all entries of the NFM or of the AGOP are the same: Pearson is undefined")
    if measured.trivial:
        notes.append("trivial: delta is the same for every row, so NFM = AGOP up to S; centered columns are undefined")
    elif measured.rows == 1:
        notes.append("one row: the centered AGOP is 0 and its columns are undefined")
    else:
        # Relative to its mean, delta is known to so many digits.
        varies = math.sqrt(max(0.0, float(measured.S_centered.trace())) / float(measured.S.trace())) if alive else 1.0
        if varies < FEW_DIGITS * torch.finfo(nfm.weight.W.dtype).eps:
            notes.append(f"delta varies by {varies:.0e} of its size: centered columns carry few digits")
    if int((measured.sums.rows > 0).sum()) < 2:
        notes.append("too few samples for an interval")
    if measured.probes is not None:
        notes.append(
            f"{measured.probes} random probes: AGOP and its trace are unbiased, "
            "similarities and centered columns are not"
        )
    if init is not None and bool((measured.layer.weight.cpu() == init.layer.weight.cpu()).all()):
        notes.append("the weights are those of init: columns about their change are undefined")
    return "; ".join(notes)
