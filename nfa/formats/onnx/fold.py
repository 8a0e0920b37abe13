"""Constant folding: the part of an ONNX graph that depends on constants alone is computed before any row comes."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nfa.formats.graph.budget import GraphBudget
from nfa.formats.graph.node import RunContext, evaluate
from nfa.formats.onnx.document import Document
from nfa.formats.onnx.names import is_name
from nfa.formats.onnx.node import Node
from nfa.formats.onnx.operators import OPERATORS
from nfa.formats.onnx.operators.operator import broadcast_size
from nfa.formats.onnx.running import ELEMENTS, run_node

FOLDING_WORK = 1 << 31
"""Operations that folding may take, besides those in proportion to the file's size: about a second."""

FOR_EACH = 64
"""Further operations for each entry of the file's constants."""

COPIES = 4
"""Entries that folding may make, and keep, for each entry of the file's constants."""


@dataclass
class Folded:
    """A graph whose constant parts are computed.

    Args:
        nodes: The nodes left to run, in order.
        constants: By value's name.
        origins: By value's name, the file's name for the one weight that it was made of.
    """

    nodes: list[Node]
    constants: dict[str, Tensor]
    origins: dict[str, str]


def fold(document: Document, nodes: list[Node]) -> Folded:
    """Compute what depends on constants alone; a transpose of a weight is left to run, as a view of the weight.

    Raises:
        InputError: a node cannot be run, or constants would grow huge or take long to make.
    """
    constants = document.constants(nodes)
    folded = Folded([], constants, {name: name for name in constants})
    same: dict[str, str] = {}
    views: dict[str, Node] = {}
    inner = [value for node in nodes for value in node.attributes.values() if isinstance(value, Tensor)]
    held = sum(value.numel() for value in (*constants.values(), *inner))
    budget = GraphBudget(
        ELEMENTS + COPIES * held, FOLDING_WORK + FOR_EACH * held, "the constants of a file of its size"
    )
    batch = RunContext(1, torch.device("cpu"), budget)
    for original in nodes:
        node = replace(original, inputs=tuple(same.get(name, name) for name in original.inputs))
        if not all(name in constants for name in filter(None, node.inputs)):
            for name in node.inputs:
                folded.nodes.extend(_taken_out(name, views))
            folded.nodes.append(_without_alpha(node, folded, batch, document))
            continue
        if node.operator == "Identity":
            same[node.outputs[0]] = node.inputs[0]
        for name, result in zip(node.outputs, evaluate(run_node, node, constants, batch, document.where), strict=False):
            constants[name] = result
            folded.origins[name] = _origin(node, result, folded)
            if node.operator == "Transpose" and result.is_floating_point():
                views[name] = node
    return folded


def one_row(folded: Folded, batch: int) -> Folded:
    """Return the graph with constants of a fixed batch, whose rows are all the same, cut to one row that is broadcast.

    Args:
        folded: A graph.
        batch: Samples that the file is fixed to.
    """
    constants = dict(folded.constants)
    readers: dict[str, list[Node]] = {}
    for node in folded.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    for name, value in folded.constants.items():
        if value.ndim < 2 or len(value) != batch or not bool((value == value[:1]).all()):
            continue
        if all(_broadcasts(node) for node in readers.get(name, [])):
            constants[name] = value[:1].clone()
    return replace(folded, constants=constants)


def _broadcasts(node: Node) -> bool:
    if node.operator == "Concat":
        return bool(node.attributes["axis"] != 0)
    return OPERATORS[node.operator].size is broadcast_size


def _taken_out(name: str, views: dict[str, Node]) -> list[Node]:
    """Take out the transposes that make a value, in order, so that each runs once."""
    found = []
    while name in views:
        found.append(views.pop(name))
        name = found[-1].inputs[0]
    return found[::-1]


def _without_alpha(node: Node, folded: Folded, batch: RunContext, document: Document) -> Node:
    """Return the node with a Gemm's alpha moved into its weight."""
    if node.operator != "Gemm" or node.attributes["alpha"] == 1 or node.inputs[1] not in folded.constants:
        return node
    alpha, weight = node.attributes["alpha"], node.inputs[1]
    scaled = f"{weight}\0{alpha}"  # no name of the file's
    values = {"weight": folded.constants[weight], "alpha": torch.tensor(alpha, dtype=torch.float64)}
    product = replace(node, operator="Mul", inputs=("weight", "alpha"), outputs=(scaled,), attributes={})
    folded.constants[scaled] = evaluate(run_node, product, values, batch, document.where)[0]
    folded.origins[scaled] = folded.origins.get(weight, "")
    inputs = (node.inputs[0], scaled, *node.inputs[2:])
    return replace(node, inputs=inputs, attributes=node.attributes | {"alpha": 1.0})


def _origin(node: Node, result: Tensor, folded: Folded) -> str:
    """Return the file's name for the one input that a folded value is made of; empty where there is none."""
    names = [
        folded.origins[name]
        for name in node.inputs
        if name and folded.constants[name].is_floating_point() and folded.constants[name].numel() == result.numel()
    ]
    own = node.outputs[0]
    return names[0] if len(names) == 1 and is_name(names[0]) else own
