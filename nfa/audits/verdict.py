"""Verdicts by stated rules: what a network's score shows, and in one word what a layer's numbers show."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nfa.common.checks import number
from nfa.features.alignment import excess
from nfa.network.scoring import ORDER_DOUBTED, Score

VERDICTS = {
    "learned": "the weights moved away from their initialisation and are aligned with the output's gradients",
    "moved": "the weights moved, but are not aligned",
    "kept": "the weights are nearly those of the initialisation",
    "aligned": "aligned, but whether the weights moved is unknown: no initialisation, or a layer of one input",
    "unclear": "the network does not show that it learned, or the layer's numbers do not decide",
    "trivial": "the gradient is the same for every sample, so that alignment says nothing about data",
    "dead": "the weight is 0, or the outputs do not depend on the layer",
    "no score": "no targets, so that nothing shows that the network learned",
}
"""Every verdict on a layer, and when it is given."""

DECIDING = frozenset(
    {
        *("nfm_trace", "agop_trace", "moved", "alignment_z", "alignment_excess"),
        *("alignment_low", "alignment_null", "alignment_null_sd", "untrained_alignment", "untrained_alignment_null"),
    }
)
"""The columns that a layer's verdict is made from, beside `trivial`, which every audit has."""

CLEAR_SKILL = 0.25
"""Without init: the share of the way from a constant answer to perfection that no untrained network makes by luck.

Below it a score cannot tell.
"""

FEW_CLASSES, CLEAR_SKILL_OF_FEW = 0.3, 0.75
"""If a constant answer's accuracy is above the first, as with two or three classes, that share is the second.

One lucky direction tells two classes apart: one in ten untrained networks makes a quarter of the way, one in 480 this.
"""

HELD_OUT = ("val", "test")
"""Rows that a network is not trained on."""
UNMEASURED = (
    " This rests on the score alone: without init= (--init) nobody knows what the untrained network scored, and one "
    "that passes its inputs on to its outputs may score as well."
)
"""Said of a network that has learned by its score, where the network before training is not at hand."""


@dataclass(frozen=True)
class Thresholds:
    """The conventions by which a layer counts as aligned and as moved.

    Args:
        z: Least `alignment_z`.
        excess: Least `alignment_excess`.
        moved: Least `moved`.

    Raises:
        InputError: a threshold that is no finite number of at least 0.

    >>> Thresholds().in_words()
    'aligned: z of 3 or more, excess of 0.05 or more, interval further above chance than the untrained network; \
moved: 0.05 or more'
    """

    z: float = 3.0
    excess: float = 0.05
    moved: float = 0.05

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name, value in vars(self).items():
            number(f"thresholds.{name}", value)

    def in_words(self) -> str:
        """Return what aligned and moved mean."""
        return (
            f"aligned: z of {self.z:g} or more, excess of {self.excess:g} or more, interval further above chance than "
            f"the untrained network; moved: {self.moved:g} or more"
        )


CONVENTIONS = Thresholds()


@dataclass(frozen=True)
class NetworkVerdict:
    """Whether a network has learned its task (True, False, or None where it is not known), and why, in words.

    `scored` is whether it has a score.
    """

    learned: bool | None
    reason: str
    scored: bool = True

    @property
    def for_layers(self) -> bool | None:
        """What `layer_verdict` takes as learned: a score that cannot tell leaves it to the layers' own numbers."""
        return self.learned is not False if self.scored else None


def network_verdict(score: Score | None, before: Score | None, order_known: bool) -> NetworkVerdict:
    """Compare a network's score with a constant answer's and, where there is one, the untrained network's.

    A similarity alone shows nothing: a network that predicts the mean can have cosine(NFM, AGOP) = 1.

    Args:
        score: Of the network.
        before: Of the network before training.
        order_known: Whether the label of each output is known.
    """
    if score is None or math.isnan(score.value):
        why = "There are no targets to score the network on"
        if score is not None:
            why = f"The targets are the same on {score.measured_on}, so that R^2 is not defined"
        return NetworkVerdict(None, f"{why}: nothing here shows that the network learned.", scored=False)
    kind = "accuracy" if score.metric == "accuracy" else "R^2"
    rows = score.measured_on
    says = f"{kind} {score.value:.3f} on {rows}, where a constant answer has {score.baseline:.3f}"
    if score.constant:
        return NetworkVerdict(False, f"The network has learned nothing: it gives every row the same output ({says}).")
    floor, rival = score.baseline + score.margin_over_constant, "a constant answer"
    if before is not None:
        says += f" and the untrained network {before.value:.3f}"
        above = before.value + score.margin_over(before)
        if before.value > score.baseline and above > floor:
            floor, rival = above, "the untrained network"
    if score.metric == "accuracy" and score.value < score.baseline - score.margin_over_constant:
        return NetworkVerdict(
            False,
            "The network has learned nothing that its score shows: it is clearly below a constant answer "
            f"({says}){'' if order_known else '; ' + ORDER_DOUBTED}.",
        )
    if score.value <= floor:
        return NetworkVerdict(
            False,
            "The network has learned nothing that its score shows: it is not clearly better, by three standard errors, "
            f"than {rival} ({says}).",
        )
    if before is None and (score.value - score.baseline) < clear_skill(score) * (1 - score.baseline):
        return NetworkVerdict(
            None,
            f"The network is better than a constant answer, but an untrained network may do as well ({says}); init= "
            "(--init), the network before training, tells.",
        )
    unmeasured = "" if before is not None else UNMEASURED
    return NetworkVerdict(True, f"The network has learned its task: {says}.{unmeasured}{_rows_doubted(score)}")


