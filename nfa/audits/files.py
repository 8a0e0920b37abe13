"""An audit's two files: the table as JSON and the matrices as safetensors, checked to belong together."""

import dataclasses
import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from nfa.audits.about import About, null_for_nan
from nfa.common.checks import existing_file, output_folder
from nfa.common.errors import InputError
from nfa.common.writing import replacing, write_tensors
from nfa.features.columns import COLUMNS
from nfa.features.second_moment import ByRows, SecondMoment, Whole
from nfa.probe.patches import Patches, Window

SCHEMA = 2
"""The version of both files. A reader ignores keys that it does not know, so new keys need no new version."""

READ = (1, 2)
"""Versions that are read. Files of version 1 have S of every layer, which version 2 has of most."""

TABLE, MATRICES = "audit.json", "features.safetensors"

WHOLE, ROWS = ("S", "S_centered"), ("D", "mean")
"""What there is of delta: S and S_centered (k x k); or D (N x k) and its mean for each output (c x k), of few rows."""

PARTS = ("weight", *WHOLE, *ROWS, "init_weight")
"""The matrices of a layer, which the file names NAME.weight and so on."""


INPUTS = ("row_shape", "one_hot", "patches")
"""What is known of a layer's inputs."""

Row = dict[str, Any]
Inputs = dict[str, Any]
"""`INPUTS` by name."""
Matrices = dict[str, Any]
"""A layer's matrices (tensors) by part; None for those that it has not."""


def to_parts(second: SecondMoment, centered: SecondMoment) -> Matrices:
    """Return what is written of S and S_centered: both, or D and mean with S_centered = D'D, S = D'D + mean'mean."""
    if isinstance(second, ByRows) and isinstance(centered, ByRows):
        return {"D": centered.D, "mean": second.D[len(centered.D) :].clone()}
    return {"S": second.matrix, "S_centered": centered.matrix}


def from_parts(parts: Matrices) -> tuple[SecondMoment, SecondMoment]:
    """Return S and S_centered from what was read."""
    if parts["D"] is not None:
        centered = ByRows(parts["D"])
        return centered.plus(parts["mean"]), centered
    return Whole(parts["S"]), Whole(parts["S_centered"])


def save_audit(
    about: About, rows: list[Row], inputs: list[Inputs], matrices: list[Matrices], folder: str | os.PathLike[str]
) -> None:
    """Write both files; see `Audit.save`."""
    out = output_folder("out", folder)
    tensors = {
        f"{row['name']}.{part}": matrix
        for row, parts in zip(rows, matrices, strict=True)
        for part, matrix in parts.items()
        if matrix is not None
    }
    with replacing("out", out / MATRICES, out / TABLE) as (new_matrices, new_table):
        write_tensors(new_matrices, tensors)
        whole = {"schema": SCHEMA} | about.to_json()
        whole["features_sha256"] = _sha256(new_matrices)
        whole["layers"] = [
            {column: null_for_nan(value) for column, value in row.items()}
            | of_rows
            | {"patches": _patches_to_json(of_rows["patches"])}
            for row, of_rows in zip(rows, inputs, strict=True)
        ]
        new_table.write_text(json.dumps(whole, indent=1, allow_nan=False))


