"""One call: a network and data in, an audit out."""

# So that `help(nfa.audit)` shows the types as they are written here, and not by all their modules.
from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nfa.audits.about import About
from nfa.audits.audit import Audit, LayerAudit
from nfa.audits.init import Init
from nfa.audits.rows import Rows, rows_of
from nfa.audits.scores import Scores
from nfa.audits.settings import Settings
from nfa.audits.sharing import shared
from nfa.audits.verdict import CONVENTIONS, Thresholds, layer_verdict, network_verdict
from nfa.common.checks import one_of, positive
from nfa.common.errors import InputError
from nfa.common.precision import stated_precision
from nfa.common.processes import processes
from nfa.common.progress import progress
from nfa.common.version import __version__
from nfa.features.columns import chosen, names
from nfa.features.fact import loss_gradients
from nfa.features.layer_measures import LayerMeasures
from nfa.features.row import PUBLISHED, row
from nfa.formats.loading import load, load_init
from nfa.network.forward import Forward, ForwardArgs
from nfa.network.gathering import whole
from nfa.network.model import Model
from nfa.network.scoring import Score
from nfa.network.training import LOSSES, mean_loss
from nfa.probe import BATCH_SIZE, Probe, Select, untouched

_log = logging.getLogger(__name__)


@stated_precision()
def audit(
    net: nn.Module | Model | Any,
    data: Any,
    init: nn.Module | Model | Any | None = None,
    outputs: str | Select = "logits",
    *,
    forward_args: ForwardArgs | None = None,
    head: str | int | None = None,
    layers: str | None = None,
    classes: Iterable[Any] | None = None,
    split: str = "train",
    samples: int | None = None,
    probes: int | None = None,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
    loss: str | None = None,
    weight_decay: float | None = None,
    published: bool = False,
    groups: bool = False,
    columns: Iterable[str] | None = None,
    thresholds: Thresholds = CONVENTIONS,
    feature_shape: Sequence[int] | None = None,
    name: str | None = None,
) -> Audit:
    """Measure what every layer of a network has learned.

    Args:
        net: Any module that maps rows to floating-point outputs (it comes back as it was), or anything that
            `nfa.load` takes or returns: a file, a factory, an estimator.
        data: An `nfa.Dataset`, or anything `nfa.data.as_samples` takes. For a module, inputs as the network
            wants them; for what was loaded, as they were before its file's scaling or pipeline.
        init: The same network before training, for the nulls.
        outputs: "logits", "output:K", "predicted", "margin" or "probabilities"; or a function that maps the
            network's output to n rows of numbers: of the one that `head` chooses, or of whatever the network returns.
        forward_args: Maps a batch's inputs to the arguments of `forward`, where a tensor, a dict (by name) or a
            tuple (by place) does not fit: to a tuple, a dict or one argument.
        head: Which output, by key or position, where the network returns several.
        layers: A shell pattern of layer names; all by default.
        classes: The labels in the order of the network's outputs, as for `nfa.load`. By default the network's file says
            it; else whole numbers are the numbers of outputs, and text counts in sorted order.
        split: Which rows of a divided `Dataset` are measured; of anything else all are, which the record says.
        samples: That many samples, drawn at random (with `seed`); all by default. Of a stream, the first ones.
        probes: Random probes instead of one sweep per output, for many outputs.
        seed: Of `samples` and `probes`.
        batch_size: Samples at a time; no result depends on it.
        loss: "mse", "onehot_mse" or "cross_entropy": what the network was trained on. The table gains the
            columns of the group "fact" (see `features/columns.py`).
        weight_decay: That of SGD or Adam (AdamW comes to rest elsewhere); by default what the network's file says.
        published: Whether to add the numbers that the authors' scripts print, which are of another quantity (the group
            "published"); needs `init`, and probes the network anew 21 times for each layer.
        groups: Whether each group of a convolution in groups is a layer of its own, NAME.0, NAME.1, ...; otherwise one
            layer stands for all of them.
        columns: Names of columns, or of groups of them (see `features/columns.py`; where both have a name, it means the
            column). What is left out is not computed; sizes, `trivial` and notes are always there. All by default.
        thresholds: The conventions by which a layer counts as aligned and as moved (see `nfa.audits.Thresholds`).
        feature_shape: The shape of a row as a picture, (height, width) or (channels, height, width), for figures. By
            default the data's own, or that of rows that come as n x c x h x w.
        name: What to call the network in the record; its class by default.

    Where torch's default process group has several processes, all of them call it with the same network and samples:
    each measures its share of them, and all get the same audit.

    Returns:
        The audit; its score is that of the test rows where the data have some, else of the rows measured.

    Raises:
        InputError: no linear layer, data the network cannot take, an init of other shapes, entries that are not
            finite, an unknown name, published numbers without an init, columns that need another argument, a shape
            that no row has.

    Source: arXiv:2212.13881 (centered gradients: its code); alignment: arXiv:2402.05271; powers: arXiv:2510.15563.

    >>> from nfa.network import MLP
    >>> result = audit(MLP(6, 8, 1, 2), torch.randn(40, 6, generator=torch.Generator().manual_seed(0)))
    >>> result["layers.0"].agop.dense().shape
    torch.Size([6, 6])
    """
    if loss is not None:
        one_of("loss", loss, LOSSES)
    if probes is not None:
        positive("probes", probes)
    settings = Settings(
        outputs=outputs,
        forward_args=forward_args,
        head=head,
        layers=layers,
        probes=probes,
        seed=seed,
        batch_size=batch_size,
        loss=loss,
        weight_decay=weight_decay,
        published=published,
        groups=groups,
        asked=None if columns is None else chosen(columns),
        thresholds=thresholds,
        name=name,
    )
    with processes().together():
        model = whole(load(net, classes=classes, argument="net"))
        before = None if init is None else whole(load_init(init, model))
        rows = rows_of(model, data, split, samples, seed, feature_shape)
        if published and before is None:
            raise InputError(
                "published",
                "the published numbers are of the weights' change: give init=, the network before training, such as "
                "nfa.audit(net, data, net_before, published=True)",
            )
        return audit_rows(
            model, with_targets(model, rows, settings), None if before is None else Init(before), settings
        )


