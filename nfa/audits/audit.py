"""What an audit is: a tidy table, and the matrices behind it; saved and loaded."""

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from nfa.common.checks import existing_file, one_of, output_folder
from nfa.common.errors import InputError
from nfa.common.shown import printable_lines
from nfa.features.columns import COLUMNS
from nfa.features.fact import FACT_COLUMNS
from nfa.features.factored import FactoredMatrix
from nfa.network.scoring import Score, rows_in_words

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

    def is_of(self, weight: Tensor) -> bool:
        """Return whether a layer's weight is the one that was audited, to 1e-6 of its norm.

        A weight that a network computes from its parameters is not the same on every device to the last bit.
        """
        if self.weight.shape != weight.shape:
            return False
        W, own = self.weight.double(), weight.detach().cpu().double()
        return float((W - own).norm()) <= 1e-6 * float(W.norm())


@dataclass(frozen=True, eq=False)
class Audit:
    """What a network has learned, layer by layer.

    Args:
        about: Everything in `audit.json` but the layers: schema, versions, model, data, n_samples, split,
            feature_names, feature_shape, classes, n_outputs, outputs, probes, seed, score, init_score, skipped.
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
            raise InputError("layer", f"no layer {layer}; the audit has {[found['layer'] for found in self.layers]}")
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
        head = f"Audit of {about['model']} on {self.rows} of {about['data']}"
        if self.score is not None:
            score = self.score
            rows = rows_in_words(score.n, score.rows)
            head += f"; {score.metric} {score.value:.4g} on {rows} (constant answer {score.baseline:.4g})"
        if self.skipped:
            head += "; not measured: " + ", ".join(f"{each['name']} ({each['kind']})" for each in self.skipped)
        table = self.to_frame()[columns].to_string(index=False, float_format="{:.3f}".format)
        return printable_lines(f"{head}\n{table}")

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

    @property
    def rows(self) -> str:
        """Which rows were measured, in words."""
        return rows_in_words(self.about["n_samples"], self.about["split"])

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
                raise InputError("audit", f"{table} has schema {about['schema']}, expected {SCHEMA}")
            _check_about(about)
            layers = [_layer(saved, tensors, "loss" in about) for saved in about.pop("layers")]
        except (
            json.JSONDecodeError,
            UnicodeDecodeError,
            SafetensorError,
            KeyError,
            TypeError,
            AttributeError,
        ) as error:
            raise InputError("audit", f"{folder} does not hold a whole audit") from error
        return cls(about, tuple(layers))


_ABOUT: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("nfa_version", "torch_version", "model", "data", "split", "outputs"), str),
    **dict.fromkeys(("n_samples", "n_outputs", "seed"), int),
    "probes": (int, type(None)),
    **dict.fromkeys(("notes", "skipped", "layers"), list),
}
"""What every audit says of itself, and the kinds of value."""


def _check_about(about: dict[str, Any]) -> None:
    """Raise where something that readers rely on is missing or of another kind."""
    for key, kinds in _ABOUT.items():
        if not isinstance(about[key], kinds):
            raise TypeError(key)
    if not about["layers"]:
        raise KeyError("layers")
    for each in about["skipped"]:
        each["name"], each["kind"]
    for key in ("score", "init_score"):
        score = _as_score(about[key])
        if score is not None and not all(
            isinstance(each, (int, float)) for each in (score.value, score.baseline, score.n)
        ):
            raise TypeError(key)
    # Audits of earlier versions name no features and no classes.
    for key, kind in (("feature_names", str), ("feature_shape", int), ("classes", str)):
        if not all(isinstance(each, kind) for each in about.setdefault(key, [])):
            raise TypeError(key)
    if not all(each > 0 for each in about["feature_shape"]):
        raise TypeError("feature_shape")


def _layer(saved: dict[str, Any], tensors: dict[str, Tensor], with_loss: bool) -> LayerAudit:
    """Return a layer from its row in the file and all tensors; raises where they do not belong together."""
    row = {}
    for column in [*COLUMNS, *(FACT_COLUMNS if with_loss else ())]:
        value = math.nan if saved[column] is None else saved[column]
        kind: Any = str if column in ("name", "note") else bool if column == "trivial" else (int, float)
        if not isinstance(value, kind):
            raise TypeError(column)
        row[column] = value
    names = ("weight", "S", "S_centered", "init_weight")
    weight, S, S_centered, init_weight = (tensors.get(f"{row['name']}.{key}") for key in names)
    k, d = row["d_out"], row["d_in"]
    for matrix, shape in ((weight, (k, d)), (S, (k, k)), (S_centered, (k, k)), (init_weight, (k, d))):
        if matrix is not None and (matrix.shape != shape or not bool(matrix.isfinite().all())):
            raise TypeError(f"{row['name']}: a matrix of shape {tuple(matrix.shape)}")
    if weight is None or S is None or S_centered is None:
        raise KeyError(row["name"])
    return LayerAudit(row, weight, S, S_centered, init_weight)


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
