"""Graphs for one row without an axis of samples, run on many rows at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nfa.formats.graph.node import RunContext
from nfa.formats.onnx.node import Node
from nfa.formats.onnx.running import run_node

OF_SHAPES = ("Shape", "Size")
"""Operators whose result is the same for every row."""


@dataclass(frozen=True)
class RowByRow:
    """Runs a node on values whose first axis is that of the samples.

    Products with a weight are run as one for all rows, so that whoever watches operations sees them as in any other
    network; everything else through `torch.vmap`.

    Args:
        by_row: Names of the values that differ from row to row.
    """

    by_row: frozenset[str]

    @classmethod
    def of(cls, entry: str, nodes: Iterable[Node]) -> "RowByRow":
        """Return the runner of a graph whose rows are the value `entry`."""
        by_row = {entry}
        for node in nodes:
            if node.operator not in OF_SHAPES and not by_row.isdisjoint(node.inputs):
                by_row.update(node.outputs)
        return cls(frozenset(by_row - {""}))

    def __call__(self, node: Node, values: Mapping[str, Any], batch: RunContext) -> tuple[Tensor, ...]:
        """Return the results of a node, as `run_node` does.

        Raises:
            ValueError: a product of a kind that is not read for single rows.
            Exception: whatever torch raises where the inputs do not fit.
        """
        rows = [name for name in dict.fromkeys(node.inputs) if name in self.by_row]
        if not rows:
            return run_node(node, values, batch)
        if node.operator in OF_SHAPES:
            return run_node(node, {**values, rows[0]: values[rows[0]][0]}, batch)
        first, second = (*node.inputs, "", "")[:2]
        if node.operator in ("MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum") and second not in self.by_row:
            return self._product(node, values, batch)
        if node.operator == "MatMul" and first not in self.by_row and values[first].ndim == 2:
            W, h = values[first], values[second]
            return (F.linear(h, W) if h.ndim == 2 else torch.matmul(W, h),)
        if node.operator in ("Gemm", "Conv", "ConvTranspose", "Einsum"):
            raise ValueError("it is not read in a network for one row without an axis of samples")
        return self._each(node, rows, values, batch)

    def _product(self, node: Node, values: Mapping[str, Any], batch: RunContext) -> tuple[Tensor, ...]:
        """Return the product of rows and a weight."""
        rows = values[node.inputs[0]]
        if node.operator in ("Conv", "ConvTranspose"):
            # A batch for each row: both axes are samples.
            flat = {**values, node.inputs[0]: rows.flatten(0, 1)}
            return tuple(each.unflatten(0, rows.shape[:2]) for each in run_node(node, flat, batch))
        if node.operator == "Einsum" or values[node.inputs[1]].ndim > 2:
            raise ValueError("it is not read in a network for one row without an axis of samples")
        if node.operator == "Gemm" and node.attributes["transA"]:
            node = replace(node, attributes={**node.attributes, "transA": 0})
            values = {**values, node.inputs[0]: rows.mT}
        return run_node(node, values, batch)

    def _each(self, node: Node, rows: list[str], values: Mapping[str, Any], batch: RunContext) -> tuple[Tensor, ...]:
        """Return the results of any other operator, row by row in torch's own way."""
        alone = replace(batch, rows=1, budget=None)

        def one(*row: Tensor) -> tuple[Tensor, ...]:
            return run_node(node, {**values, **dict(zip(rows, row, strict=True))}, alone)

        given = [values[name] for name in rows]
        results: tuple[Tensor, ...] = torch.vmap(one)(*given)
        if batch.budget is not None:
            made = sum(each.numel() for each in results)
            batch.budget.hold(made)
            batch.budget.spend(made + sum(each.numel() for each in given))
        return results
