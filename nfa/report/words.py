"""An audit in plain words: what the network's score shows, then what each layer's numbers show."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from nfa.audits.audit import Audit, LayerAudit
from nfa.audits.verdict import (
    CONVENTIONS,
    NetworkVerdict,
    Thresholds,
    can_tell,
    is_aligned,
    is_as_before,
    knows_moved,
    network_verdict,
)
from nfa.common.errors import InputError
from nfa.common.shown import printable
from nfa.features.alignment import excess

AT_REST = 0.3
"""Above this `fact_rest` training is not at rest, and the theorem says nothing."""


APART = 0.3
"""If the centered cosine is lower than the plain one by more than this, NFM and AGOP agree in the mean gradient."""

MANY_DIGITS = 6
"""From one in 10^6 on, only a power of ten is given."""

MOST_DIGITS = 300
"""Beyond one in 10^300, no number is given."""

MOST_SIGNIFICANT = 17
"""Digits that tell any two numbers of float64 apart."""

NARROW = "one in 150"
"""The share of layers of 16 to 64 units above z = 3 in untrained networks (0.7 %); not measured at other thresholds."""

EARLIER = ""
"""In the place of a verdict, for audits of version 0.1.0."""

SPOKEN = (
    *("verdict", "alignment", "alignment_low", "alignment_high", "alignment_null", "alignment_null_sd"),
    *("alignment_z", "alignment_excess", "cosine", "ci_low", "ci_high", "rotated_cosine", "cosine_centered"),
    *("untrained_alignment", "untrained_alignment_null", "init_cosine", "init_cosine_null", "moved", "delta_alignment"),
    *("delta_alignment_null", "delta_alignment_z", "nfm_trace", "agop_trace"),
)
"""The columns that sentences need, beside those that every audit has."""


def verdict(audit: Audit) -> NetworkVerdict:
    """Return whether a network has learned its task, and why, in words; layers have their own column `verdict`."""
    return network_verdict(audit.score, audit.init_score, bool(audit.about.classes))


def sentences(audit: Audit) -> list[str]:
    """Return what the network's score shows and how many layers are aligned, then a sentence or two for each layer.

    Raises:
        InputError: an audit of some columns, which lacks one that sentences need.
    """
    there = SPOKEN if audit.about.of_first_version else audit.about.columns
    if missing := [name for name in SPOKEN if name not in there]:
        raise InputError(
            "columns",
            f"this audit lacks {', '.join(missing)}, which sentences and pages need: audit the network with these "
            "columns too, or without columns=",
        )
    found = verdict(audit)
    first = " ".join([found.reason, *over_layers(audit)])
    return [first, *(layer_sentence(layer, found.for_layers, audit.about.thresholds) for layer in audit)]


def over_layers(audit: Audit) -> list[str]:
    """Return how many layers are aligned and how many would be by chance; [] without layers that can be judged."""
    thresholds = audit.about.thresholds
    rows = [layer.row for layer in audit if layer.row.get("verdict", EARLIER) not in (EARLIER, "trivial", "dead")]
    rows = [row for row in rows if not math.isnan(row["alignment_z"])]
    if not rows:
        return []
    aligned = sum(is_aligned(row, thresholds) for row in rows)
    counted = f"{aligned} of {len(rows)} {'layer' if len(rows) == 1 else 'layers'} aligned"
    return [f"{counted}; at z of {thresholds.z:g}, {_by_chance(thresholds.z)}."]


def conventions(audit: Audit) -> str:
    """Return by which thresholds the layers' verdicts were given."""
    return f"Conventions: {audit.about.thresholds.in_words()}."


def layer_sentence(layer: LayerAudit, learned: bool | None, thresholds: Thresholds) -> str:
    """Return what a layer's numbers show, each beside its null.

    Args:
        layer: The layer, with its verdict.
        learned: Whether the network has learned its task.
        thresholds: What counts as aligned and as moved.
    """
    row = layer.row
    known = not math.isnan(row["cosine"]) or row.get("verdict") == "kept"
    says = _SAYS[row.get("verdict", EARLIER)](row, learned, thresholds) if known else _nothing(row)
    return f"Layer {printable(row['name'])} ({row['d_in']} to {row['d_out']}): {says}{_fact(row)}"


def _learned(row: Mapping[str, Any], learned: bool | None, thresholds: Thresholds) -> str:
    as_ansatz = " as the ansatz describes it" if _above_null(row) else ""
    return (
        f"consistent with feature learning{as_ansatz}: the weights moved away from their initialisation "
        f"({_moved(row)}), and they point where the output's gradients do ({_alignment(row, thresholds)}). "
        f"{_alike(row)}{_in_the_mean(row)} One trained network; other seeds may differ."
    )


