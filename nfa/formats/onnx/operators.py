"""The table from ONNX operators to torch functions: arithmetic, activations, products, normalisation."""

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfa.formats.onnx.node import Node, Operator, axis_of, broadcast_size
from nfa.formats.onnx.shapes import SHAPES
from nfa.formats.onnx.tensors import DTYPES
from nfa.formats.onnx.windows import WINDOWS


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


def _gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    attributes = node.attributes
    alpha, beta, weight_first = attributes["alpha"], attributes["beta"], isinstance(a, nn.Parameter)
    a = a.T if attributes["transA"] else a
    weight = b if attributes["transB"] else b.T
    if c is not None and c.ndim == 2 and len(c) == 1:
        c = c[0]
    plain = alpha == beta == 1 and not weight_first
    if plain and (c is None or c.shape == weight.shape[:1]):
        return F.linear(a, weight, c)
    z = torch.matmul(a, weight.T) if weight_first else F.linear(a, weight)
    z = z if alpha == 1 else alpha * z
    return z if c is None else z + (c if beta == 1 else beta * c)


def _gemm_size(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> int:
    rows, columns = a.shape[1 if node.attributes["transA"] else 0], b.shape[0 if node.attributes["transB"] else 1]
    return math.prod(torch.broadcast_shapes((rows, columns), () if c is None else c.shape))


def _gemm_work(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> int:
    return _gemm_size(node, a, b, c) * a.shape[0 if node.attributes["transA"] else 1]


def _matmul_size(node: Node, a: Tensor, b: Tensor) -> int:
    batch: int = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2]).numel()
    return batch * int(a.shape[-2] if a.ndim > 1 else 1) * int(b.shape[-1] if b.ndim > 1 else 1)


def _matmul_work(node: Node, a: Tensor, b: Tensor) -> int:
    return _matmul_size(node, a, b) * a.shape[-1]


def _einsum(node: Node, *xs: Tensor) -> Tensor:
    return torch.einsum(node.attributes["equation"], *xs)


def _letters(node: Node, *xs: Tensor) -> tuple[dict[str, int], str]:
    """Return the size that each letter of an equation stands for, and the letters of the result."""
    equation = node.attributes["equation"].replace(" ", "")
    if "." in equation:
        raise node.unsupported("equation")
    terms, _, result = equation.partition("->")
    sizes: dict[str, int] = {}
    for term, x in zip(terms.split(","), xs, strict=True):
        sizes.update(zip(term, x.shape, strict=True))
    return sizes, result if "->" in equation else "".join(sizes)


def _einsum_size(node: Node, *xs: Tensor) -> int:
    sizes, letters = _letters(node, *xs)
    return math.prod(sizes[letter] for letter in letters)


def _einsum_work(node: Node, *xs: Tensor) -> int:
    return math.prod(_letters(node, *xs)[0].values())


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


OPERATORS: dict[str, Operator] = {
    **SHAPES,
    **WINDOWS,
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
    "ai.onnx.ml.Scaler": Operator(_scaler),
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
    "MatMul": Operator(lambda node, a, b: torch.matmul(a, b), size=_matmul_size, work=_matmul_work),
    "Gemm": Operator(_gemm, size=_gemm_size, work=_gemm_work),
    "Einsum": Operator(_einsum, size=_einsum_size, work=_einsum_work),
    "BatchNormalization": Operator(_batch_norm),
    "LayerNormalization": Operator(_layer_norm),
    "InstanceNormalization": Operator(_instance_norm),
}
"""By operator; a domain other than ONNX's own stands in front."""
