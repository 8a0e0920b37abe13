"""One call: a network and data in, an audit out."""

# So that `help(nfa.audit)` shows the types as they are written here, and not by all their modules.
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nfa.audits.audit import Audit, LayerAudit
from nfa.audits.examining import examined
from nfa.audits.files import INPUTS
from nfa.audits.init import Init
from nfa.audits.rows import Rows, rows_of
from nfa.audits.settings import Settings
from nfa.audits.verdict import CONVENTIONS, Thresholds
from nfa.common.checks import one_of
from nfa.common.errors import InputError
from nfa.common.precision import stated_precision
from nfa.common.processes import processes
from nfa.features.columns import chosen
from nfa.features.layer_measures import LayerMeasures
from nfa.features.row import Columns
from nfa.formats.loading import load, load_init
from nfa.network.forward import ForwardArgs
from nfa.network.gathering import whole
from nfa.network.model import Model
from nfa.network.training import LOSSES
from nfa.probe import BATCH_SIZE, Select, untouched


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
        init: The same network before training, for the nulls: a copy, since `net` itself has its weights of now.
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
            layer stands for all of them, of which blocks are measured, without correlations across groups.
        columns: Names of columns, or of groups of them (see `features/columns.py`; where both have a name, it means the
            column). What is left out is not computed; sizes, `trivial` and notes are always there, and with `verdict`
            the columns that it is made from. All by default.
        thresholds: The conventions by which a layer counts as aligned and as moved (see `nfa.audits.Thresholds`).
        feature_shape: The shape of a row as a picture, (height, width) or (channels, height, width), for figures. By
            default the data's own, or that of rows that come as n x c x h x w.
        name: What to call the network in the record; its class by default.

    Where torch's default process group has several processes, all of them call it with the same network and samples:
    each measures its share of them, and all get the same audit.

    Returns:
        The audit; its score is that of the test rows where the data have some, else of the rows measured.

    Raises:
        InputError: no linear layer, data the network cannot take, an init of other shapes or one that is `net` itself,
            entries that are not finite, an unknown name, a number out of range, published numbers without an init,
            columns that need another argument, a shape that no row has.

    Source: arXiv:2212.13881 (centered gradients: its code); alignment: arXiv:2402.05271; powers: arXiv:2510.15563.

    >>> import torch
    >>> from nfa.network import MLP
    >>> result = audit(MLP(6, 8, 1, 2), torch.randn(40, 6, generator=torch.Generator().manual_seed(0)))
    >>> result["layers.0"].agop.dense().shape
    torch.Size([6, 6])
    """
    if loss is not None:
        one_of("loss", loss, LOSSES)
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
    about, layers = examined(model if before is None else before.beside(model), rows, before, settings, _layer_audit)
    return Audit(about, tuple(layers))


def _layer_audit(layer: LayerMeasures, columns: Columns) -> LayerAudit:
    measured, init = layer.measured, layer.init
    centered = measured.centered.to(torch.device("cpu"))
    second = measured.second if centered is measured.centered else centered.plus(measured.mean.cpu())
    init_weight = None if init is None else _copy(init.weight)
    own = measured.layer
    inputs = {name: getattr(own, name) for name in INPUTS}
    return LayerAudit(columns, _copy(own.weight), second, centered, init_weight, **inputs)


def _copy(weight: Tensor) -> Tensor:
    """Return a copy of the weight, which stays as it is now."""
    return weight.to("cpu", copy=True)
