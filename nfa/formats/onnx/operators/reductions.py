"""Sums, means and extremes along axes."""

from collections.abc import Callable

import torch
from torch import Tensor

from nfa.formats.onnx.node import Node
from nfa.formats.onnx.operators.operator import Operator, axes_of


def _reduction(function: Callable[..., Tensor]) -> Operator:
    def run(node: Node, x: Tensor, axes: list[int] | None = None) -> Tensor:
        axes = node.attributes.get("axes", axes)
        if not axes:
            if node.attributes.get("noop_with_empty_axes", 0):
                return x
            axes = list(range(x.ndim))
        return function(x, axes_of(axes, x.ndim), keepdim=bool(node.attributes["keepdims"]))

    return Operator(run, host=(1,))


def _l2(x: Tensor, axes: list[int], keepdim: bool) -> Tensor:
    return x.square().sum(axes, keepdim=keepdim).sqrt()


def _extreme(function: Callable[..., Tensor]) -> Operator:
    def run(node: Node, x: Tensor) -> Tensor:
        if node.attributes.get("select_last_index", 0):
            raise node.unsupported("select_last_index")
        return function(x, node.attributes["axis"], keepdim=bool(node.attributes["keepdims"]))

    return Operator(run)


REDUCTIONS: dict[str, Operator] = {
    "ReduceMean": _reduction(torch.mean),
    "ReduceSum": _reduction(torch.sum),
    "ReduceMax": _reduction(torch.amax),
    "ReduceMin": _reduction(torch.amin),
    "ReduceL2": _reduction(_l2),
    "ArgMax": _extreme(torch.argmax),
    "ArgMin": _extreme(torch.argmin),
}
"""By operator."""
