"""Networks as safetensors files, with a header that says all one needs to audit them."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from nfa.common.checks import check_finite, existing_file
from nfa.common.errors import InputError
from nfa.data.dataset import Scaling
from nfa.network.mlp import MLP

SCALING = "scaling."
"""Prefix of the tensors that hold the inputs' scaling; a network's own tensors begin with `layers.`."""


@dataclass(frozen=True, eq=False)
class Model:
    """A network and what is known of how its data were prepared.

    Args:
        net: The network, in evaluation mode.
        name: What it is called: the file, or the factory.
        scaling: The scaling of its inputs, if known.
        split: `test`, `val` and `seed` of `Dataset.divide`, if known.
        settings: How it was trained, if known.
    """

    net: nn.Module
    name: str
    scaling: Scaling | None = None
    split: dict[str, Any] | None = None
    settings: dict[str, Any] = field(default_factory=dict)


def save_model(path: str | os.PathLike[str], model: Model) -> None:
    """Write a model whose network is an `MLP` to a safetensors file.

    The header's key "nfa" holds JSON: schema, architecture (with activation and init), the kind of the
    inputs' scaling, the split's shares and seed, and the training's settings.

    Raises:
        InputError: the network is of another class, or the file cannot be written.
    """
    if not isinstance(model.net, MLP):
        raise InputError(f"net: only nfa.MLP can be saved as an nfa file, got {type(model.net).__name__}")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.net.state_dict().items()}
    header: dict[str, Any] = {
        "schema": 1,
        "architecture": model.net.architecture,
        "scaling": None,
        "split": model.split,
        "settings": model.settings,
    }
    if model.scaling is not None:
        header["scaling"] = model.scaling.kind
        tensors[SCALING + "shift"] = torch.tensor(model.scaling.shift)
        tensors[SCALING + "scale"] = torch.tensor(model.scaling.scale)
    try:
        save_file(tensors, str(path), metadata={"nfa": json.dumps(header)})
    except (OSError, SafetensorError) as error:
        raise InputError(f"path: cannot write {path}: {error}") from error


def load_model_file(path: str | os.PathLike[str]) -> Model:
    """Read a model that `save_model` wrote.

    Raises:
        InputError: the file is missing, empty, truncated, of another kind, holds weights that are not
            finite, or was not written by nfa.
    """
    file = existing_file("model", path)
    try:
        with safe_open(str(file), framework="pt") as handle:
            metadata = handle.metadata() or {}
            tensors = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise InputError(f"model: cannot read {file} as safetensors: it is truncated or of another kind") from error
    if "nfa" not in metadata:
        raise InputError(f"model: {file} was not written by nfa; other safetensors files are not yet read")
    try:
        header = json.loads(metadata["nfa"])
        net = MLP(**header["architecture"])
        scaling = None
        if header["scaling"] is not None:
            shift, scale = (tensors.pop(SCALING + key).numpy() for key in ("shift", "scale"))
            scaling = Scaling(header["scaling"], shift, scale)
        net.to(next(iter(tensors.values())).dtype).load_state_dict(tensors)
        split, settings = header["split"], header["settings"]
    except (KeyError, TypeError, ValueError, RuntimeError, StopIteration) as error:
        raise InputError(f"model: the header of {file} does not fit its tensors") from error
    for name, tensor in net.state_dict().items():
        check_finite(f"model: {name}", tensor)
    return Model(net.eval(), Path(path).name, scaling, split, settings)
