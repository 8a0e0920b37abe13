"""One call: a network and data in, an audit out."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nfa.audits.audit import SCHEMA, Audit, LayerAudit
from nfa.common.checks import one_of, positive
from nfa.common.errors import InputError
from nfa.common.precision import stated_precision
from nfa.data.dataset import Dataset
from nfa.data.inputs import in_words
from nfa.features.columns import layer_columns
from nfa.features.fact import fact_columns
from nfa.features.measuring import Measured, measure
from nfa.formats.loading import load
from nfa.network.forward import Forward, ForwardArgs
from nfa.network.model import Model
from nfa.network.preparing import prepare
from nfa.network.scoring import score
from nfa.network.training import LOSSES, mean_loss
from nfa.probe import BATCH_SIZE, Layer, Probe, Select, alone_with, untouched


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
            network's output to n rows of numbers.
        forward_args: Maps a batch's inputs to the arguments of `forward`, where a tensor, a dict (by name) or a
            tuple (by place) does not fit: to a tuple, a dict or one argument.
        head: Which output, by key or position, where the network returns several.
        layers: A shell pattern of layer names; all by default.
        classes: The labels in the order of the network's outputs, as for `nfa.load`. Without them whole numbers are
            the outputs of these numbers, and text counts in sorted order, unless the network's file knows better.
        split: Which rows of a divided `Dataset` are measured; of anything else all are, and so recorded.
        samples: That many rows of a `Dataset`, drawn at random (with `seed`); all by default.
        probes: Random probes instead of one sweep per output, for many outputs.
        seed: Of `samples` and `probes`.
        batch_size: Samples at a time; no result depends on it.
        loss: "mse", "onehot_mse" or "cross_entropy": what the network was trained on. The table gains the
            columns of `features/fact.py`.
        weight_decay: That of SGD or Adam (AdamW rests elsewhere); by default what the network's file says.
        name: What to call the network in the record; its class by default.

    Returns:
        The audit; its score is that of the test rows where the data have some, else of the rows measured.

    Raises:
        InputError: no linear layer, data the network cannot take, an init of other shapes, entries that
            are not finite, an unknown name.

    Source: arXiv:2212.13881; centered: arXiv:2402.05271; powers: arXiv:2510.15563.

    >>> from nfa.network import MLP
    >>> result = audit(MLP(6, 8, 1, 2), torch.randn(40, 6, generator=torch.Generator().manual_seed(0)))
    >>> result["layers.0"].agop.dense().shape
    torch.Size([6, 6])
    """
    if loss is not None:
        one_of("loss", loss, LOSSES)
    if probes is not None:
        positive("probes", probes)
    model = load(net, classes=classes, argument="net")
    data_name = in_words(data)
    columns = _columns(model, data)
    data, notes = prepare(model, data)
    rows, measured_split = _rows(data, split, samples, seed)
    shape = data.feature_shape if isinstance(data, Dataset) else None
    forward = Forward(model, forward_args, head, shape)
    before = None if init is None else Forward(load(init, argument="init"), forward_args, head, shape)
    together = [forward.net] if before is None else [forward.net, before.net]
    with alone_with(*together), Probe(forward, rows, outputs) as probe:
        chosen = probe.choose(layers)
        about = {
            "schema": SCHEMA,
            "nfa_version": _version(),
            "torch_version": str(torch.__version__),
            "model": name or model.name,
            "notes": [*model.notes, *notes],
            "data": data_name,
            "split": measured_split,
            "feature_names": list(data.feature_names or ()) if isinstance(data, Dataset) else columns,
            "feature_shape": list(shape or ()),
            "classes": list(model.classes or ()),
            "n_outputs": probe.n_outputs,
            "outputs": outputs if isinstance(outputs, str) else getattr(outputs, "__name__", type(outputs).__name__),
            "probes": probes,
            "seed": seed,
        }
        scored = (forward, before) if model.scored else (None, None)
        about["score"] = _score(scored[0], data, rows, measured_split)
        initial: dict[str, Measured] = {}
        with _blamed(before, forward):
            about["init_score"] = _score(scored[1], data, rows, measured_split)
            if before is not None:
                measuring = _measure_init(before, rows, outputs, chosen, batch_size, probes, seed)
                initial = {each.layer.name: each for each in measuring}
        found = []
        for number, measured in _numbered(probe, chosen, batch_size, probes, seed):
            measured_init = initial.get(measured.layer.name)
            if before is not None and measured_init is None:
                raise InputError("init", f"its layer {measured.layer.name} cannot be measured, as the network's can")
            found.append(
                LayerAudit(
                    {"layer": number} | layer_columns(measured, measured_init),
                    _copy(measured.layer.weight),
                    measured.S,
                    measured.S_centered,
                    None if measured_init is None else _copy(measured_init.layer.weight),
                )
            )
        about["n_samples"] = probe.samples.n
        about["skipped"] = probe.skipped()  # a pass over the data may show more of it
    if loss is not None:
        about["loss"] = loss
        decay = weight_decay if weight_decay is not None else _known_decay(model)
        with Probe(forward, rows) as probe:
            gradients = probe.loss_gradients(mean_loss(loss))
        for layer in found:
            layer.row.update(fact_columns(layer.weight, gradients[layer["name"]], decay))
    return Audit(about, tuple(found))


