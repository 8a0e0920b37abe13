"""Arithmetic, comparisons and activations."""

import math
from collections.abc import Callable
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from nfa.formats.onnx.node import Node
from nfa.formats.onnx.operators.operator import Operator, axis_of, broadcast_size
from nfa.formats.onnx.tensors import DTYPES


def _unary(function: Callable[[Tensor], Tensor]) -> Operator:
    return Operator(lambda node, x: function(x))


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    def run(node: Node, a: Tensor, b: Tensor) -> Tensor:
        if "axis" in node.attributes:  # how versions before 7 line up axes
            raise node.unsupported("axis")
        return function(a, b)

    return Operator(run, size=broadcast_size)


def _variadic(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return Operator(
        lambda node, *xs: reduce(function, xs),
        size=broadcast_size,
        work=lambda node, *xs: len(xs) * broadcast_size(node, *xs),
    )


def _divide(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _mod(node: Node, a: Tensor, b: Tensor) -> Tensor:
    return torch.fmod(a, b) if node.attributes["fmod"] else torch.remainder(a, b)


def _clip(node: Node, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    if node.version < 11:
        return x.clamp(node.attributes["min"], node.attributes["max"])
    return x if low is None and high is None else x.clamp(low, high)


def _selu(node: Node, x: Tensor) -> Tensor:
    alpha, gamma = node.attributes["alpha"], node.attributes["gamma"]
    z: Tensor = gamma * (x.relu() + alpha * torch.expm1(x.clamp(max=0)))
    return z


def _hard_sigmoid(node: Node, x: Tensor) -> Tensor:
    z: Tensor = node.attributes["alpha"] * x + node.attributes["beta"]
    return z.clamp(0, 1)


def _by_axis(function: Callable[[Tensor, int], Tensor]) -> Operator:
    def run(node: Node, x: Tensor) -> Tensor:
        axis = axis_of(node.attributes["axis"], x.ndim)
        if node.version >= 13:
            return function(x, axis)
        # Before version 13 all axes from this one on are one.
        return function(x.reshape(math.prod(x.shape[:axis]), -1), 1).reshape(x.shape)

    return Operator(run)


def _cast(node: Node, x: Tensor) -> Tensor:
    if node.attributes["to"] not in DTYPES:
        raise node.unsupported("to")
    return x.to(DTYPES[node.attributes["to"]])


def _dropout(node: Node, x: Tensor, ratio: Tensor | None = None, training: bool | None = None) -> tuple[Tensor, Tensor]:
    if training:
        raise ValueError("input training_mode = True is not supported")
    return x, torch.ones_like(x, dtype=torch.bool)


ELEMENTWISE: dict[str, Operator] = {
    "Neg": _unary(torch.neg),
    "Abs": _unary(torch.abs),
    "Sqrt": _unary(torch.sqrt),
    "Exp": _unary(torch.exp),
    "Log": _unary(torch.log),
    "Erf": _unary(torch.erf),
    "Reciprocal": _unary(torch.reciprocal),
    "Floor": _unary(torch.floor),
    "Ceil": _unary(torch.ceil),
    "Sign": _unary(torch.sign),
    "Relu": _unary(torch.relu),
    "Softplus": _unary(F.softplus),
    "Softsign": _unary(F.softsign),
    "Sigmoid": _unary(torch.sigmoid),
    "HardSwish": _unary(F.hardswish),
    "Mish": _unary(F.mish),
    "Tanh": _unary(torch.tanh),
    "Sin": _unary(torch.sin),
    "Cos": _unary(torch.cos),
    "Not": _unary(torch.logical_not),
    "Identity": _unary(lambda x: x),
    "ai.onnx.ml.ZipMap": _unary(lambda x: x),
    "LeakyRelu": Operator(lambda node, x: F.leaky_relu(x, node.attributes["alpha"])),
    "PRelu": Operator(lambda node, x, slope: torch.where(x > 0, x, slope * x), size=broadcast_size),
    "Elu": Operator(lambda node, x: F.elu(x, node.attributes["alpha"])),
    "Celu": Operator(lambda node, x: F.celu(x, node.attributes["alpha"])),
    "Selu": Operator(_selu),
    "Gelu": Operator(lambda node, x: F.gelu(x, approximate=node.attributes["approximate"])),
    "HardSigmoid": Operator(_hard_sigmoid),
    "Swish": Operator(lambda node, x: x * torch.sigmoid(node.attributes["alpha"] * x)),
    "Clip": Operator(_clip, size=broadcast_size),
    "Softmax": _by_axis(torch.softmax),
    "LogSoftmax": _by_axis(torch.log_softmax),
    "Add": _binary(torch.add),
    "Sub": _binary(torch.sub),
    "Mul": _binary(torch.mul),
    "Div": _binary(_divide),
    "Pow": _binary(lambda x, y: x.pow(y).to(x.dtype)),
    "Mod": Operator(_mod, size=broadcast_size),
    "Equal": _binary(torch.eq),
    "Greater": _binary(torch.gt),
    "GreaterOrEqual": _binary(torch.ge),
    "Less": _binary(torch.lt),
    "LessOrEqual": _binary(torch.le),
    "And": _binary(torch.logical_and),
    "Or": _binary(torch.logical_or),
    "Min": _variadic(torch.minimum),
    "Max": _variadic(torch.maximum),
    "Sum": _variadic(torch.add),
    "Where": Operator(lambda node, *xs: torch.where(*xs), size=broadcast_size),
    "Cast": Operator(_cast),
    "CastLike": Operator(lambda node, x, like: x.to(like.dtype)),
    "Dropout": Operator(_dropout, host=(2,), outputs=2),
}
"""By operator; a domain other than ONNX's own stands in front."""