def _only_moved(row: Mapping[str, Any], learned: bool | None, thresholds: Thresholds) -> str:
    return (
        f"the weights moved ({_moved(row)}), but they {_short_of_aligned(row, thresholds)}. "
        "No evidence for the ansatz here; that is not evidence that nothing was learned."
    )


def _kept(row: Mapping[str, Any], learned: bool | None, thresholds: Thresholds) -> str:
    says = (
        f"the weights are nearly those of the initialisation ({_moved(row)}). What this layer computes was mostly "
        "there before training."
    )
    if row["delta_alignment_z"] >= thresholds.z:
        says += (
            f" Their change points where the output's gradients do (alignment of dW {row['delta_alignment']:.2f}; "
            f"by chance {row['delta_alignment_null']:.2f})."
        )
    return says


def _aligned(row: Mapping[str, Any], learned: bool | None, thresholds: Thresholds) -> str:
    tell = "give init= (--init) to tell"
    if not math.isnan(row["init_cosine"]):
        tell = "whether this one moved, the NFM of one input cannot tell"
    return (
        f"W and the gradients are aligned beyond chance ({_alignment(row, thresholds)}). {_alike(row)}"
        f"{_in_the_mean(row)} A random layer under a trained head can be aligned too: {tell}."
    )


def _unclear(row: Mapping[str, Any], learned: bool | None, thresholds: Thresholds) -> str:
    if not learned:
        return _numbers(row, thresholds) + "; but the network has learned nothing that its score shows" + _NO_SIGN
    if math.isnan(row["alignment"]):
        return (
            f"alignment is undefined ({row['note']}), so that these numbers do not decide; {_numbers(row, thresholds)}."
        )
    if math.isnan(row["alignment_low"]):
        return f"{_numbers(row, thresholds)}; too few samples to say how sure that is."
    return (
        f"W's left vectors {_short_of_aligned(row, thresholds)}. No evidence for the ansatz here; that is not "
        "evidence that nothing was learned."
    )


def _no_score(row: Mapping[str, Any], learned: bool | None, thresholds: Thresholds) -> str:
    return _numbers(row, thresholds) + "; but no score shows that the network learned" + _NO_SIGN


def _trivial(row: Mapping[str, Any], learned: bool | None, thresholds: Thresholds) -> str:
    return (
        f"its gradient is the same for every sample, so cosine(NFM, AGOP) = {row['cosine']:.3f} compares weights with "
        "weights and says nothing about learning from data."
    )


def _dead(row: Mapping[str, Any], learned: bool | None, thresholds: Thresholds) -> str:
    return _nothing(row)


def _nothing(row: Mapping[str, Any]) -> str:
    return f"nothing can be said ({row['note']})."


def _earlier(row: Mapping[str, Any], learned: bool | None, thresholds: Thresholds) -> str:
    return (
        f"NFM and AGOP have cosine {row['cosine']:.2f}; version 0.1.0 measured this, which gives no verdicts: audit "
        "the network again."
    )


_SAYS: dict[str, Callable[[Mapping[str, Any], bool | None, Thresholds], str]] = {
    "learned": _learned,
    "moved": _only_moved,
    "kept": _kept,
    "aligned": _aligned,
    "unclear": _unclear,
    "trivial": _trivial,
    "dead": _dead,
    "no score": _no_score,
    EARLIER: _earlier,
}
"""The functions that make a layer's sentence, by verdict."""

_NO_SIGN = ", so this is no sign of learned features."


def _moved(row: Mapping[str, Any]) -> str:
    return f"NFM cosine {row['init_cosine']:.2f}; unrelated weights {row['init_cosine_null']:.2f}"


def _alignment(row: Mapping[str, Any], thresholds: Thresholds) -> str:
    """Return the numbers that are judged: the alignment, its null, z and excess, and the same before training."""
    says = f"alignment {row['alignment']:.2f}"
    if not math.isnan(row["alignment_low"]):
        says += f", 95 % over rows {row['alignment_low']:.2f} to {row['alignment_high']:.2f}"
    says += f"; by chance {row['alignment_null']:.2f} ± {row['alignment_null_sd']:.2f}"
    if not math.isnan(row["alignment_z"]):
        says += f"; z {_beside(row['alignment_z'], thresholds.z)}"
        says += f", excess {_beside(row['alignment_excess'], thresholds.excess, 2)}"
    if not math.isnan(row["untrained_alignment"]):
        before = row["untrained_alignment"], row["untrained_alignment_null"]
        says += f"; untrained {before[0]:.2f}, by chance {before[1]:.2f}, excess {excess(*before):#.2g}"
    return says


