"""What can be computed of an ONNX graph before any row comes: its constants, and what is made of them alone."""

from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from nfa.formats.onnx.graph import Graph
from nfa.formats.onnx.names import is_name
from nfa.formats.onnx.net import run
from nfa.formats.onnx.node import ELEMENTS, Node, broadcast_size
from nfa.formats.onnx.operators import OPERATORS

WORK = 1 << 31
"""Entries and multiply-adds that folding may take beside those that go with the file's size: about a second."""

FOR_EACH = 64
"""How many more it may take for each entry of the file's constants."""

COPIES = 4
"""Entries that folding may make, and keep, for each entry of the file's constants."""

GROWN = "{}: constants would grow too large"


class Allowance:
    """What a small file may ask for.

    Args:
        graph: The file's.
        left: In entries, or in multiply-adds.
    """

    def __init__(self, graph: Graph, left: int) -> None:
        self._graph = graph
        self._left = left

    def spend(self, problem: str, much: int) -> None:
        """Count some of it.

        Raises:
            InputError: there is none left; it tells the problem.
        """
        self._left -= much
        if self._left < 0:
            raise self._graph.error(problem)


@dataclass
class Folded:
    """A graph whose constant parts are computed.

    Args:
        nodes: Those left to run, in order.
        constants: By value's name.
        origins: By value's name, what the file calls the one weight it was made of.
    """

    nodes: list[Node]
    constants: dict[str, Tensor]
    origins: dict[str, str]


def fold(graph: Graph, nodes: list[Node]) -> Folded:
    """Compute what depends on constants alone; a transpose of a weight is left to run, as another view of it.

    Raises:
        InputError: a node cannot be run, or constants would grow huge or take long to make.
    """
    constants = graph.constants(nodes)
    folded = Folded([], constants, {name: name for name in constants})
    same: dict[str, str] = {}
    views: dict[str, Node] = {}
    inner = [value for node in nodes for value in node.attributes.values() if isinstance(value, Tensor)]
    held = sum(value.numel() for value in (*constants.values(), *inner))
    work, room = Allowance(graph, WORK + FOR_EACH * held), Allowance(graph, ELEMENTS + COPIES * held)
    for original in nodes:
        node = replace(original, inputs=tuple(same.get(name, name) for name in original.inputs))
        if not all(name in constants for name in filter(None, node.inputs)):
            for name in node.inputs:
                folded.nodes.extend(_shown(name, views))
            folded.nodes.append(_without_alpha(node, folded, room))
            continue
        if node.operator == "Identity":
            same[node.outputs[0]] = node.inputs[0]
        inputs = [constants[name] if name else None for name in node.inputs]
        seen = {x.untyped_storage().data_ptr(): x.numel() for x in inputs if x is not None}
        spend = partial(work.spend, f"{node}: making constants takes too long")
        for name, result in zip(node.outputs, run(node, inputs, 1, graph.where, spend), strict=False):
            # A view takes no memory until somebody reads it as if it were whole.
            if inputs and result.numel() > seen.get(result.untyped_storage().data_ptr(), 0):
                room.spend(GROWN.format(node), result.numel())
            constants[name] = result
            folded.origins[name] = _origin(node, result, folded)
            if node.operator == "Transpose" and result.is_floating_point():
                views[name] = node
    return folded


def one_row(folded: Folded, batch: int) -> Folded:
    """Return the graph with constants for a fixed batch, each row the same, cut to one row that is broadcast.

    Args:
        folded: A graph.
        batch: Samples that the file is fixed to.
    """
    constants = dict(folded.constants)
    for name, value in folded.constants.items():
        if value.ndim < 2 or len(value) != batch or not bool((value == value[:1]).all()):
            continue
        if all(_broadcasts(node) for node in folded.nodes if name in node.inputs):
            constants[name] = value[:1].clone()
    return replace(folded, constants=constants)


def _broadcasts(node: Node) -> bool:
    if node.operator == "Concat":
        return bool(node.attributes["axis"] != 0)
    return OPERATORS[node.operator].size is broadcast_size


def _shown(name: str, views: dict[str, Node]) -> list[Node]:
    """Take out the nodes that show a weight from another side, views of views last; each is run once."""
    found = []
    while name in views:
        found.append(views.pop(name))
        name = found[-1].inputs[0]
    return found[::-1]


def _without_alpha(node: Node, folded: Folded, room: Allowance) -> Node:
    """Return the node with a Gemm's alpha moved into its weight."""
    if node.operator != "Gemm" or node.attributes["alpha"] == 1 or node.inputs[1] not in folded.constants:
        return node
    alpha, weight = node.attributes["alpha"], node.inputs[1]
    scaled = f"{weight}\0{alpha}"  # no name of the file's
    room.spend(GROWN.format(node), folded.constants[weight].numel())
    folded.constants[scaled] = alpha * folded.constants[weight]
    folded.origins[scaled] = folded.origins.get(weight, "")
    inputs = (node.inputs[0], scaled, *node.inputs[2:])
    return replace(node, inputs=inputs, attributes=node.attributes | {"alpha": 1.0})


def _origin(node: Node, result: Tensor, folded: Folded) -> str:
    """Return what the file calls the one input that a folded value is made of, if there is one."""
    names = [
        folded.origins[name]
        for name in node.inputs
        if name and folded.constants[name].is_floating_point() and folded.constants[name].numel() == result.numel()
    ]
    own = node.outputs[0]
    return names[0] if len(names) == 1 and is_name(names[0]) else own