def _rows(data: Any, split: str, samples: int | None, seed: int) -> tuple[Any, str]:
    """Return the rows to measure, and what they are called."""
    one_of("split", split, (*Dataset.PARTS, "all"))
    positive("seed", seed, least=0)
    if samples is not None:
        positive("samples", samples)
    if not isinstance(data, Dataset):
        if samples is not None:
            raise InputError("samples", "only rows of an nfa.Dataset can be drawn; hand over fewer rows instead")
        return data, "all"
    name = split if data.split or split not in ("train", "all") else "all"
    rows = data.part(name)
    return (rows if samples is None else rows.sample(samples, seed)), name


def _columns(model: Model, data: Any) -> list[str]:
    """Return the names of a data frame's columns in the order in which the network takes them; none of other data."""
    X = data[0] if isinstance(data, tuple) and len(data) == 2 else data
    if model.transform is not None or not hasattr(X, "columns"):
        return []
    return [str(name) for name in (X.columns if model.features is None else model.features)]


def _numbered(
    probe: Probe, chosen: list[Layer], batch_size: int, probes: int | None, seed: int
) -> Iterator[tuple[int, Measured]]:
    numbers = {layer.name: number for number, layer in enumerate(probe.layers)}
    for measured in measure(probe, chosen, batch_size=batch_size, probes=probes, seed=seed, again=True):
        yield numbers[measured.layer.name], measured


@contextmanager
def _blamed(init: Forward | None, net: Forward) -> Iterator[None]:
    """Blame the init for what goes wrong within: the network itself has taken the same rows."""
    try:
        yield
    except InputError as error:
        if init is None:
            raise
        expected = {name: weight.shape for name, weight in net.net.named_parameters()}
        for name, weight in init.net.named_parameters():
            if weight.ndim > 1 and weight.shape != expected.get(name, weight.shape):
                layer = name.removesuffix(".weight")
                raise _other_shape(layer, weight.shape, expected[name]) from error
        if error.argument in ("data", "net", "y"):
            raise InputError("init", f"it cannot be measured on the network's rows ({error})") from error
        raise


def _other_shape(layer: str, got: Sequence[int], expected: Sequence[int]) -> InputError:
    return InputError("init", f"layer {layer} has shape {tuple(got)}, expected {tuple(expected)} as in the network")


def _measure_init(
    init: Forward, rows: Any, outputs: str | Select, chosen: list[Layer], batch_size: int, probes: int | None, seed: int
) -> Iterator[Measured]:
    with Probe(init, rows, outputs) as probe:
        shapes = {layer.name: layer for layer in probe.layers}
        for layer in chosen:
            if layer.name not in shapes:
                raise InputError("init", f"it has no layer {layer.name!r}, which the network has")
            if shapes[layer.name].weight.shape != layer.weight.shape:
                raise _other_shape(layer.name, shapes[layer.name].weight.shape, layer.weight.shape)
        same = [shapes[layer.name] for layer in chosen]
        yield from measure(
            probe, same, grouped=False, batch_size=batch_size, probes=probes, seed=seed, label="measuring init"
        )


def _score(forward: Forward | None, data: Any, rows: Any, split: str) -> dict[str, Any] | None:
    if forward is None:
        return None
    held_out = isinstance(data, Dataset) and "test" in data.split
    with untouched(forward.net):
        result = score(forward, data.part("test"), "test") if held_out else score(forward, rows, split)
    return None if result is None else result.to_dict()


def _known_decay(model: Model) -> float | None:
    """Return lambda where the network's training is known and rests where dL/dW = -lambda W."""
    if model.settings.get("optimizer") not in ("sgd", "adam"):
        return None
    return model.settings.get("weight_decay") or None


def _copy(weight: Tensor) -> Tensor:
    """Return the weight as it is now, whatever becomes of the network."""
    return weight.to("cpu", copy=True)


def _version() -> str:
    from importlib.metadata import version

    return version("nfa")
