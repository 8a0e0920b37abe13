"""nfa's own files: safetensors with a header that has all that an audit needs."""

import itertools
import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

from nfa.common.checks import check_finite
from nfa.common.errors import InputError, Place
from nfa.common.shown import shown
from nfa.common.writing import replacing, write_tensors
from nfa.data.dataset import Scaling
from nfa.formats.archive import content_of
from nfa.network.mlp import MLP
from nfa.network.model import Model

SCHEMA = 1
"""The version of the header. A reader ignores keys that it does not know, so new keys need no new version."""

SCALING = "scaling."
"""Prefix of the tensors that hold the inputs' scaling; a network's own tensors begin with `layers.`."""


def save_model(path: str | os.PathLike[str], model: Model) -> None:
    """Write a model whose network is an `MLP` to a safetensors file.

    The header's key "nfa" holds JSON: schema, architecture (with activation and init), the kind of the
    inputs' scaling, the names of inputs and classes, the split's shares, seed and rows, and the
    training's settings.

    Raises:
        InputError: the network is of another class, or the file cannot be written.
    """
    if not isinstance(model.net, MLP):
        raise InputError("net", f"only nfa.MLP can be saved as an nfa file, got {type(model.net).__name__}")
    tensors = dict(model.net.state_dict())
    header: dict[str, Any] = {
        "schema": SCHEMA,
        "architecture": model.net.architecture,
        "scaling": None,
        "split": model.split,
        "features": model.features,
        "classes": model.classes,
        "settings": model.settings,
    }
    if model.scaling is not None:
        header["scaling"] = model.scaling.kind
        tensors[SCALING + "shift"] = torch.tensor(model.scaling.shift)
        tensors[SCALING + "scale"] = torch.tensor(model.scaling.scale)
    with replacing("path", Path(path)) as (new,):
        write_tensors(new, tensors, {"nfa": json.dumps(header)})


def read_safetensors(file: Path, argument: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read a safetensors file: its tensors, in the order of their bytes, and its header's text.

    Raises:
        InputError: the file is truncated or of another kind, or a name stands twice in it.
    """
    content = content_of(file, Place(argument, str(file)))
    try:
        tensors = load_tensors(content)
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length], object_pairs_hook=_once)
        metadata = dict(header.pop("__metadata__", {}))
        names = sorted(header, key=lambda name: (header[name]["data_offsets"], name))
        return {name: tensors[name] for name in names}, metadata
    # torch lacks some of the format's types, and then raises an AttributeError or a KeyError.
    except (SafetensorError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(argument, f"cannot read {file} as safetensors: it is truncated or of another kind") from error


def written_by_nfa(file: Path, argument: str) -> bool:
    """Return whether a safetensors file describes its network itself, as those of `save_model` do.

    Raises:
        InputError: as `read_safetensors`.
    """
    return "nfa" in read_safetensors(file, argument)[1]


def _once(pairs: Any) -> dict[str, Any]:
    """Return pairs as a dict in which no key stands twice.

    Raises:
        ValueError: one does.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def from_nfa(file: Path, tensors: dict[str, torch.Tensor], text: str, argument: str) -> Model:
    """Return the model that `save_model` wrote, from the file's tensors and the text of its header.

    Raises:
        InputError: an unknown version; header and tensors do not fit, or a weight is not finite.
    """
    try:
        header = json.loads(text)
        # A header without a version is of the first one.
        if header.get("schema", SCHEMA) != SCHEMA:
            raise InputError(argument, f"{file} has schema {shown(header['schema'])}, expected {SCHEMA}")
        scaling = _scaling(header["scaling"], tensors)
        _check_shapes(header["architecture"], tensors)
        net = MLP(**header["architecture"])
        net.to(next(iter(tensors.values())).dtype).load_state_dict(tensors)
        split = header["split"]
        if split is not None:
            shares = [float(split[key]) for key in ("test", "val")]
            numbers = [int(split[key]) for key in ("seed", "rows")]
            if set(split) != {"test", "val", "seed", "rows"} or min(*shares, *numbers) < 0 or sum(shares) >= 1:
                raise ValueError("split")
        features, classes = (None if header[key] is None else tuple(header[key]) for key in ("features", "classes"))
        settings = dict(header["settings"])
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError, StopIteration, AttributeError) as error:
        raise InputError(argument, f"the header of {file} does not fit its tensors") from error
    for name, tensor in net.state_dict().items():
        check_finite(Place(argument, name), tensor)
    return Model(net.eval(), file.name, scaling, split, features, classes, settings)


def _scaling(kind: str | None, tensors: dict[str, torch.Tensor]) -> Scaling | None:
    """Take the scaling out of a file's tensors, after checking that it is one."""
    if kind is None:
        return None
    shift, scale = (tensors.pop(SCALING + key) for key in ("shift", "scale"))
    for values in (shift, scale):
        if values.ndim > 1 or not bool(torch.isfinite(values).all()):
            raise ValueError("scaling")
    if kind not in Scaling.KINDS or bool((scale == 0).any()):
        raise ValueError("scaling")
    return Scaling(kind, shift.numpy(), scale.numpy())


def _check_shapes(architecture: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    """Compare sizes before a network is built, since a small file may ask for a large network."""
    sizes = [architecture["d"], *architecture["width"], architecture["n_outputs"]]
    for number, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        if tuple(tensors[f"layers.{number}.weight"].shape) != (fan_out, fan_in):
            raise ValueError("architecture")
