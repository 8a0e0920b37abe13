"""An audit in plain words: a verdict on the network, then a sentence for each layer."""

import math
from dataclasses import dataclass

from nfa.audits.audit import Audit, LayerAudit
from nfa.network.scoring import ERRORS, ORDER_DOUBTED, rows_in_words

CLEAR_SKILL = 0.25
"""Without init: the share of the way from a constant answer to perfection that no untrained network makes by luck."""

SAME = 1e-6
"""An interval over samples that is no wider shows that every sample has the same gradients."""

KEPT = 0.95
"""Above this cosine with its own initialisation a layer is said to have kept its initial features."""


APART = 0.3
"""Plain and centered cosine disagree where they are further apart: a lower centered one shows that NFM and AGOP agree
in the mean gradient alone."""


@dataclass(frozen=True)
class Verdict:
    """Whether a network has learned its task: True, False, or None where nothing tells; and why, in words."""

    learned: bool | None
    reason: str


def verdict(audit: Audit) -> Verdict:
    """Weigh a network's score against a constant answer's and, where there is one, the untrained network's.

    A similarity alone shows nothing: a network that predicts the mean can have cosine(NFM, AGOP) = 1.
    """
    score, before = audit.score, audit.init_score
    if score is None or math.isnan(score.value):
        return Verdict(None, "There are no targets to score the network on, so nothing here shows that it learned.")
    kind = "accuracy" if score.metric == "accuracy" else "R^2"
    rows = rows_in_words(score.n, score.rows)
    says = f"{kind} {score.value:.3f} on {rows}, where a constant answer has {score.baseline:.3f}"
    if score.constant:
        return Verdict(False, f"The network has learned nothing: it gives every row the same output ({says}).")
    floor, rival = score.baseline, "a constant answer"
    if before is not None:
        says += f" and the untrained network {before.value:.3f}"
        if before.value > floor:
            floor, rival = before.value, "the untrained network"
    if score.metric == "accuracy" and score.value < score.baseline - ERRORS * score.standard_error:
        return Verdict(
            False,
            "The network has learned nothing that its score shows: it is clearly below a constant answer "
            f"({says}){'' if audit.about.classes else '; ' + ORDER_DOUBTED}.",
        )
    if score.value <= floor + ERRORS * score.standard_error:
        return Verdict(
            False,
            "The network has learned nothing that its score shows: it is not clearly better, by three standard errors, "
            f"than {rival} ({says}).",
        )
    if before is None and (score.value - score.baseline) < CLEAR_SKILL * (1 - score.baseline):
        return Verdict(
            False,
            f"The network has learned nothing that its score shows: an untrained network may do as well ({says}); "
            "hand over the network before training to tell.",
        )
    return Verdict(True, f"The network has learned its task: {says}.")


def layer_sentence(layer: LayerAudit, learned: bool | None) -> str:
    """Say in one sentence what a layer's numbers show, each beside its null, given whether the network learned."""
    row = layer.row
    name = f"Layer {row['layer']} ({row['name']}, {row['d_in']} to {row['d_out']})"
    same = "row" if row["trivial"] else "sample" if row["ci_high"] - row["ci_low"] <= SAME else ""
    if same:
        return (
            f"{name}: its gradient is the same for every {same}, so cosine(NFM, AGOP) = {row['cosine']:.2f} compares "
            "weights with weights and says nothing about learning from data."
        )
    if math.isnan(row["cosine"]):
        return f"{name}: nothing can be said ({row['note']})."
    chance = layer.chance
    untrained = row["untrained_cosine"]
    known = not math.isnan(untrained)
    says = f"cosine(NFM, AGOP) is {row['cosine']:.2f}"
    if not math.isnan(row["ci_low"]):
        says += f" (95 % interval {row['ci_low']:.2f} to {row['ci_high']:.2f})"
    nulls = f"{chance:.2f} for independent random weights"
    if known:
        nulls = f"{untrained:.2f} in the untrained network and {nulls}"
    if learned is not True:
        why = (
            "the network has learned nothing that its score shows"
            if learned is False
            else "no score shows that the network learned"
        )
        return f"{name}: {says}, against {nulls}; but {why}, so this is no sign of learned features."
    low = row["cosine"] if math.isnan(row["ci_low"]) else row["ci_low"]
    if known and row["init_cosine"] > KEPT:
        end = (
            f"its NFM is still that of its initialisation (cosine {row['init_cosine']:.2f}), whose features it has kept"
        )
    elif low <= max(chance, untrained if known else chance):
        end = "not clearly above, so this layer shows no sign of learned features"
        if row["cosine_centered"] - row["cosine"] > APART:
            end += f" (with the centered AGOP it is {row['cosine_centered']:.2f}, for which there are no nulls here)"
    elif row["cosine"] - row["cosine_centered"] > APART:
        end = (
            f"but with the centered AGOP it is only {row['cosine_centered']:.2f}: NFM and AGOP agree in the mean "
            "gradient, which is the same for every row, and hardly in what differs from row to row, so this is no "
            "clear sign of learned features"
        )
    elif known:
        end = (
            f"and its NFM has moved away from its initialisation (cosine {row['init_cosine']:.2f}, by chance "
            f"{row['init_cosine_null']:.2f}): this layer has learned features"
        )
    else:
        end = "well above, as in layers that have learned features; the network before training would settle it"
    return f"{name}: {says}, against {nulls}; {end}."


def sentences(audit: Audit) -> list[str]:
    """Return the verdict, then a sentence for each layer."""
    found = verdict(audit)
    return [found.reason, *(layer_sentence(layer, found.learned) for layer in audit)]