def load_audit(folder: str | os.PathLike[str]) -> tuple[About, list[Row], list[Inputs], list[Matrices]]:
    """Read both files; see `Audit.load`."""
    table = existing_file("audit", Path(folder) / TABLE)
    matrices_file = existing_file("audit", Path(folder) / MATRICES)
    try:
        whole = json.loads(table.read_text())
        if whole["schema"] not in READ:
            raise InputError("audit", f"{table} has schema {whole['schema']}, expected {' or '.join(map(str, READ))}")
        about = About.from_json(whole)
        # Audits of 0.1.0 do not name their groups, and lack the columns that came later.
        rows = [_row(saved, about, earlier="groups" not in whole) for saved in whole["layers"]]
        if not rows:
            raise KeyError("layers")
        inputs = [_inputs(saved, row) for saved, row in zip(whole["layers"], rows, strict=True)]
        # Audits of 0.1.0 do not know the hash of their matrices.
        content = matrices_file.read_bytes()  # once, since another audit may take its place at any time
        if whole.get("features_sha256", "") not in ("", hashlib.sha256(content).hexdigest()):
            raise InputError(
                "audit", f"{folder} does not hold a whole audit: {TABLE} and {MATRICES} are of different audits"
            )
        tensors = load(content)
        matrices = [_matrices(row, tensors) for row in rows]
    except InputError as error:
        if error.argument == "audit":
            raise
        raise InputError("audit", f"{folder} does not hold a whole audit ({error})") from error
    # The text may be no JSON, be nested too deeply, or have a number that Python cannot read or float64 cannot hold.
    except (
        ValueError,
        RecursionError,
        OverflowError,
        SafetensorError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        raise InputError("audit", f"{folder} does not hold a whole audit") from error
    return about, rows, inputs, matrices


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _row(saved: dict[str, Any], about: About, earlier: bool) -> Row:
    """Return a layer's row from the file; raises where a column is missing or of another kind."""
    found = {}
    for column in map(COLUMNS.__getitem__, about.columns):
        value = saved.get(column.name) if earlier and column.kind is float else saved[column.name]
        found[column.name] = column.from_json(value)
    return found


def _inputs(saved: dict[str, Any], row: Row) -> Inputs:
    """Return what is known of a layer's inputs; earlier files know only how many entries a row has."""
    shape, one_hot = saved.get("row_shape", [row["d_in"]]), saved.get("one_hot", False)
    if not all(type(size) is int and size > 0 for size in shape) or math.prod(shape) != row["d_in"]:
        raise ValueError(f"row_shape of {row['name']}")
    if not isinstance(one_hot, bool):
        raise TypeError(f"one_hot of {row['name']}")
    return {"row_shape": tuple(shape), "one_hot": one_hot, "patches": _patches(saved.get("patches"), row)}


def _patches_to_json(patches: Patches | None) -> dict[str, Any] | None:
    if patches is None:
        return None
    parts = {"shape": patches.shape, "groups": patches.groups, "group": patches.group}
    return parts | dataclasses.asdict(patches.window)


def _patches(saved: Any, row: Row) -> Patches | None:
    """Return how rows are cut out of the layer's input; earlier files do not know it."""
    if saved is None:
        return None
    names, least = [each.name for each in dataclasses.fields(Window)], {"before": 0, "after": 0}
    numbers = {name: tuple(saved[name]) for name in ("shape", *names)}
    sizes = [(each, least.get(name, 1)) for name, found in numbers.items() for each in found]
    sizes += [(saved["groups"], 1), (saved["group"], 0), (saved["groups"] - saved["group"], 1)]
    if any(type(size) is not int or size < smallest for size, smallest in sizes):
        raise ValueError(f"patches of {row['name']}")
    shape = numbers.pop("shape")
    if {len(found) for found in numbers.values()} != {len(shape) - 1}:
        raise ValueError(f"patches of {row['name']}")
    found = Patches(shape, Window(**numbers), saved["groups"], saved["group"])
    if found.width != row["d_in"]:
        raise ValueError(f"patches of {row['name']}")
    return found


def _matrices(row: Row, tensors: dict[str, Tensor]) -> Matrices:
    """Return a layer's matrices from all tensors; raises where they do not fit its row."""
    found = {part: tensors.get(f"{row['name']}.{part}") for part in PARTS}
    needed = ("weight", *(ROWS if found["D"] is not None else WHOLE))
    for part, matrix in found.items():
        if matrix is None:
            if part in needed:
                raise KeyError(f"{row['name']}.{part}")
            continue
        height = len(matrix) if part in ROWS and matrix.ndim == 2 else row["d_out"]
        shape = (height, row["d_in"] if part.endswith("weight") else row["d_out"])
        if matrix.shape != shape or not bool(matrix.isfinite().all()):
            raise TypeError(f"{row['name']}.{part}: a matrix of shape {tuple(matrix.shape)}")
    return found