def clear_skill(score: Score) -> float:
    """Return the share of the way from a constant answer to perfection by which a score alone shows learning.

    >>> [clear_skill(Score("accuracy", 0.8, baseline, 100, "test", constant=False)) for baseline in (0.1, 0.5)]
    [0.25, 0.75]
    """
    few = score.metric == "accuracy" and score.baseline > FEW_CLASSES
    return CLEAR_SKILL_OF_FEW if few else CLEAR_SKILL


def _rows_doubted(score: Score) -> str:
    """Return a sentence that the score may be of training rows, unless the rows are held out."""
    if score.rows in HELD_OUT:
        return ""
    known = "These are training rows" if score.rows == "train" else "Nothing says that these rows were held out"
    return f" {known}: on rows that a network was trained on, a score shows what was fitted, not what holds for others."


def is_trivial(row: Mapping[str, Any]) -> bool:
    """Return whether every sample has the same gradient at a layer: NFM and AGOP then agree by construction.

    A narrow interval is no sign of it: a W of rank 1 has cosine 1 for every sample, whatever the gradients are.
    """
    return bool(row["trivial"])


def is_dead(row: Mapping[str, Any]) -> bool:
    """Return whether the weight is 0, or the outputs do not depend on the layer."""
    return 0.0 in (row["nfm_trace"], row["agop_trace"])


def is_aligned(row: Mapping[str, Any], thresholds: Thresholds) -> bool:
    """Return whether W's left vectors lie where the output's gradients are, beyond chance and by enough to matter."""
    return bool(
        row["alignment_z"] >= thresholds.z
        and row["alignment_excess"] >= thresholds.excess
        and row["alignment_low"] > row["alignment_null"]
        and not is_as_before(row)
    )


def can_tell(row: Mapping[str, Any], thresholds: Thresholds) -> bool:
    """Return whether the layer has enough units for an alignment of 1 to reach the threshold of z."""
    return bool(1 - row["alignment_null"] >= thresholds.z * row["alignment_null_sd"])


def is_as_before(row: Mapping[str, Any]) -> bool:
    """Return whether the alignment is no further above chance than before training, where that is known.

    Each alignment is compared with its own null, which depends on the spectra, and training changes these.
    """
    before = excess(row["untrained_alignment"], row["untrained_alignment_null"])
    return not math.isnan(before) and excess(row["alignment_low"], row["alignment_null"]) <= before


def knows_moved(row: Mapping[str, Any]) -> bool:
    """Return whether it is known how far the weights moved; it is not without init, nor for a layer of one input."""
    return not math.isnan(row["moved"])


def layer_verdict(row: Mapping[str, Any], learned: bool | None, thresholds: Thresholds) -> str:
    """Return the verdict on a layer: a key of `VERDICTS`.

    Args:
        row: The layer's columns.
        learned: Whether the network may have learned its task; None without a score (`NetworkVerdict.for_layers`).
        thresholds: What counts as aligned and as moved.
    """
    if is_dead(row):
        return "dead"
    if is_trivial(row):
        return "trivial"
    if learned is None:
        return "no score"
    if not learned:
        return "unclear"
    if knows_moved(row) and row["moved"] < thresholds.moved:
        return "kept"
    if math.isnan(row["alignment_low"]):
        return "unclear"  # nothing to align, or too few samples to say how sure the alignment is
    if not can_tell(row, thresholds):
        return "unclear"
    if is_aligned(row, thresholds):
        return "learned" if knows_moved(row) else "aligned"
    return "moved" if knows_moved(row) else "unclear"
