"""Windows that slide along axes: convolutions and pooling."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

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
    "MaxPool": Operator(_max_pool, size=_pool_size, work=_pool_work),
    "AveragePool": Operator(_average_pool, size=_pool_size, work=_pool_work),
    "GlobalAveragePool": Operator(lambda node, x: x.mean(list(range(2, x.ndim)), keepdim=True)),
    "GlobalMaxPool": Operator(lambda node, x: x.amax(list(range(2, x.ndim)), keepdim=True)),
}
"""By operator."""
