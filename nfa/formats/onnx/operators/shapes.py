"""Making, moving, cutting, repeating and counting entries."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nfa.formats.onnx.node import Node
from nfa.formats.onnx.operators.operator import Operator, axes_of, axis_of


def _constant(node: Node) -> Tensor:
    for attribute, dtype in (
        ("value_float", torch.float32),
        ("value_floats", torch.float32),
        ("value_int", torch.int64),
        ("value_ints", torch.int64),
    ):
        if attribute in node.attributes:
            return torch.tensor(node.attributes[attribute], dtype=dtype)
    if "value" not in node.attributes:
        raise ValueError("only numbers and dense tensors are supported as its value")
    value: Tensor = node.attributes["value"]
    return value


def _constant_of_shape(node: Node, shape: list[int]) -> Tensor:
    value = node.attributes.get("value", torch.zeros(1))
    return torch.full(shape, value.item(), dtype=value.dtype)


def _reshape(node: Node, x: Tensor, shape: list[int]) -> Tensor:
    if not node.attributes.get("allowzero", 0):
        shape = [x.shape[place] if size == 0 else size for place, size in enumerate(shape)]
    return x.reshape(shape)


def _flatten(node: Node, x: Tensor) -> Tensor:
    axis = node.attributes["axis"]
    axis = x.ndim if axis == x.ndim else axis_of(axis, x.ndim)
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def _squeeze(node: Node, x: Tensor, axes: list[int] | None = None) -> Tensor:
    axes = node.attributes.get("axes", axes)
    if axes is None:
        return x.squeeze()
    found = axes_of(axes, x.ndim)
    if any(x.shape[axis] != 1 for axis in found):
        raise ValueError(f"axes {axes} of shape {tuple(x.shape)} are not all of size 1")
    return x.squeeze(found)


def _unsqueeze(node: Node, x: Tensor, axes: list[int] | None = None) -> Tensor:
    axes = node.attributes.get("axes", axes)
    assert axes is not None
    for axis in axes_of(axes, x.ndim + len(axes)):
        x = x.unsqueeze(axis)
    return x


def _transpose(node: Node, x: Tensor) -> Tensor:
    return x.permute(node.attributes.get("perm", list(range(x.ndim))[::-1]))


def _concat(node: Node, *xs: Tensor) -> Tensor:
    axis = axis_of(node.attributes["axis"], xs[0].ndim)
    rows = max(len(x) for x in xs)
    if axis > 0 and any(len(x) == 1 < rows for x in xs):
        # A graph for a batch of one joins a constant to that one row.
        xs = tuple(x.expand(rows, *x.shape[1:]) if len(x) == 1 else x for x in xs)
    return torch.cat(xs, axis)


def _concat_size(node: Node, *xs: Tensor) -> int:
    rows = max(len(x) for x in xs)
    return sum(x.numel() * (rows if len(x) == 1 else 1) for x in xs)


def _split(node: Node, x: Tensor, sizes: list[int] | None = None) -> Sequence[Tensor]:
    axis = axis_of(node.attributes["axis"], x.ndim)
    sizes = node.attributes.get("split", sizes)
    if sizes is None:
        count, length = len(node.outputs), x.shape[axis]
        part = -(-length // count)  # the last one may be smaller
        sizes = [min(part, max(0, length - number * part)) for number in range(count)]
    if len(sizes) != len(node.outputs):
        raise ValueError(f"{len(sizes)} parts for {len(node.outputs)} outputs")
    parts: Sequence[Tensor] = x.split(sizes, axis)
    return parts


def _slice(
    node: Node,
    x: Tensor,
    starts: list[int] | None = None,
    ends: list[int] | None = None,
    axes: list[int] | None = None,
    steps: list[int] | None = None,
) -> Tensor:
    starts, ends, axes = (
        node.attributes.get(name, given) for name, given in (("starts", starts), ("ends", ends), ("axes", axes))
    )
    assert starts is not None
    assert ends is not None
    if steps is not None and 0 in steps:
        raise ValueError("input steps holds a 0")
    axes = list(range(len(starts))) if axes is None else axes
    for start, end, axis, step in zip(starts, ends, axes, steps or [1] * len(starts), strict=True):
        place = axis_of(axis, x.ndim)
        # Ends may lie anywhere: exporters write the largest number there is.
        first, last, _ = slice(start, end, step).indices(x.shape[place])
        if step > 0:
            x = x[(slice(None),) * place + (slice(first, last, min(step, x.shape[place] + 1)),)]
        else:
            wanted = torch.arange(x.shape[place], device=x.device).flip(0)
            x = x.index_select(place, wanted[x.shape[place] - 1 - first : x.shape[place] - 1 - last : -step])
    return x


def _gather(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    axis = axis_of(node.attributes["axis"], x.ndim)
    flat = indices.reshape(-1).long()
    flat = torch.where(flat < 0, flat + x.shape[axis], flat)
    return x.index_select(axis, flat).reshape(x.shape[:axis] + indices.shape + x.shape[axis + 1 :])


def _gather_size(node: Node, x: Tensor, indices: Tensor) -> int:
    return x.numel() // max(1, x.shape[axis_of(node.attributes["axis"], x.ndim)]) * indices.numel()


def _shape(node: Node, x: Tensor) -> Tensor:
    return torch.tensor(x.shape[node.attributes.get("start", 0) : node.attributes.get("end")], dtype=torch.int64)


def _expand(node: Node, x: Tensor, shape: list[int]) -> Tensor:
    return x.expand(torch.broadcast_shapes(x.shape, tuple(shape)))


def _range(node: Node, start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    return torch.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)


def _pads(node: Node, x: Tensor, pads: list[int] | None, axes: list[int] | None) -> list[tuple[int, int]]:
    """Return the padding before and after each axis."""
    pads = node.attributes.get("pads", pads)
    assert pads is not None
    found = list(range(x.ndim)) if axes is None else [axis_of(axis, x.ndim) for axis in axes]
    if len(pads) != 2 * len(found):
        raise ValueError(f"{len(pads)} pads for {len(found)} axes")
    each = [(0, 0)] * x.ndim
    for axis, first, last in zip(found, pads[: len(found)], pads[len(found) :], strict=True):
        each[axis] = (first, last)
    return each


def _pad(
    node: Node, x: Tensor, pads: list[int] | None = None, value: float | None = None, axes: list[int] | None = None
) -> Tensor:
    modes = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    mode = node.attributes["mode"]
    if mode not in modes:
        raise node.unsupported("mode")
    flat = [size for pair in reversed(_pads(node, x, pads, axes)) for size in pair]
    if mode == "constant":
        return F.pad(x, flat, value=node.attributes.get("value", value) or 0)
    while flat[-2:] == [0, 0]:  # torch pads by other entries along the last axes only
        flat = flat[:-2]
    return F.pad(x, flat, mode=modes[mode]) if flat else x


def _pad_size(
    node: Node, x: Tensor, pads: list[int] | None = None, value: float | None = None, axes: list[int] | None = None
) -> int:
    each = zip(x.shape, _pads(node, x, pads, axes), strict=True)
    return math.prod(size + max(0, first) + max(0, last) for size, (first, last) in each)


def _product(*sizes: Any) -> int:
    return math.prod(max(0, int(size)) for size in sizes)


SHAPES: dict[str, Operator] = {
    "Constant": Operator(_constant),
    "ConstantOfShape": Operator(_constant_of_shape, host=(0,), size=lambda node, shape: _product(*shape)),
    "Shape": Operator(_shape),
    "Size": Operator(lambda node, x: torch.tensor(x.numel())),
    "Range": Operator(
        _range, size=lambda node, start, limit, delta: math.ceil((limit.item() - start.item()) / delta.item())
    ),
    "Reshape": Operator(_reshape, host=(1,)),
    "Flatten": Operator(_flatten),
    "Squeeze": Operator(_squeeze, host=(1,)),
    "Unsqueeze": Operator(_unsqueeze, host=(1,)),
    "Transpose": Operator(_transpose),
    "Concat": Operator(_concat, size=_concat_size),
    "Split": Operator(_split, host=(1,), outputs=None),
    "Slice": Operator(_slice, host=(1, 2, 3, 4)),
    "Gather": Operator(_gather, size=_gather_size),
    "Expand": Operator(
        _expand, host=(1,), size=lambda node, x, shape: math.prod(torch.broadcast_shapes(x.shape, tuple(shape)))
    ),
    "Tile": Operator(
        lambda node, x, repeats: x.repeat(repeats),
        host=(1,),
        size=lambda node, x, repeats: x.numel() * _product(*repeats),
    ),
    "Pad": Operator(_pad, host=(1, 2, 3), size=_pad_size),
}
"""By operator."""