def with_targets(model: Model, rows: Rows, settings: Settings) -> Rows:
    """Return rows whose targets are in the form that the network's outputs need; outputs are counted on two samples.

    Raises:
        InputError: the network cannot take the rows, or the targets do not fit its outputs; a loss is asked for of a
            function of several outputs.
    """
    if not (model.scored and rows.has_targets):
        return rows
    forward = settings.forward(model, rows).own()
    with untouched(forward.net):
        positions, n_outputs = forward.extent(rows.measured.first(2))
    if forward.of_several:
        if settings.loss is not None:
            raise InputError(
                "loss", "outputs= is a function of several outputs; head= says which one the targets are of"
            )
        return rows
    return rows.with_targets(model, n_outputs, positions)


def audit_rows(model: Model, rows: Rows, before: Init | None, settings: Settings) -> Audit:
    """Measure a network on rows that are prepared for it, beside the same network before training; see `audit`."""
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
                columns = row(layer, settings.computed)
                if "verdict" in settings.columns:
                    init_score = None if init is None else init.score
                    learned = network_verdict(scores.found(), init_score, bool(model.classes)).for_layers
                    columns["verdict"] = layer_verdict(columns, learned, settings.thresholds)
                found.append(_layer_audit(layer, {name: columns[name] for name in settings.columns}))
                _log.debug("measured %s: %s", name, columns.get("verdict", "without a verdict"))
                advance(1)
        # After the pass over the data, which may show more layers that cannot be measured.
        about = _about(model, rows, settings, probe, scores.found(), None if init is None else init.score)
    for note in about.notes:
        _log.info("%s", note)
    return Audit(about, tuple(found))


def _about(
    model: Model, rows: Rows, settings: Settings, probe: Probe, found_score: Score | None, init_score: Score | None
) -> About:
    return About(
        nfa_version=__version__,
        torch_version=str(torch.__version__),
        model=settings.name or model.name,
        notes=(*model.notes, *rows.notes, *_of_probabilities(model, probe), *_of_several(rows, probe)),
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


def _known_decay(model: Model) -> float | None:
    """Return lambda where the training is known, and comes to rest where dL/dW = -lambda W."""
    if model.settings.get("optimizer") not in ("sgd", "adam"):
        return None
    return model.settings.get("weight_decay") or None


def _layer_audit(layer: LayerMeasures, columns: dict[str, Any]) -> LayerAudit:
    measured, init = layer.measured, layer.init
    init_weight = None if init is None else _copy(init.weight)
    own = measured.layer
    return LayerAudit(
        columns, _copy(own.weight), measured.second, measured.centered, init_weight, own.row_shape, own.one_hot
    )


def _copy(weight: Tensor) -> Tensor:
    """Return a copy of the weight, which stays as it is now."""
    return weight.to("cpu", copy=True)
