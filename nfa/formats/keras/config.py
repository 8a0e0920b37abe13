"""What a Keras file says of its network: layers one after the other, each with its settings."""

from dataclasses import dataclass
from typing import Any

from nfa.common.errors import Place
from nfa.common.shown import few, shown

ONNX = "export it to ONNX (model.export('net.onnx', format='onnx')) and give that file"
"""The way round a network that is not read."""

SILENT = ("InputLayer", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "GaussianDropout")
"""Layers that do nothing once a network is trained."""

CONVOLUTIONS = {"Conv1D": 1, "Conv2D": 2, "Conv3D": 3}
"""By class, the axes along which they slide."""

READ = (
    *SILENT,
    *CONVOLUTIONS,
    "Dense",
    "BatchNormalization",
    "Flatten",
    "Activation",
    "ReLU",
    "LeakyReLU",
    "ELU",
    "Softmax",
)
"""The classes of layers that are read."""


@dataclass(frozen=True)
class LayerConfig:
    """One layer of a chain.

    Args:
        kind: Its class.
        name: What the network calls it.
        settings: Its settings.
    """

    kind: str
    name: str
    settings: dict[str, Any]


def chain_of(config: Any, where: Place) -> list[LayerConfig]:
    """Return the layers of a `Sequential`, or of a functional model that is a chain, in order.

    Raises:
        InputError: the text is of another kind, a layer is not read (all such are named), or layers are no chain.
    """
    try:
        kind, inner = config["class_name"], config["config"]
        layers = [
            LayerConfig(str(each["class_name"]), str(each["config"]["name"]), dict(each["config"]))
            for each in inner["layers"]
        ]
        before = {str(each["config"]["name"]): _names(each.get("inbound_nodes")) for each in inner["layers"]}
        outputs = _names(inner.get("output_layers"))
    except (LookupError, TypeError, AttributeError) as error:
        raise where.error("does not describe a Sequential or functional model of Keras") from error
    odd = list(dict.fromkeys(layer.kind for layer in layers if layer.kind not in READ))
    if kind not in ("Sequential", "Functional", "Model") or odd:
        raise where.error(f"has layers that are not read ({few(odd or [str(kind)])}); {ONNX}")
    if kind != "Sequential":
        layers = _in_order(layers, before, where)
        if outputs not in ([], [layers[-1].name]):
            last = shown(layers[-1].name)
            raise where.error(f"has the outputs {few(outputs)}, expected the result of its last layer, {last}; {ONNX}")
    if len({layer.name for layer in layers}) < len(layers):
        raise where.error("names two layers alike")
    return layers


def _in_order(layers: list[LayerConfig], before: dict[str, list[str]], where: Place) -> list[LayerConfig]:
    """Return the layers of a functional model, each behind the one whose result it takes."""
    after: dict[str, LayerConfig] = {}
    first = [layer for layer in layers if not before[layer.name]]
    for layer in layers:
        for name in before[layer.name]:
            if len(before[layer.name]) > 1 or name in after:
                raise where.error(f"is no chain of layers (at {shown(name)}); {ONNX}")
            after[name] = layer
    if len(first) != 1:
        raise where.error(f"has {len(first)} inputs, expected one; {ONNX}")
    found = first
    while found[-1].name in after and len(found) <= len(layers):
        found.append(after[found[-1].name])
    if len(found) != len(layers):
        raise where.error(f"is no chain of layers; {ONNX}")
    return found


def _names(nodes: Any) -> list[str]:
    """Return the names of layers whose results are taken, in any of the forms that Keras has written."""
    if isinstance(nodes, dict):
        history = (
            nodes.get("config", {}).get("keras_history") if nodes.get("class_name") == "__keras_tensor__" else None
        )
        return [str(history[0])] if history else [name for value in nodes.values() for name in _names(value)]
    if isinstance(nodes, list):
        if len(nodes) >= 3 and isinstance(nodes[0], str) and isinstance(nodes[1], int):
            return [nodes[0]]
        return [name for value in nodes for name in _names(value)]
    return []
