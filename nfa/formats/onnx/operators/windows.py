"""Windows that slide along axes: convolutions, transposed ones and pooling."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch.nn.functional as F
from torch import Tensor

from nfa.formats.onnx.node import Node
from nfa.formats.onnx.operators.operator import Operator


@dataclass(frozen=True)
class _Window:
    """A window along each of the last axes."""

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    before: list[int]
    after: list[int]

    @property
    def even(self) -> bool:
        """Whether torch's own padding will do: the same at both ends, by half a window at most."""
        return self.before == self.after and all(2 * p <= k for p, k in zip(self.before, self.kernel, strict=True))

    def padded(self, x: Tensor, value: float) -> Tensor:
        """Return x with the padding around it."""
        pairs = zip(reversed(self.before), reversed(self.after), strict=True)
        return F.pad(x, [size for pair in pairs for size in pair], value=value)


def _window(node: Node, x: Tensor, kernel: Sequence[int]) -> _Window:
    """Return the node's window, after checking its numbers."""
    axes = x.ndim - 2
    ones = [1] * axes
    strides, dilations = (list(node.attributes.get(name) or ones) for name in ("strides", "dilations"))
    pads = list(node.attributes.get("pads") or [0] * 2 * axes)
    if not 1 <= axes <= 3:
        raise ValueError(f"a window along {axes} axes is not supported")
    if not len(kernel) == len(strides) == len(dilations) == axes or len(pads) != 2 * axes:
        raise ValueError(f"attributes for another number of axes than {axes}")
    if min(*kernel, *strides, *dilations) < 1 or min(pads) < 0:
        raise ValueError("attributes kernel_shape, strides and dilations must be 1 or more, pads 0 or more")
    before, after = pads[:axes], pads[axes:]
    if node.attributes["auto_pad"] in ("SAME_UPPER", "SAME_LOWER"):
        for axis, (size, k, s, d) in enumerate(zip(x.shape[2:], kernel, strides, dilations, strict=True)):
            total = max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
            less, more = total // 2, total - total // 2
            before[axis], after[axis] = (less, more) if node.attributes["auto_pad"] == "SAME_UPPER" else (more, less)
    elif node.attributes["auto_pad"] == "VALID":
        before, after = [0] * axes, [0] * axes
    elif node.attributes["auto_pad"] != "NOTSET":
        raise node.unsupported("auto_pad")
    return _Window(list(kernel), strides, dilations, before, after)


