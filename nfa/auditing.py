"""One call: a network and data in, an audit out."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from nfa.audited import SCHEMA, Audit, LayerAudit
from nfa.common.checks import one_of, positive
from nfa.common.errors import InputError
from nfa.data.dataset import Dataset
from nfa.features.columns import layer_columns
from nfa.features.fact import fact_columns
from nfa.features.measuring import Measured, measure
from nfa.network.scoring import score
from nfa.network.training import LOSSES, mean_loss
from nfa.probe import BATCH_SIZE, Layer, Probe, untouched


def audit(
    net: nn.Module,
    data: Any,
    init: nn.Module | None = None,
    outputs: str = "logits",
    *,
    layers: str | None = None,
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
        net: Any module that maps rows to floating-point outputs; it comes back as it was.
        data: An `nfa.Dataset`, or anything `nfa.data.as_samples` takes; inputs as the network wants them.
        init: The same network before training, for the nulls.
        outputs: "logits", "output:K", "predicted", "margin" or "probabilities".
        layers: A shell pattern of layer names; all by default.
        split: Which rows of a divided `Dataset` are measured; of anything else all are, and so recorded.
        samples: That many rows of a `Dataset`, drawn at random (with `seed`); all by default.
        probes: Random probes instead of one sweep per output, for many outputs.
        seed: Of `samples` and `probes`.
        batch_size: Samples at a time; no result depends on it.
        loss: "mse", "onehot_mse" or "cross_entropy": what the network was trained on. The table gains the
            columns of `features/fact.py`.
        weight_decay: That of SGD or Adam, if known (AdamW rests elsewhere).
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
    rows, measured_split = _rows(data, split, samples, seed)
    if loss is not None:
        one_of("loss", loss, LOSSES)
    for argument, network in (("net", net), ("init", init)):
        if not isinstance(network, nn.Module) and not (argument == "init" and network is None):
            raise InputError(f"{argument}: got {type(network).__name__}, expected a torch.nn.Module")
    with Probe(net, rows, outputs) as probe:
        chosen = probe.choose(layers)
        about = {
            "schema": SCHEMA,
            "nfa_version": _version(),
            "torch_version": str(torch.__version__),
            "model": name or type(net).__name__,
            "data": data.name if isinstance(data, Dataset) else type(data).__name__,
            "split": measured_split,
            "n_outputs": probe.n_outputs,
            "outputs": outputs,
            "probes": probes,
            "seed": seed,
            "skipped": probe.skipped(),
        }
        about["score"], about["init_score"] = (_score(each, data, rows, measured_split) for each in (net, init))
        before: Iterator[Measured | None] = iter([None] * len(chosen))
        if init is not None:
            before = iter(list(_measure_init(init, rows, outputs, chosen, batch_size, probes, seed)))
        found = []
        for number, measured in _numbered(probe, chosen, batch_size, probes, seed):
            measured_init = next(before)
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
    if loss is not None:
        about["loss"] = loss
        with Probe(net, rows) as probe:
            gradients = probe.loss_gradients(mean_loss(loss))
        for layer in found:
            layer.row.update(fact_columns(layer.weight, gradients[layer["name"]], weight_decay))
    return Audit(about, tuple(found))


def _rows(data: Any, split: str, samples: int | None, seed: int) -> tuple[Any, str]:
    """Return the rows to measure, and what they are called."""
    one_of("split", split, (*Dataset.PARTS, "all"))
    positive("seed", seed, least=0)
    if samples is not None:
        positive("samples", samples)
    if not isinstance(data, Dataset):
        if samples is not None:
            raise InputError("samples: only rows of an nfa.Dataset can be drawn; hand over fewer rows instead")
        return data, "all"
    name = split if data.split or split not in ("train", "all") else "all"
    rows = data.part(name)
    return (rows if samples is None else rows.sample(samples, seed)), name


def _numbered(
    probe: Probe, chosen: list[Layer], batch_size: int, probes: int | None, seed: int
) -> Iterator[tuple[int, Measured]]:
    numbers = {layer.name: number for number, layer in enumerate(probe.layers)}
    for measured in measure(probe, chosen, batch_size=batch_size, probes=probes, seed=seed, label="measuring"):
        yield numbers[measured.layer.name], measured


def _measure_init(
    init: nn.Module, rows: Any, outputs: str, chosen: list[Layer], batch_size: int, probes: int | None, seed: int
) -> Iterator[Measured]:
    with Probe(init, rows, outputs) as probe:
        shapes = {layer.name: layer for layer in probe.layers}
        for layer in chosen:
            if layer.name not in shapes:
                raise InputError(f"init: it has no layer {layer.name!r}, which the network has")
            if shapes[layer.name].weight.shape != layer.weight.shape:
                got, expected = (tuple(each.weight.shape) for each in (shapes[layer.name], layer))
                raise InputError(f"init: layer {layer.name} has shape {got}, expected {expected} as in the network")
        same = [shapes[layer.name] for layer in chosen]
        yield from measure(
            probe, same, grouped=False, batch_size=batch_size, probes=probes, seed=seed, label="measuring init"
        )


def _score(net: nn.Module | None, data: Any, rows: Any, split: str) -> dict[str, Any] | None:
    if net is None:
        return None
    held_out = isinstance(data, Dataset) and "test" in data.split
    with untouched(net):
        result = score(net, data.part("test"), "test") if held_out else score(net, rows, split)
    return None if result is None else result.to_dict()


def _copy(weight: Tensor) -> Tensor:
    """Return the weight as it is now, whatever becomes of the network."""
    return weight.to("cpu", copy=True)


def _version() -> str:
    from importlib.metadata import version

    return version("nfa")
