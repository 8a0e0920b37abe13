"""Run a node of an ONNX graph, with the torch function that its operator has in the tables."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nfa.formats.graph.node import RunContext
from nfa.formats.onnx.node import Node
from nfa.formats.onnx.operators import OPERATORS

ELEMENTS = 1 << 26
"""Entries for each row that an operator may make where it reads fewer: a small file may ask for a large tensor."""

LIST = 1024
"""Entries of a tensor that is read as Python numbers: shapes, axes, pads."""


def run_node(node: Node, values: Mapping[str, Any], batch: RunContext) -> tuple[Tensor, ...]:
    """Return the results of a node.

    Args:
        node: What to run.
        values: By name.
        batch: The number of rows, in proportion to which results may be large, and the budget against which sizes and
            work are checked before anything is made.

    Raises:
        ValueError: an attribute is not supported, or the result would be huge.
        Exception: whatever torch raises where the inputs do not fit.
    """
    operator = OPERATORS[node.operator]
    inputs: list[Any] = [values[name] if name else None for name in node.inputs]
    if node.batch is not None:
        inputs[1] = _rebatched(node, inputs[0], inputs[1], batch.rows, node.batch)
    device = _device(inputs)
    given = [x if x is None else _read(x) if place in operator.host else x.to(device) for place, x in enumerate(inputs)]
    size = operator.size(node, *given) if operator.size else 0
    if size > max(ELEMENTS * batch.rows, *(x.numel() for x in inputs if x is not None), 0):
        raise ValueError(f"it would make {size} entries, more than {ELEMENTS} for each row")
    if batch.budget is not None:
        read = sum(x.numel() for x in inputs if x is not None)
        batch.budget.spend(read + size + (operator.work(node, *given) if operator.work else 0))
    result = operator.run(node, *given)
    results = (result,) if isinstance(result, Tensor) else tuple(result)
    if batch.budget is not None and inputs:
        seen = {x.untyped_storage().data_ptr(): x.numel() for x in inputs if x is not None}
        for each in results:
            # A view takes no memory of its own until it is read as a whole.
            if each.numel() > seen.get(each.untyped_storage().data_ptr(), 0):
                batch.budget.hold(each.numel())
    # No entries along a huge axis take no memory, but time as soon as something loops over the axis.
    if any(each.numel() == 0 and max(each.shape) > ELEMENTS for each in results):
        raise ValueError(f"a result of shape {[tuple(each.shape) for each in results]}")
    return results


def _rebatched(node: Node, x: Tensor, target: Tensor, rows: int, batch: int) -> Tensor:
    """Return a constant shape for another batch size than it was written for.

    The batch is the outermost axis, so it is the first size that grows with it.

    Args:
        node: A Reshape or Expand.
        x: What is reshaped.
        target: The file's shape.
        rows: Samples now.
        batch: Samples when the file was written.

    >>> node = Node("Reshape", "", "", (), (), {}, 13)
    >>> _rebatched(node, torch.zeros(5, 4, 3), torch.tensor([1, -1]), 5, 1)
    tensor([ 5, -1])
    """
    sizes = target.reshape(-1).tolist()
    if rows == batch or not sizes or sizes[0] < 1 or x.ndim == 0:
        return target
    if node.operator == "Expand":
        if sizes[0] == batch:
            sizes[0] = 1
    elif -1 in sizes:
        if sizes[0] == batch and len(x) % rows == 0:
            sizes[0] = rows
    else:
        known = math.prod(x.shape[place] if size == 0 and place < x.ndim else size for place, size in enumerate(sizes))
        if known and x.numel() * sizes[0] % known == 0:
            sizes[0] = x.numel() * sizes[0] // known
    return torch.tensor(sizes)


def _device(inputs: Sequence[Tensor | None]) -> torch.device:
    """Return where the rows are; the numbers that shapes are made of are on the processor."""
    devices = [x.device for x in inputs if x is not None]
    return next((device for device in devices if device.type != "cpu"), torch.device("cpu"))


def _read(x: Tensor) -> Any:
    if x.ndim > 1 or x.numel() > LIST:
        raise ValueError(f"an input of shape {tuple(x.shape)} where a few numbers are expected")
    return x.tolist()