def _conv(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    kernel = list(weight.shape[2:])
    if node.attributes.get("kernel_shape", kernel) != kernel:
        raise ValueError(f"attribute kernel_shape = {node.attributes['kernel_shape']} for a weight of {kernel}")
    window = _window(node, x, kernel)
    run = (F.conv1d, F.conv2d, F.conv3d)[x.ndim - 3]
    padding = window.before
    if window.before != window.after:
        x, padding = window.padded(x, 0.0), [0] * len(kernel)
    z: Tensor = run(x, weight, bias, window.strides, padding, window.dilations, node.attributes["group"])
    return z


def _conv_size(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> int:
    return _padded_size(node, x, weight.shape[2:], max(x.shape[1], weight.shape[0]))


def _conv_work(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> int:
    return _padded_size(node, x, weight.shape[2:], weight.shape[0]) * math.prod(weight.shape[1:])


def _conv_transpose(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    window, extra = _transposed_window(node, x, weight)
    # torch cuts off the same at both ends; the rest is cut off here.
    padding = [min(pair) for pair in zip(window.before, window.after, strict=True)]
    run = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[x.ndim - 3]
    z: Tensor = run(x, weight, bias, window.strides, padding, extra, node.attributes["group"], window.dilations)
    for axis, (least, before, after) in enumerate(zip(padding, window.before, window.after, strict=True)):
        if before != after:
            z = z.narrow(axis + 2, before - least, z.shape[axis + 2] - before - after + 2 * least)
    return z


def _transposed_window(node: Node, x: Tensor, weight: Tensor) -> tuple[_Window, list[int]]:
    """Return the window, with the part of its output that is cut off, and the padding behind the output."""
    kernel = list(weight.shape[2:])
    if node.attributes.get("kernel_shape", kernel) != kernel:
        raise ValueError(f"attribute kernel_shape = {node.attributes['kernel_shape']} for a weight of {kernel}")
    upper = node.attributes["auto_pad"] == "SAME_UPPER"
    same = upper or node.attributes["auto_pad"] == "SAME_LOWER"
    window = _window(replace(node, attributes={**node.attributes, "auto_pad": "NOTSET"}) if same else node, x, kernel)
    axes = len(kernel)
    extra = list(node.attributes.get("output_padding") or [0] * axes)
    sizes = list(node.attributes.get("output_shape") or [])[-axes:]
    if same and not sizes:
        sizes = [size * stride for size, stride in zip(x.shape[2:], window.strides, strict=True)]
    if len(extra) != axes or len(sizes) not in (0, axes) or min(*extra, *sizes, 0) < 0:
        raise ValueError(f"attributes output_padding and output_shape must be sizes along {axes} axes")
    for axis, size in enumerate(sizes):
        reach = (kernel[axis] - 1) * window.dilations[axis] + 1
        total = window.strides[axis] * (x.shape[axis + 2] - 1) + extra[axis] + reach - size
        extra[axis] += max(0, -total)
        less, more = max(0, total) // 2, max(0, total) - max(0, total) // 2
        window.before[axis], window.after[axis] = (less, more) if upper else (more, less)
    return window, extra


def _transposed_size(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> int:
    window, extra = _transposed_window(node, x, weight)
    sizes = (
        (size - 1) * stride + (q - 1) * step + 1 + more
        for size, stride, q, step, more in zip(
            x.shape[2:], window.strides, window.kernel, window.dilations, extra, strict=True
        )
    )
    return int(x.shape[0]) * int(weight.shape[1]) * int(node.attributes["group"]) * math.prod(sizes)


def _transposed_work(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> int:
    return x.numel() * math.prod(weight.shape[1:])


def _max_pool(node: Node, x: Tensor) -> Tensor:
    window = _window(node, x, node.attributes["kernel_shape"])
    padding, ceil = window.before, bool(node.attributes.get("ceil_mode", 0))
    if not window.even:
        if ceil:
            raise node.unsupported("ceil_mode")
        x, padding = window.padded(x, -math.inf), [0] * len(padding)
    run = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[x.ndim - 3]
    z: Tensor = run(x, window.kernel, window.strides, padding, window.dilations, ceil)
    return z


def _average_pool(node: Node, x: Tensor) -> Tensor:
    window = _window(node, x, node.attributes["kernel_shape"])
    padding, ceil = window.before, bool(node.attributes.get("ceil_mode", 0))
    count_padding = bool(node.attributes.get("count_include_pad", 0))
    if max(window.dilations) > 1:
        raise node.unsupported("dilations")
    if not window.even:
        if ceil or not count_padding:
            raise ValueError("attribute pads: other padding before than after is not supported")
        x, padding = window.padded(x, 0.0), [0] * len(padding)
    run = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[x.ndim - 3]
    z: Tensor = run(x, window.kernel, window.strides, padding, ceil, count_padding)
    return z


def _pool_size(node: Node, x: Tensor) -> int:
    return _padded_size(node, x, node.attributes["kernel_shape"], x.shape[1])


def _pool_work(node: Node, x: Tensor) -> int:
    return int(_pool_size(node, x) * math.prod(node.attributes["kernel_shape"]))


def _padded_size(node: Node, x: Tensor, kernel: Sequence[int], channels: int) -> int:
    window = _window(node, x, kernel)
    sizes = (sum(each) for each in zip(x.shape[2:], window.before, window.after, strict=True))
    return int(x.shape[0]) * channels * math.prod(sizes)


WINDOWS: dict[str, Operator] = {
    "Conv": Operator(_conv, size=_conv_size, work=_conv_work),
    "ConvTranspose": Operator(_conv_transpose, size=_transposed_size, work=_transposed_work),
    "MaxPool": Operator(_max_pool, size=_pool_size, work=_pool_work),
    "AveragePool": Operator(_average_pool, size=_pool_size, work=_pool_work),
    "GlobalAveragePool": Operator(lambda node, x: x.mean(list(range(2, x.ndim)), keepdim=True)),
    "GlobalMaxPool": Operator(lambda node, x: x.amax(list(range(2, x.ndim)), keepdim=True)),
}
"""By operator."""
