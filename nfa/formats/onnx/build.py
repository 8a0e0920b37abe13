"""From a folded ONNX graph to a module: its weights registered under the names that layers will have."""

import itertools

from torch import Tensor, nn

from nfa.common.checks import check_finite
from nfa.formats.nested import put
from nfa.formats.onnx.fold import Folded
from nfa.formats.onnx.graph import Graph
from nfa.formats.onnx.names import is_name, weight_name
from nfa.formats.onnx.net import OnnxNet
from nfa.formats.onnx.node import Node
from nfa.formats.onnx.tied import owners, untwinned, users

HOLDERS = ("Conv", "Gather", "Einsum")
"""Operators after which a part is called, so that an audit says what it passes over."""


def build(graph: Graph, folded: Folded, output: str) -> OnnxNet:
    """Return the module that computes an output.

    Weights, and rows of numbers such as biases, are parameters; other constants of floating point are buffers.

    Args:
        graph: What the file says.
        folded: Its constants and nodes.
        output: The value to return.

    Raises:
        InputError: the output does not depend on the input, or a weight is not finite.
    """
    if output in folded.constants or output in graph.initializers:
        raise graph.error("its output does not depend on its input")
    folded = untwinned(folded)
    places = users(folded)
    net = OnnxNet(graph.where, graph.entry, folded.nodes, output)
    modules = {name[:end] for name in folded.constants if is_name(name) for end in range(len(name)) if name[end] == "."}
    made = {graph.entry.name, *(name for node in folded.nodes for name in node.outputs)}
    wanted = {name: None for node in folded.nodes for name in node.inputs if name and name not in made}
    for number, name in enumerate(wanted):
        value, used = folded.constants[name], places.get(name, [])
        if not value.is_floating_point():
            net.keep_numbers(name, value)
            continue
        nodes = [folded.nodes[place] for place in used]
        title = _title(folded.origins[name], nodes, number)
        if nodes or value.ndim == 1:
            check_finite(graph.where.within(title), value)
            value = nn.Parameter(value, requires_grad=False)
        own, _, leaf = title.rpartition(".")
        registered: dict[str, str] = {}
        for place, node, owner in zip(used, nodes, owners(own, nodes, modules), strict=True):
            if owner not in registered:
                registered[owner] = _register(net, f"{owner}.{leaf}", value, node.operator)
            net.run_within(place, registered[owner].rpartition(".")[0])
        net.keep_weight(name, next(iter(registered.values()), None) or _register(net, title, value))
    return net


def _title(origin: str, nodes: list[Node], number: int) -> str:
    """Return what a constant is called, after the first node that applies it where that is a weight."""
    if nodes:
        return weight_name(origin, nodes[0].path, nodes[0].name, f"{nodes[0].operator}_{number}")
    return origin if is_name(origin) else f"constant_{number}"


def _register(net: nn.Module, title: str, value: Tensor, operator: str = "") -> str:
    """Register a tensor under a dotted name, or one like it where that is taken; return the name."""
    for number in itertools.count():
        owner, dot, leaf = title.rpartition(".")
        name = f"{owner}_{number}.{leaf}" if dot else f"{leaf}_{number}"
        name = name if number else title
        kinds = {name.rpartition(".")[0]: operator} if operator in HOLDERS else {}
        try:
            put(net, name, value, kinds)
        except KeyError:
            continue
        return name
    raise AssertionError
