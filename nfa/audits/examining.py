"""The layers of a network, measured one after the other, so that what a caller drops makes room for the next."""

import logging
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from nfa.audits.about import About
from nfa.audits.init import Init
from nfa.audits.rows import Rows
from nfa.audits.scores import Scores
from nfa.audits.settings import Settings
from nfa.audits.sharing import shared
from nfa.audits.verdict import layer_verdict, network_verdict
from nfa.common.checks import number
from nfa.common.errors import InputError
from nfa.common.progress import progress
from nfa.common.version import __version__
from nfa.data.targets import IGNORED
from nfa.features.columns import names
from nfa.features.fact import loss_gradients
from nfa.features.layer_measures import LayerMeasures
from nfa.features.row import PUBLISHED, Columns, row
from nfa.network.forward import Forward
from nfa.network.model import Model
from nfa.network.scoring import Score
from nfa.network.training import mean_loss
from nfa.probe import Probe

_log = logging.getLogger(__name__)

Kept = TypeVar("Kept")


def examined(
    model: Model,
    rows: Rows,
    before: Init | None,
    settings: Settings,
    kept: Callable[[LayerMeasures, Columns], Kept],
) -> tuple[About, list[Kept]]:
    """Measure a network on rows that are prepared for it; return what is known of it and what was kept of each layer.

    Args:
        model: The network.
        rows: Its rows.
        before: The network before training, or None.
        settings: Those of the audit.
        kept: What to keep of a layer, from its measurements and its row of the table; all else is freed.

    Raises:
        InputError: as `nfa.audit` does.
    """
    rows = shared(model.net, rows)
    forward = settings.forward(model, rows)
    gradients = _loss_gradients(forward, rows, settings)
    decay = settings.weight_decay if settings.weight_decay is not None else _known_decay(model)
    with Probe(forward, rows.measured, settings.outputs, settings.groups) as probe:
        chosen = probe.choose(settings.layers)
        _log.info(
            "auditing %s on %s: %s", settings.name or model.name, rows.name, ", ".join(each.name for each in chosen)
        )
        scores = Scores(model, forward, rows, settings)
        init = None if before is None else before.measured(forward, rows, chosen, settings)
        numbers = {layer.name: number for number, layer in enumerate(probe.layers)}
        found = []
        with progress("auditing", len(chosen)) as advance:
            for measured in settings.measure(probe, chosen, whole=True, label="measuring", seen=scores.seen):
                name = measured.layer.name
                advance(0, f"layer {name}")
                initial = None if init is None else init.layers.get(name)
                if init is not None and initial is None:
                    raise InputError("init", f"its layer {name} cannot be measured, as the network's can")
                in_print = None
                if settings.needs(PUBLISHED) and initial is not None:
                    in_print = settings.published_columns(probe, measured.layer, initial)
                untrained, nfm = (None, None) if init is None else (init.sums.get(name), init.nfms[name])
                layer = LayerMeasures(
                    numbers[name], measured, initial, untrained, gradients.get(name), decay, in_print, nfm
                )
                columns = row(layer, settings.columns)
                if "verdict" in settings.columns:
                    init_score = None if init is None else init.score
                    learned = network_verdict(scores.found(), init_score, bool(model.classes)).for_layers
                    columns["verdict"] = layer_verdict(columns, learned, settings.thresholds)
                found.append(kept(layer, {name: columns[name] for name in settings.columns}))
                _log.debug("measured %s: %s", name, columns.get("verdict", "without a verdict"))
                advance(1)
        # After the pass over the data, which may show more layers that cannot be measured.
        about = _about(model, rows, settings, probe, scores.found(), None if init is None else init.score)
    for note in about.notes:
        _log.info("%s", note)
    return about, found


def _about(
    model: Model, rows: Rows, settings: Settings, probe: Probe, found_score: Score | None, init_score: Score | None
) -> About:
    return About(
        nfa_version=__version__,
        torch_version=str(torch.__version__),
        model=settings.name or model.name,
        notes=(*model.notes, *rows.notes, *_noted(model, rows, probe)),
        data=rows.name,
        split=rows.split,
        feature_names=rows.feature_names,
        feature_shape=rows.feature_shape or (),
        classes=model.classes or (),
        n_outputs=probe.n_outputs,
        outputs=settings.outputs_name,
        probes=settings.probes,
        seed=settings.seed,
        skipped=tuple(probe.skipped()),
        score=found_score,
        init_score=init_score,
        n_samples=probe.samples.n or 0,
        drawn=rows.drawn,
        columns=settings.columns,
        loss=settings.loss,
        thresholds=settings.thresholds,
    )


def _loss_gradients(forward: Forward, rows: Rows, settings: Settings) -> dict[str, Tensor]:
    """Return dL/dW by layer, where columns need it."""
    if settings.loss is None or not settings.needs(names(["fact"])):
        return {}
    with Probe(forward.own(), rows.measured, groups=settings.groups) as probe:
        return loss_gradients(probe, mean_loss(settings.loss))


def _noted(model: Model, rows: Rows, probe: Probe) -> tuple[str, ...]:
    """Return sentences on what the measuring itself has shown to be unusual."""
    return (*_of_probabilities(model, probe), *_of_several(rows, probe), *_of_ignored(rows))


def _of_probabilities(model: Model, probe: Probe) -> tuple[str, ...]:
    """Return a sentence where the outputs called logits are probabilities."""
    if probe.outputs != "logits" or model.ending is not None or not probe.probabilities:
        return ()
    return (
        "The network's outputs look like probabilities, and gradients are of these; for those of logits, give the part "
        "of the network before its softmax or sigmoid.",
    )


def _of_several(rows: Rows, probe: Probe) -> tuple[str, ...]:
    """Return a sentence where there is no score, because nothing says which output the targets are of."""
    if not (probe.forward.of_several and rows.has_targets):
        return ()
    return (
        "No score: the network returns several outputs, and outputs= is a function of all of them; head= says which "
        "one the targets are of.",
    )


def _of_ignored(rows: Rows) -> tuple[str, ...]:
    """Return a sentence where some positions have no label, if the targets are in memory."""
    y = getattr(rows.measured, "y", None)
    if y is None or y.ndim < 2 or y.is_floating_point() or not bool((y == IGNORED).any()):
        return ()
    return (
        f"Positions labelled {IGNORED} count for nothing in the score, but like all others in the AGOP "
        '(docs/auditing.md, "Padding", leaves them out).',
    )


def _known_decay(model: Model) -> float | None:
    """Return lambda where the training is known, and comes to rest where dL/dW = -lambda W."""
    if model.settings.get("optimizer") not in ("sgd", "adam"):
        return None
    known = model.settings.get("weight_decay")
    try:
        return None if known is None else number("weight_decay", known) or None
    except InputError as error:
        raise InputError("net", f"its file says a weight_decay that is none: {error.problem}") from error
