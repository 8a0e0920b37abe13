"""Build a module from a folded ONNX graph; weights are registered under the names that layers will have."""

import itertools
from dataclasses import replace

from torch import Tensor, nn

from nfa.common.checks import check_finite
from nfa.formats.graph.modules import put
from nfa.formats.graph.net import GraphNet
from nfa.formats.graph.node import Graph
from nfa.formats.onnx.document import Document
from nfa.formats.onnx.fold import Folded
from nfa.formats.onnx.names import is_name, weight_name
from nfa.formats.onnx.node import Node
from nfa.formats.onnx.one_row import RowByRow
from nfa.formats.onnx.running import run_node
from nfa.formats.onnx.tied import owners, users, with_one_of_each

HOLDERS = ("Conv", "ConvTranspose", "Gather", "Einsum")
"""Operators whose names a module gets, so that an audit can name what it skips."""


def build(document: Document, folded: Folded, output: str) -> GraphNet[Node]:
    """Return the module that computes an output.

    Weights, and vectors such as biases, become parameters; other constants of floating point become buffers.

    Args:
        document: What the file says.
        folded: Its constants and nodes.
        output: The value to return.

    Raises:
        InputError: the output does not depend on the input, or a weight is not finite.
    """
    if output in folded.constants or output in document.initializers:
        raise document.error("its output does not depend on its input")
    folded, entry = with_one_of_each(folded), document.entry
    places = users(folded)
    nodes = tuple(folded.nodes)
    if not entry.single:
        nodes = tuple(_for_any_batch(node, folded, entry.batch or 1) for node in nodes)
    run = RowByRow.of(entry.name, nodes) if entry.single else run_node
    net = GraphNet(Graph(document.where, entry.name, entry.shape, entry.dtype, nodes, output), run)
    modules = {name[:end] for name in folded.constants if is_name(name) for end in range(len(name)) if name[end] == "."}
    made = {entry.name, *(name for node in nodes for name in node.outputs)}
    wanted = {name: None for node in nodes for name in node.inputs if name and name not in made}
    register = _Registry(net)
    for number, name in enumerate(wanted):
        value, used = folded.constants[name], places.get(name, [])
        if not value.is_floating_point():
            net.fix(name, value)
            continue
        applying = [nodes[place] for place in used]
        title = _title(folded.origins[name], applying, number)
        if applying or value.ndim == 1:
            check_finite(document.where.within(title), value)
            value = nn.Parameter(value, requires_grad=False)
        own, _, leaf = title.rpartition(".")
        registered: dict[str, str] = {}
        for place, node, owner in zip(used, applying, owners(own, applying, modules), strict=True):
            if owner not in registered:
                registered[owner] = register.put(f"{owner}.{leaf}", value, node.operator)
            net.run_within(place, registered[owner].rpartition(".")[0])
        net.bind(name, next(iter(registered.values()), None) or register.put(title, value))
    return net


def _for_any_batch(node: Node, folded: Folded, batch: int) -> Node:
    """Return the node with the batch that its constant shape was written for, if it has such a shape."""
    shape = folded.constants.get(node.inputs[1]) if node.operator in ("Reshape", "Expand") else None
    return node if shape is None or shape.is_floating_point() else replace(node, batch=batch)


def _title(origin: str, nodes: list[Node], number: int) -> str:
    """Return a constant's name; a weight's may come from the first node that applies it."""
    if nodes:
        return weight_name(origin, nodes[0].module, nodes[0].name, f"{nodes[0].operator}_{number}")
    return origin if is_name(origin) else f"constant_{number}"


class _Registry:
    """Registers tensors in a network under names that are free.

    Args:
        net: The network.
    """

    def __init__(self, net: nn.Module) -> None:
        self._net = net
        self._next: dict[str, itertools.count[int]] = {}

    def put(self, title: str, value: Tensor, operator: str = "") -> str:
        """Register a tensor under a dotted name, or a similar one where that is taken; return the name."""
        owner, dot, leaf = title.rpartition(".")
        # A name that was asked for before is taken, and so are the numbers that were appended to it.
        numbers = self._next.setdefault(title, itertools.count())
        for number in numbers:
            name = f"{owner}_{number}.{leaf}" if dot else f"{leaf}_{number}"
            name = name if number else title
            kinds = {name.rpartition(".")[0]: operator} if operator in HOLDERS else {}
            try:
                put(self._net, name, value, kinds)
            except KeyError:
                continue
            return name
        raise AssertionError
