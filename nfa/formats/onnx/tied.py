"""Weights that several modules of a network share, and copies of a weight that an exporter wrote."""

import re
from collections.abc import Container
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nfa.formats.onnx.fold import Folded
from nfa.formats.onnx.names import is_made_up
from nfa.formats.onnx.node import Node

WEIGHTS = {
    "MatMul": (0, 1),
    "Gemm": (0, 1),
    "Conv": (1,),
    "ConvTranspose": (1,),
    "Gather": (0,),
    "Einsum": (0, 1, 2, 3),
}
"""Positions of an operator's inputs that are weights where they are constant."""


def users(folded: Folded) -> dict[str, list[int]]:
    """Return by constant the numbers of the nodes that apply it as a weight, as it is or transposed."""
    source: dict[str, str] = {}
    found: dict[str, list[int]] = {}
    for place, node in enumerate(folded.nodes):
        if node.outputs[0] in folded.constants:
            source[node.outputs[0]] = source.get(node.inputs[0], node.inputs[0])
        for name in (node.inputs[each] for each in WEIGHTS.get(node.operator, ()) if each < len(node.inputs)):
            if source.get(name, name) in folded.constants:
                found.setdefault(source.get(name, name), []).append(place)
    return found


def with_one_of_each(folded: Folded) -> Folded:
    """Return the graph with one constant for each weight, where an exporter wrote a weight twice.

    A copy is a constant without a name of its own: of a weight that the same module applies twice, or the transpose of
    a weight. A transpose becomes a view of the weight.
    """
    equal_to: dict[str, str] = {}
    transpose_of: dict[str, str] = {}
    known: dict[tuple[Any, ...], str] = {}
    constants, origins = folded.constants, folded.origins
    weights = [
        (name, folded.nodes[places[0]].module)
        for name, places in users(folded).items()
        if constants[name].ndim == 2 and constants[name].is_floating_point()
    ]
    # Names that people gave come first: of two constants that are one weight, the later one is dropped.
    for name, module in sorted(weights, key=lambda weight: is_made_up(origins[weight[0]])):
        value = constants[name]
        if is_made_up(origins[name]):
            equal = known.get((module, *_start(value))) if module else None
            if equal is not None and torch.equal(constants[equal], value):
                equal_to[name] = equal
                continue
            other = known.get(("T", module, *_start(value.T)))
            if other is not None and torch.equal(constants[other], value.T) and not torch.equal(value, value.T):
                transpose_of[name] = other
                continue
        known.setdefault((module, *_start(value)), name)
        # If no module is known, or it is the module whose weight it is.
        for each in ("", module, origins[name].rpartition(".")[0]):
            known.setdefault(("T", each, *_start(value)), name)
    views = [Node("Transpose", name, "", (transpose_of[name],), (name,), {"perm": [1, 0]}, 13) for name in transpose_of]
    nodes = [replace(node, inputs=tuple(equal_to.get(name, name) for name in node.inputs)) for node in folded.nodes]
    return replace(folded, nodes=[*views, *nodes])


def owners(own: str, nodes: list[Node], modules: Container[str]) -> list[str]:
    """Return, for each node that applies a weight, the module whose weight it is there.

    A weight that the nodes of several modules apply is a weight of each: they are tied, or were equal when the file was
    written. But a module around the owner or within it uses the owner's weight, and a module that runs again is the
    same module.

    Args:
        own: The module in the weight's name.
        nodes: The nodes that apply it.
        modules: The modules in the names of the file's tensors.

    >>> used = [Node("Gemm", "", path, (), (), {}, 13) for path in ("one", "two", "")]
    >>> owners("one", used, ("one", "two"))
    ['one', 'two', 'one']
    """
    first = {_bare(own): own}
    found = []
    for node in nodes:
        path = node.module
        earlier = first.setdefault(_bare(path), path)
        # torch's older exporter, whose names begin with a slash, numbers the calls of a module.
        if node.name.startswith("/") and path not in modules and _repeats(path, earlier):
            path = earlier
        related = not path or f"{own}.".startswith(f"{path}.") or f"{path}.".startswith(f"{own}.")
        found.append(own if related else path)
    return found if own in found else [own] * len(found)


def _start(value: Tensor) -> tuple[Any, ...]:
    """Return a key that two equal weights share, and few others."""
    return (value.dtype, *value.shape, *value[:1].flatten()[:16].tolist())


def _bare(path: str) -> str:
    return re.sub(r"_[0-9]+(?=\.|$)", "", path)


def _repeats(path: str, first: str) -> bool:
    """Return whether a path is another path, but for numbers at the ends of its parts."""
    pairs = zip(path.split("."), first.split("."), strict=True)
    return all(part == one or re.fullmatch(re.escape(one) + "_[0-9]+", part) for part, one in pairs)
