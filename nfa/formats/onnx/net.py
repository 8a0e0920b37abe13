"""A module that runs the nodes of an ONNX graph, one after the other, with torch functions."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nfa.common.errors import InputError, Place
from nfa.common.shown import shown
from nfa.formats.nested import held, parts
from nfa.formats.onnx.graph import Entry
from nfa.formats.onnx.node import ELEMENTS, LONGEST, Node
from nfa.formats.onnx.operators import OPERATORS
from nfa.formats.rows import fit_rows

LIST = 1024
"""Entries of a tensor that is read as Python numbers: shapes, axes, pads."""


class OnnxNet(nn.Module):
    """Runs a graph; its weights are parameters of the modules within.

    Args:
        where: What messages begin with.
        entry: What the graph takes.
        nodes: In order, those alone that the output needs.
        output: The value that is returned.
    """

    _like: Tensor

    def __init__(self, where: Place, entry: Entry, nodes: Sequence[Node], output: str) -> None:
        # Underscores, so that layers may have every other name.
        super().__init__()
        self._where = where
        self._entry = entry
        self._output = output
        self._nodes = list(nodes)
        # Of no entries: it follows the network to other precisions.
        self.register_buffer("_like", torch.empty(0, dtype=entry.dtype), persistent=False)
        self._weights: dict[str, str] = {}
        self._within: dict[int, str] = {}
        self._numbers: dict[str, Tensor] = {}
        last = {name: number for number, node in enumerate(nodes) for name in node.inputs}
        self._done = [[name for name in node.inputs if last[name] == i] for i, node in enumerate(nodes)]

    def keep_weight(self, name: str, registered: str) -> None:
        """Say under which name of a parameter or buffer a constant is registered."""
        self._weights[name] = registered

    def run_within(self, place: int, part: str) -> None:
        """Say in which part of the network a node is run."""
        self._within[place] = part

    def keep_numbers(self, name: str, value: Tensor) -> None:
        """Keep whole numbers or truth values, which shapes are made of; they stay on the processor."""
        self._numbers[name] = value

    def forward(self, x: Tensor, spend: Callable[[int], None] | None = None) -> Tensor:
        """Return the outputs for n rows.

        Args:
            x: In the graph's shape, or another one that `fit_rows` knows to be the same.
            spend: As `run` takes it.

        Raises:
            InputError: rows are of another shape than the graph takes, or a node cannot be run.
        """
        own = held(self)
        values = {name: own[registered] for name, registered in self._weights.items()} | self._numbers
        values[self._entry.name] = fit_rows(x, self._entry.shape).to(self._like.dtype)
        within = parts(self)
        for place, (node, done) in enumerate(zip(self._nodes, self._done, strict=True)):
            inputs: list[Any] = [values[name] if name else None for name in node.inputs]
            if node.operator in ("Reshape", "Expand") and node.inputs[1] in self._numbers:
                inputs[1] = rebatched(node, inputs[0], inputs[1], len(x), self._entry.batch or 1)
            work = partial(run, node, inputs, len(x), self._where, spend)
            part = within.get(self._within.get(place, ""))
            results = work() if part is None else part(work)
            values.update(zip(node.outputs, results, strict=False))
            for name in done:
                if name != self._output:
                    values.pop(name, None)
        return values[self._output]


def run(
    node: Node,
    inputs: Sequence[Tensor | None],
    rows: int,
    where: Place,
    spend: Callable[[int], None] | None = None,
) -> tuple[Tensor, ...]:
    """Run one node.

    Args:
        node: What to run.
        inputs: None for one left out.
        rows: Samples in the batch: the more, the larger may be what an operator makes.
        where: What messages begin with.
        spend: Called with how much work it will be, in entries read and made and multiply-adds.

    Raises:
        InputError: torch refuses the inputs, an attribute is not supported, or the result would be huge.
    """
    operator = OPERATORS[node.operator]
    try:
        device = _device(inputs)
        given = [
            x if x is None else _read(x) if place in operator.host else x.to(device) for place, x in enumerate(inputs)
        ]
        size = operator.size(node, *given) if operator.size else 0
        if size > max(ELEMENTS * rows, *(x.numel() for x in inputs if x is not None), 0):
            raise ValueError(f"it would make {size} entries, more than {ELEMENTS} for each row")
        if spend is not None:
            read = sum(x.numel() for x in inputs if x is not None)
            spend(read + size + (operator.work(node, *given) if operator.work else 0))
        result = operator.run(node, *given)
        results = (result,) if isinstance(result, Tensor) else tuple(result)
        # Nothing, along a huge axis, costs no memory, but time as soon as somebody counts along it.
        if any(each.numel() == 0 and max(each.shape) > ELEMENTS for each in results):
            raise ValueError(f"a result of shape {[tuple(each.shape) for each in results]}")
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # torch raises a dozen kinds where sizes and numbers do not fit
        reason = shown(str(error).partition("\n")[0] or type(error).__name__, LONGEST)
        raise where.because(f"{node}: {reason}") from error
    return results


def rebatched(node: Node, x: Tensor, target: Tensor, rows: int, batch: int) -> Tensor:
    """Return a constant shape that was written for one batch size as it is for another.

    The batch is the outermost axis, so it is the first size that grows with it.

    Args:
        node: A Reshape or Expand.
        x: What is reshaped.
        target: The file's shape.
        rows: Samples now.
        batch: Samples when the file was written.

    >>> node = Node("Reshape", "", "", (), (), {}, 13)
    >>> rebatched(node, torch.zeros(5, 4, 3), torch.tensor([1, -1]), 5, 1)
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
