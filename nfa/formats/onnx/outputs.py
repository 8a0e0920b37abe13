"""Choose the output of an ONNX graph that is audited, and take off its ending."""

from dataclasses import dataclass
from typing import Any

from onnx import NodeProto, TensorProto, ValueInfoProto

from nfa.common.shown import few
from nfa.formats.onnx.document import Document, operator_of

ZIPMAP = "ai.onnx.ml.ZipMap"
FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
KEEPING = ("Identity", ZIPMAP, "Cast", "Dropout", "Reshape", "Flatten", "Squeeze", "Unsqueeze")
"""Operators whose result has the same numbers in the same order."""


@dataclass(frozen=True)
class Output:
    """A value to compute.

    Args:
        value: Its name.
        ending: "softmax" or "sigmoid", of which `value` is the input; None where nothing was taken off.
        axis: The softmax's axis, by default the last.
        flat: Whether that axis and all behind it count as one, as before version 13.
        classes: Names of the classes, if the file gives some.
    """

    value: str
    ending: str | None = None
    axis: int = -1
    flat: bool = False
    classes: tuple[str, ...] | None = None


def choose_output(graph: Document) -> str:
    """Return the name of the one output that holds floating-point numbers.

    Raises:
        InputError: there is none, or there are several.
    """
    names = [each.name for each in graph.outputs if _is_floating(graph, each)]
    if len(names) != 1:
        said = few(names or [each.name for each in graph.outputs])
        raise graph.error(f"{len(names)} outputs of floating-point numbers ({said}), expected one")
    return str(names[0])


def without_ending(graph: Document, output: str) -> Output:
    """Return the value before a final softmax or sigmoid; the output itself where there is none."""
    classes = None
    node = graph.makers.get(output)
    for _ in range(len(graph.makers)):  # a damaged graph may have circles
        if node is None or not _keeps(graph, node):
            break
        if operator_of(node) == ZIPMAP:
            classes = _labels(graph, node)
        node = graph.makers.get(node.input[0])
    if node is not None and operator_of(node) in ("Softmax", "Sigmoid") and len(node.input) == 1:
        if operator_of(node) == "Sigmoid":
            return Output(node.input[0], "sigmoid", classes=classes)
        axis, flat = graph.attributes(node)["axis"], graph.version(node) < 13
        return Output(node.input[0], "softmax", axis, flat, classes)
    logit = _logit(graph, node)
    return Output(output, classes=classes) if logit is None else Output(logit, "sigmoid", classes=classes)


def _keeps(graph: Document, node: NodeProto) -> bool:
    if operator_of(node) not in KEEPING or not node.input:
        return False
    attributes = graph.attributes(node)  # raises if the node makes no sense: it is not run
    if operator_of(node) == "Cast" and attributes["to"] not in FLOATS:
        return False
    # A shape, or axes, are whole numbers; any others are refused where the node is run.
    numbers = [graph.initializers[name] for name in node.input[1:] if name in graph.initializers]
    return operator_of(node) == "Dropout" or not any(each.data_type in FLOATS for each in numbers)


def _is_floating(graph: Document, output: ValueInfoProto) -> bool:
    maker = graph.makers.get(output.name)
    if maker is not None and operator_of(maker) == ZIPMAP:
        return True
    return output.type.tensor_type.elem_type in FLOATS


def _labels(graph: Document, node: NodeProto) -> tuple[str, ...] | None:
    attributes: dict[str, Any] = graph.attributes(node)
    labels = attributes.get("classlabels_strings") or attributes.get("classlabels_int64s") or ()
    return tuple(each.decode(errors="replace") if isinstance(each, bytes) else str(each) for each in labels) or None


def _logit(graph: Document, node: NodeProto | None) -> str | None:
    """Return z of the pair (1 - p, p) with p = sigmoid(z), which is how scikit-learn's two classes are written."""
    if node is None or operator_of(node) != "Concat" or len(node.input) != 2:
        return None
    first, second = (graph.makers.get(name) for name in node.input)
    if first is None or second is None or graph.attributes(node)["axis"] not in (1, -1):
        return None
    if (operator_of(first), operator_of(second)) != ("Sub", "Sigmoid") or len(second.input) != 1:
        return None
    if len(first.input) != 2 or first.input[1] != node.input[1] or first.input[0] not in graph.initializers:
        return None
    one = graph.constant(first.input[0])
    return second.input[0] if one.numel() == 1 and one.item() == 1 else None
