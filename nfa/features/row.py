"""One layer's row of an audit: small functions, each of which gives a few columns of one group."""

import math
from collections.abc import Callable, Collection
from typing import Any

from nfa.features.alignment import NO_ALIGNMENT, rotated_cosine
from nfa.features.columns import COLUMNS, names
from nfa.features.fact import fact_columns
from nfa.features.interval import interval, probe_error
from nfa.features.layer_measures import LayerMeasures
from nfa.features.notes import note, undefined_agop
from nfa.features.powers import PowerScan
from nfa.features.similarity import cosine, cosine_and_pearson
from nfa.features.subspace import subspace_overlap

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
    """The certainty of the alignment."""
    undefined = bool(layer.alignment.undefined)
    low, high = (math.nan, math.nan) if undefined else interval(layer.traces.alignment)
    return {"alignment_low": low, "alignment_high": high}


def centered_alignment(layer: LayerMeasures) -> Columns:
    """The same with the centered S."""
    found = layer.aligned(layer.centered, layer.measured.centered) if layer.varies else NO_ALIGNMENT
    return {"alignment_centered": found.value, "alignment_centered_z": found.z}


def similarities(layer: LayerMeasures) -> Columns:
    """NFM against the AGOP, beside S turned at random."""
    similar, correlated = layer.similarity
    rotated = rotated_cosine(layer.C_moments, layer.measured.second.moments)
    return {"cosine": similar, "rotated_cosine": rotated, "pearson": correlated}


def centered_similarity(layer: LayerMeasures) -> Columns:
    """NFM against the centered AGOP."""
    return {"cosine_centered": cosine(layer.centered, layer.nfm) if layer.varies else math.nan}


def roots(layer: LayerMeasures) -> Columns:
    """NFM against the square root of the AGOP."""
    return {"cosine_sqrt": layer.scan.cosine(0.5), "pearson_sqrt": layer.scan.pearson(0.5)}


def centered_root(layer: LayerMeasures) -> Columns:
    """NFM against the square root of the centered AGOP."""
    value = PowerScan(layer.nfm, layer.centered).pearson(0.5) if layer.varies else math.nan
    return {"pearson_sqrt_centered": value}


def certainty(layer: LayerMeasures) -> Columns:
    """The certainty of the cosine."""
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
    second = layer.untrained.second.to(nfm.weight.W.device)
    agop = second.under(nfm.weight)
    aligned = layer.aligned(agop, second)
    return {
        "untrained_cosine": cosine(agop, nfm),
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
    # Two NFMs of one input are numbers, with cosine 1 wherever the weights went.
    moved = (1 - kept) / (1 - null) if layer.weight.d > 1 else math.nan
    return {
        "init_cosine": similar,
        "init_pearson": correlated,
        "init_cosine_null": null,
        "moved": moved,
    }


def changes(layer: LayerMeasures) -> Columns:
    """The weight's change: its size, and its Gram matrix against the AGOP."""
    if layer.change is None:
        return {}
    moved = layer.change
    # arXiv:2402.05271: dW in place of W on both sides.
    of_change = layer.measured.second.under(moved.weight)
    aligned = layer.aligned(of_change, layer.measured.second)
    similar, correlated = cosine_and_pearson(of_change, moved)
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
    return {"trivial": layer.measured.trivial, "note": note(layer)}


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
"""The functions, each with the columns that it gives; a number that its function does not give is NaN.

"verdict" is missing: an audit gives it, from the whole row and the network's score.
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
    if reason := undefined_agop(layer):
        found |= dict.fromkeys(ABOUT_AGOP, math.nan) | {"note": reason}
    return {name: found.get(name, math.nan) for name in COLUMNS if name in wanted}
