"""Keras files: `.keras`, an archive of text and arrays, and the older `.h5`; nothing in either is executed."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nfa.common.budget import Budget
from nfa.common.errors import InputError, Place
from nfa.common.shown import shown
from nfa.formats.archive import content_of, is_zip, open_archive
from nfa.formats.keras.config import SILENT, LayerConfig, chain_of
from nfa.formats.keras.net import KerasNet
from nfa.network.model import Model

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
"""Members of a .keras archive."""

REMEDY = "a network's file is not compressed so much"


def read_keras(file: Path, argument: str) -> Model:
    """Read the network of a `.keras` or `.h5` file: a chain of dense layers, convolutions, norms and activations.

    Args:
        file: An existing file.
        argument: What messages call it.

    Returns:
        The network, which takes rows as Keras does (channels last), without a final softmax or sigmoid.

    Raises:
        InputError: the file is damaged or of another kind, holds weights alone, or a layer is not read.
    """
    import h5py

    where = Place(argument, str(file))
    content = content_of(file, where)
    stream = io.BytesIO(content)
    try:
        if is_zip(stream):
            with open_archive(stream, len(content), where) as archive:
                if not {CONFIG, WEIGHTS} <= set(archive.namelist()):
                    raise where.error(f"is no file of Keras: it lacks {CONFIG} or {WEIGHTS}")
                config, inner = json.loads(archive.read(CONFIG)), archive.read(WEIGHTS)
            layers = chain_of(config, where)
            with h5py.File(io.BytesIO(inner), "r") as weights:
                arrays = _of_archive(weights, layers, Budget.of_file(len(content), None, REMEDY), where)
        else:
            with h5py.File(stream, "r") as weights:
                text = weights.attrs.get("model_config")
                if text is None:
                    raise where.error("holds weights alone, or is no file of Keras; model.save('net.keras') keeps both")
                layers = chain_of(json.loads(text), where)
                arrays = _of_h5(weights, layers, Budget.of_file(len(content), None, REMEDY), where)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # damaged files make h5py and json raise a dozen kinds
        raise InputError(argument, f"cannot read {file} as Keras: it is truncated or of another kind") from error
    net = KerasNet(layers, arrays, where)
    notes = (f"The file's network ends in {net.ending.capitalize()}; logits are its input.",) if net.ending else ()
    return Model(net.eval(), file.name, ending=net.ending, notes=notes)


def _of_archive(weights: Any, layers: list[LayerConfig], budget: Budget, where: Place) -> dict[str, list[Tensor]]:
    """Return arrays by layer; a layer's group is called after its class, and says the layer's name."""
    groups: dict[str, Any] = {}
    for key in _own(weights["layers"]):
        variables = weights["layers"][key].get("vars")
        if variables is not None and "name" in variables.attrs:
            groups[str(variables.attrs["name"])] = variables
    found: dict[str, list[Tensor]] = {}
    taken = 0
    for layer in layers:
        group: Any = groups.get(layer.name)
        keys = [] if group is None or layer.kind in SILENT else sorted(_own(group), key=int)
        found[layer.name] = [_array(group[key], budget, taken := taken + group[key].nbytes, where) for key in keys]
    return found


def _of_h5(weights: Any, layers: list[LayerConfig], budget: Budget, where: Place) -> dict[str, list[Tensor]]:
    """Return arrays by layer, in the order in which the file names them."""
    groups = weights.get("model_weights", weights)
    found: dict[str, list[Tensor]] = {}
    taken = 0
    for layer in layers:
        group: Any = groups[layer.name] if layer.name in _own(groups) else None
        names = [] if group is None or layer.kind in SILENT else list(group.attrs.get("weight_names", ()))
        arrays = []
        for name in names:
            path, inner = name.decode() if isinstance(name, bytes) else str(name), group
            for part in path.split("/"):
                if part not in _own(inner):
                    raise where.error(f"lacks the array {shown(path)}")
                inner = inner[part]
            arrays.append(_array(inner, budget, taken := taken + inner.nbytes, where))
        found[layer.name] = arrays
    return found


def _own(group: Any) -> list[str]:
    """Return the names in a group that lie in this file; a link may lead to another."""
    import h5py

    return [key for key in group if isinstance(group.get(key, getlink=True), h5py.HardLink)]


def _array(data: Any, budget: Budget, taken: int, where: Place) -> Tensor:
    import h5py

    place = where.within(shown(data.name))
    if not isinstance(data, h5py.Dataset) or data.is_virtual or data.external is not None or data.dtype.kind != "f":
        raise place.error("is no array of real numbers in this file")
    budget.hold(place, 2 * taken)
    array = np.asarray(data[()])
    wide = np.float64 if array.dtype.itemsize > 4 else np.float32
    return torch.from_numpy(np.ascontiguousarray(array.astype(wide)))