def _beside(value: float, threshold: float, digits: int = 3) -> str:
    """Return a number with as many digits as show on which side of a threshold it lies."""
    while digits < MOST_SIGNIFICANT and (float(f"{value:.{digits}g}") >= threshold) != (value >= threshold):
        digits += 1
    return f"{value:#.{digits}g}"


def _cosine(row: Mapping[str, Any]) -> str:
    return f"cosine {row['cosine']:.2f} ({row['rotated_cosine']:.2f} with the gradients turned at random)"


def _above_null(row: Mapping[str, Any]) -> bool:
    """Return whether NFM and AGOP are clearly more alike than with the gradients turned at random."""
    return bool(row["ci_low"] > row["rotated_cosine"])


def _alike(row: Mapping[str, Any]) -> str:
    """Return how alike NFM and AGOP are, beside the same with the gradients turned at random, as a sentence."""
    if _above_null(row):
        return f"NFM and AGOP: {_cosine(row)}."
    less = "less" if row["ci_high"] < row["rotated_cosine"] else "not clearly more"
    return (
        f"But NFM and AGOP themselves are {less} alike than with the gradients turned at random (cosine "
        f"{row['cosine']:.2f}, 95 % over rows {row['ci_low']:.2f} to {row['ci_high']:.2f}, against "
        f"{row['rotated_cosine']:.2f}): no evidence for the ansatz, which is about these two."
    )


def _in_the_mean(row: Mapping[str, Any]) -> str:
    """Return a sentence if NFM and AGOP agree in the mean gradient alone."""
    if not row["cosine"] - row["cosine_centered"] > APART:
        return ""
    return (
        f" With the centered AGOP it is only {row['cosine_centered']:.2f}: they agree in the mean gradient, which is "
        "the same for every row, and hardly in what differs from row to row."
    )


def _numbers(row: Mapping[str, Any], thresholds: Thresholds) -> str:
    says = f"NFM and AGOP have {_cosine(row)}"
    if not math.isnan(row["alignment"]):
        says = f"{_alignment(row, thresholds)}; {says}"
    return f"{says}; NFM cosine with init {row['init_cosine']:.2f}" if knows_moved(row) else says


def _short_of_aligned(row: Mapping[str, Any], thresholds: Thresholds) -> str:
    """Return in what a layer falls short of being aligned."""
    numbers = _alignment(row, thresholds)
    if not can_tell(row, thresholds):
        if can_tell(row, CONVENTIONS):
            return f"could not reach the threshold of z, {thresholds.z:g}, with an alignment of 1 either ({numbers})"
        return f"are too few for alignment to be told from chance ({numbers})"
    gradients = "aligned with the output's gradients"
    if row["alignment_z"] <= -thresholds.z:
        return f"are less {gradients} than by chance ({numbers})"
    if row["alignment_z"] < thresholds.z:
        more = "not clearly more" if row["alignment_z"] > 0 else "no more"
        return f"are {more} {gradients} than by chance ({numbers}; the threshold of z is {thresholds.z:g})"
    if row["alignment_low"] <= row["alignment_null"]:
        return f"are not clearly more {gradients} than by chance ({numbers}; the interval reaches down to chance)"
    if is_as_before(row):
        low = excess(row["alignment_low"], row["alignment_null"])
        at_low = f"excess at the interval's lower end {low:#.2g}"
        return f"are not clearly further beyond chance {gradients} than before training ({numbers}; {at_low})"
    least = f"the threshold of excess is {thresholds.excess:g}"
    return f"are only a little more {gradients} than by chance ({numbers}; {least})"


def _fact(row: Mapping[str, Any]) -> str:
    """Return what the Features at Convergence Theorem shows, if it was requested and training is at rest."""
    if not {"fact_rest", "fact_cosine"} <= row.keys():
        return ""
    rest = row["fact_rest"]
    if math.isnan(rest) or rest > AT_REST:
        return ""
    return (
        f" Features at Convergence Theorem (FACT): training rests (|dL/dW + lambda W| is {rest:.2g} of |lambda W|), "
        f"and the NFM has cosine {row['fact_cosine']:.2f} with -(1/lambda) W' dL/dW."
    )


def _by_chance(z: float) -> str:
    """Return how many layers reach a z by chance: the normal tail, and that of narrow layers is heavier."""
    from scipy.special import log_ndtr

    digits = -float(log_ndtr(-z)) / math.log(10)
    if digits >= MANY_DIGITS:
        rare = f"fewer than one layer in 10^{math.floor(min(digits, MOST_DIGITS))}"
    else:
        power = 10.0 ** math.floor(digits)
        rare = f"about one layer in {round(10.0**digits / power) * power:.0f}"
    narrow = f"{NARROW} of narrow ones" if z == CONVENTIONS.z else "more of narrow ones"
    return f"{rare} is expected by chance, {narrow}"
