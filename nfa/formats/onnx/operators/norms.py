"""Normalisation and scaling with kept statistics."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nfa.formats.onnx.node import Node
from nfa.formats.onnx.operators.operator import Operator, axis_of


def _batch_norm(node: Node, x: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    for attribute, expected in (("training_mode", 0), ("spatial", 1)):
        if node.attributes.get(attribute, expected) != expected:
            raise node.unsupported(attribute)
    return F.batch_norm(x, mean, variance, scale, shift, False, 0.0, node.attributes["epsilon"])


def _layer_norm(node: Node, x: Tensor, scale: Tensor, shift: Tensor | None = None) -> Tensor:
    shape = x.shape[axis_of(node.attributes["axis"], x.ndim) :]
    if scale.shape == shape and (shift is None or shift.shape == shape):
        return F.layer_norm(x, shape, scale, shift, node.attributes["epsilon"])
    z = F.layer_norm(x, shape, None, None, node.attributes["epsilon"]) * scale.expand(shape)
    return z if shift is None else z + shift.expand(shape)


def _instance_norm(node: Node, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return F.instance_norm(x, weight=scale, bias=shift, eps=node.attributes["epsilon"])


def _scaler(node: Node, x: Tensor) -> Tensor:
    def row(attribute: str, default: float) -> Any:
        values = node.attributes.get(attribute, [default])
        if len(values) not in (1, x.shape[-1]):
            raise ValueError(f"attribute {attribute} has {len(values)} entries for {x.shape[-1]} columns")
        return torch.tensor(values, dtype=torch.float32, device=x.device)

    scaled: Tensor = (x.float() - row("offset", 0.0)) * row("scale", 1.0)
    return scaled


NORMS: dict[str, Operator] = {
    "BatchNormalization": Operator(_batch_norm),
    "LayerNormalization": Operator(_layer_norm),
    "InstanceNormalization": Operator(_instance_norm),
    "ai.onnx.ml.Scaler": Operator(_scaler),
}
"""By operator; a domain other than ONNX's own stands in front."""
