"""From a folded ONNX graph to a module: its weights registered under the names that layers will have."""

import itertools

import torch
from torch import Tensor, nn

from nfa.common.checks import check_finite
from nfa.network.formats.onnx.fold import Folded
from nfa.network.formats.onnx.graph import Graph
from nfa.network.formats.onnx.names import is_name, weight_name
from nfa.network.formats.onnx.net import OnnxNet
from nfa.network.formats.onnx.node import Node

WEIGHTS = {"MatMul": (0, 1), "Gemm": (0, 1), "Conv": (1,), "Gather": (0,), "Einsum": (0, 1, 2, 3)}
"""Which inputs of an operator are weights where they are constant."""


class Conv(nn.Module):
    """Holds a convolution's weights, so that an audit says what it passes over."""


class Gather(nn.Module):
    """Holds a table of which rows are looked up."""


class Einsum(nn.Module):
    """Holds the weights of a product that is written in letters."""


HOLDERS: dict[str, type[nn.Module]] = {"Conv": Conv, "Gather": Gather, "Einsum": Einsum}


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
    users = _users(folded)
    net = OnnxNet(graph.where, graph.entry, folded.nodes, output)
    twins: dict[str, list[tuple[Tensor, nn.Module, str]]] = {}
    made = {graph.entry.name, *(name for node in folded.nodes for name in node.outputs)}
    wanted = {name: None for node in folded.nodes for name in node.inputs if name and name not in made}
    for number, name in enumerate(wanted):
        value, user = folded.constants[name], users.get(name)
        if not value.is_floating_point():
            net.keep_numbers(name, value)
            continue
        title = _title(folded.origins[name], user, number)
        known = twins.setdefault(title, [])
        # A module used twice, whose weight the file holds twice, is one layer.
        twin = next((each for each in known if user and user.path and _same(each[0], value)), None)
        if twin is not None:
            net.keep_weight(name, *twin[1:])
            continue
        if user is not None or value.ndim == 1:
            check_finite(f"{graph.where}: {title}", value)
            value = nn.Parameter(value, requires_grad=False)
        place = _register(net, title, value, HOLDERS.get(user.operator if user else "", nn.Module))
        net.keep_weight(name, *place)
        known.append((value, *place))
    return net


def _same(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and torch.equal(a, b)


def _users(folded: Folded) -> dict[str, Node]:
    """Return, by constant, the node that applies it as a weight, as it is or as another view shows it."""
    views = {node.outputs[0]: node.inputs[0] for node in folded.nodes if node.outputs[0] in folded.constants}
    users: dict[str, Node] = {}
    for node in folded.nodes:
        for name in (node.inputs[place] for place in WEIGHTS.get(node.operator, ()) if place < len(node.inputs)):
            while name in views:
                name = views[name]
            if name in folded.constants:
                users.setdefault(name, node)
    return users


def _title(origin: str, user: Node | None, number: int) -> str:
    if user is not None:
        return weight_name(origin, user.path, user.name, f"{user.operator}_{number}")
    return origin if is_name(origin) else f"constant_{number}"


def _register(net: nn.Module, title: str, value: Tensor, holder: type[nn.Module]) -> tuple[nn.Module, str]:
    """Register a tensor under a dotted name, or one like it where that is taken; return module and name in it."""
    *path, leaf = title.split(".")
    for number in itertools.count(1):
        module = _module(net, path, holder)
        if module is not None and not hasattr(module, leaf):
            if isinstance(value, nn.Parameter):
                module.register_parameter(leaf, value)
            else:
                module.register_buffer(leaf, value)
            return module, leaf
        *path, leaf = title.split(".")
        if path:
            path[-1] += f"_{number}"
        else:
            leaf += f"_{number}"
    raise AssertionError


def _module(net: nn.Module, path: list[str], holder: type[nn.Module]) -> nn.Module | None:
    """Return the module at the end of a path, made where it is missing; None where the path is blocked."""
    module = net
    for depth, part in enumerate(path, 1):
        inner = getattr(module, part, None)
        if inner is None and not hasattr(module, part):
            inner = holder() if depth == len(path) else nn.Module()
            module.add_module(part, inner)
        if not isinstance(inner, nn.Module):
            return None
        module = inner
    return module
