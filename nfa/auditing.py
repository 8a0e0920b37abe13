"""One call: a network and data in, an audit out — a tidy table, and the matrices behind it."""

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nfa.common.checks import existing_file, one_of, output_folder, positive
from nfa.common.errors import InputError
from nfa.data.dataset import Dataset
from nfa.features.columns import COLUMNS, layer_columns
from nfa.features.fact import FACT_COLUMNS, fact_columns
from nfa.features.factored import FactoredMatrix
from nfa.features.measuring import Measured, measure
from nfa.network.scoring import Score, score
from nfa.network.training import LOSSES, mean_loss
from nfa.probe import BATCH_SIZE, Layer, Probe, untouched

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
"""The version of `audit.json`."""


@dataclass(frozen=True, eq=False)
class LayerAudit:
    """One layer of an audit: its row of the table, and the matrices behind it.

    Args:
        row: The columns of `COLUMNS`.
        weight: W, k x d.
        S: Mean of delta'delta, k x k, float64.
        S_centered: The same for delta minus its mean over rows, output by output.
        init_weight: W before training, or None.
    """

    row: dict[str, Any]
    weight: Tensor
    S: Tensor
    S_centered: Tensor
    init_weight: Tensor | None

    def __getitem__(self, column: str) -> Any:
        """Return a column of the row."""
        return self.row[one_of("column", column, self.row)]

    @property
    def nfm(self) -> FactoredMatrix:
        """The neural feature matrix W'W."""
        return FactoredMatrix(self.weight)

    @property
    def agop(self) -> FactoredMatrix:
        """The average gradient outer product W'SW."""
        return FactoredMatrix(self.weight, self.S)

    @property
    def agop_centered(self) -> FactoredMatrix:
        """The centered AGOP."""
        return FactoredMatrix(self.weight, self.S_centered)

    @property
    def init_nfm(self) -> FactoredMatrix | None:
        """The neural feature matrix before training, if known."""
        return None if self.init_weight is None else FactoredMatrix(self.init_weight)


@dataclass(frozen=True, eq=False)
class Audit:
    """What a network has learned, layer by layer.

    Args:
        about: Everything in `audit.json` but the layers: schema, versions, model, data, n_samples, split,
            n_outputs, outputs, probes, seed, score, init_score, skipped.
        layers: In forward order.
    """

    about: dict[str, Any]
    layers: tuple[LayerAudit, ...]

    def __getitem__(self, layer: str | int) -> LayerAudit:
        """Return a layer by name, or by number (the column `layer`)."""
        for found in self.layers:
            if layer in (found["name"], found["layer"]):
                return found
        if isinstance(layer, int):
            raise InputError(f"layer: no layer {layer}; the audit has {[found['layer'] for found in self.layers]}")
        one_of("layer", layer, [found["name"] for found in self.layers])
        raise AssertionError("unreachable")

    def __len__(self) -> int:
        """Return the number of layers."""
        return len(self.layers)

    def __iter__(self) -> Iterator[LayerAudit]:
        """Yield the layers in forward order."""
        return iter(self.layers)

    def __repr__(self) -> str:
        """Show what was audited, and the leading columns of every layer."""
        columns = ["layer", "name", "d_in", "d_out", "cosine", "ci_low", "ci_high", "untrained_cosine", "init_cosine"]
        about = self.about
        head = f"Audit of {about['model']} on {about['n_samples']} {about['split']} rows of {about['data']}"
        if self.score is not None:
            score = self.score
            head += f"; {score.metric} {score.value:.4g} on {score.rows} (constant answer {score.baseline:.4g})"
        if self.skipped:
            head += "; not measured: " + ", ".join(f"{each['name']} ({each['kind']})" for each in self.skipped)
        return head + "\n" + self.to_frame()[columns].to_string(index=False, float_format="{:.3f}".format)

    @property
    def score(self) -> Score | None:
        """The network's score, where the data have targets."""
        return _as_score(self.about["score"])

    @property
    def init_score(self) -> Score | None:
        """The score of the network before training, where there is one."""
        return _as_score(self.about["init_score"])

    @property
    def skipped(self) -> list[dict[str, str]]:
        """Name and kind of every module with weights that was not measured."""
        return list(self.about["skipped"])

    def to_frame(self) -> "pd.DataFrame":
        """Return the table: a row per layer, the columns of `COLUMNS`."""
        import pandas as pd

        columns = [*COLUMNS, *(FACT_COLUMNS if "loss" in self.about else ())]
        return pd.DataFrame([layer.row for layer in self.layers], columns=columns)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write `audit.json` and `features.safetensors` into a folder.

        Raises:
            InputError: the folder cannot be written.
        """
        out = output_folder("out", folder)
        rows = [{key: _to_json(value) for key, value in layer.row.items()} for layer in self.layers]
        (out / "audit.json").write_text(json.dumps(_to_json(self.about) | {"layers": rows}, indent=1, allow_nan=False))
        tensors: dict[str, Tensor] = {}
        for layer in self.layers:
            parts = {
                "weight": layer.weight,
                "S": layer.S,
                "S_centered": layer.S_centered,
                "init_weight": layer.init_weight,
            }
            tensors |= {f"{layer['name']}.{key}": t.cpu().contiguous() for key, t in parts.items() if t is not None}
        save_file(tensors, str(out / "features.safetensors"))

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "Audit":
        """Read what `save` wrote.

        Raises:
            InputError: a file is missing, damaged, or of another schema.
        """
        table = existing_file("audit", Path(folder) / "audit.json")
        matrices = existing_file("audit", Path(folder) / "features.safetensors")
        try:
            about = json.loads(table.read_text())
            tensors = load_file(str(matrices))
            if about["schema"] != SCHEMA:
                raise InputError(f"audit: {table} has schema {about['schema']}, expected {SCHEMA}")
            layers = []
            for saved in about.pop("layers"):
                columns = [*COLUMNS, *(FACT_COLUMNS if "loss" in about else ())]
                row = {column: math.nan if saved[column] is None else saved[column] for column in columns}
                name = row["name"]
                weight, S, S_centered = (tensors[f"{name}.{key}"] for key in ("weight", "S", "S_centered"))
                layers.append(LayerAudit(row, weight, S, S_centered, tensors.get(f"{name}.init_weight")))
        except (
            json.JSONDecodeError,
            UnicodeDecodeError,
            SafetensorError,
            KeyError,
            TypeError,
            AttributeError,
        ) as error:
            raise InputError(f"audit: {folder} does not hold a whole audit") from error
        return cls(about, tuple(layers))


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


def _as_score(fields: dict[str, Any] | None) -> Score | None:
    if fields is None:
        return None
    value = math.nan if fields["value"] is None else fields["value"]
    return Score(**fields | {"value": value})


def _to_json(value: Any) -> Any:
    """Return a value as JSON can hold it: NaN becomes null."""
    if isinstance(value, dict):
        return {key: _to_json(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
