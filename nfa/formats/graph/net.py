"""The interpreter: a module that runs the nodes of a graph in order, its weights under their original names."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Generic

import torch
from torch import Tensor, nn

from nfa.formats.graph.budget import GraphBudget
from nfa.formats.graph.modules import held, parts
from nfa.formats.graph.node import Graph, N, Run, RunContext, evaluate
from nfa.formats.rows import fit_rows


class GraphNet(nn.Module, Generic[N]):
    """Runs a graph; its weights are parameters of the modules within, as `modules.put` registers them.

    Args:
        graph: What is computed.
        run: How one of its nodes is run.
    """

    _like: Tensor

    def __init__(self, graph: Graph[N], run: Run[N]) -> None:
        # Underscores leave every other name to layers.
        super().__init__()
        self._graph = graph
        self._run = run
        # Without entries; it follows the network to other precisions and devices.
        self.register_buffer("_like", torch.empty(0, dtype=graph.dtype), persistent=False)
        self._registered: dict[str, str] = {}
        self._numbers: dict[str, Tensor] = {}
        self._within: dict[int, str] = {}
        last = {name: place for place, node in enumerate(graph.nodes) for name in node.inputs}
        last.pop(graph.output, None)
        self._done = [
            [name for name in dict.fromkeys(node.inputs) if last.get(name) == place]
            for place, node in enumerate(graph.nodes)
        ]

    def bind(self, value: str, name: str) -> None:
        """Set the name of the parameter or buffer that a value of the graph is."""
        self._registered[value] = name

    def fix(self, value: str, numbers: Tensor) -> None:
        """Keep whole numbers or truth values of which shapes are made; they stay on the CPU."""
        self._numbers[value] = numbers

    def run_within(self, place: int, part: str) -> None:
        """Set the module in which a node runs; without a module of that name it runs in the network itself."""
        self._within[place] = part

    def own_values(self) -> dict[str, Tensor]:
        """Return parameters, buffers and numbers by the names of the graph."""
        own = held(self)
        return {value: own[name] for value, name in self._registered.items()} | self._numbers

    def forward(self, x: Tensor, budget: GraphBudget | None = None) -> Tensor:
        """Return the answers for n rows.

        Args:
            x: In the graph's shape, or another one that `fit_rows` knows to be the same.
            budget: What it may take, if it is not trusted yet.

        Raises:
            InputError: rows are of another shape than the graph takes, or a node cannot be run.
        """
        rows = fit_rows(x, self._graph.shape).to(self._like.dtype)
        answer: Tensor = self.compute(rows, self.own_values(), budget)
        return answer

    def compute(self, rows: Tensor, own: Mapping[str, Tensor], budget: GraphBudget | None = None) -> Any:
        """Return the output for rows in the graph's shape, with given values in place of the network's own.

        Raises:
            NodeError: a node cannot be run.
        """
        graph, within = self._graph, parts(self)
        batch = RunContext(len(rows), rows.device, budget)
        values: dict[str, Any] = {**own, graph.rows: rows}
        for place, (node, done) in enumerate(zip(graph.nodes, self._done, strict=True)):
            work = partial(evaluate, self._run, node, values, batch, graph.where)
            part = within.get(self._within.get(place, ""))
            results = work() if part is None else part(work)
            values.update((name, value) for name, value in zip(node.outputs, results, strict=False) if name)
            for name in done:
                values.pop(name, None)
        return values[graph.output]
