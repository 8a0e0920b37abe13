"""The content of an ONNX file: its input, its nodes and its constants, each checked when it is asked for."""

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import AttributeProto, ModelProto, NodeProto
from torch import Tensor

from nfa.common.errors import InputError, Place
from nfa.common.shown import few, shown
from nfa.formats.graph.node import REASON
from nfa.formats.onnx.names import module_path
from nfa.formats.onnx.node import Node
from nfa.formats.onnx.operators import OPERATORS
from nfa.formats.onnx.running import ELEMENTS
from nfa.formats.onnx.tensors import DTYPES, read_tensor


@dataclass(frozen=True)
class GraphInput:
    """The graph's input: a value's name and dtype, the batch that it is fixed to, and the shape of one row.

    One axis of a stated size is a `single` row, without an axis of samples.
    """

    name: str
    dtype: torch.dtype
    batch: int | None
    shape: tuple[int | None, ...]
    single: bool = False


class Document:
    """A file's graph; each part is checked when it is asked for.

    Args:
        model: As protobuf parsed it.
        folder: The folder of the file, for constants that lie in files of their own.
        where: What messages begin with.

    Raises:
        InputError: there is not exactly one input, a value is computed twice, or the version is unknown.
    """

    def __init__(self, model: ModelProto, folder: Path, where: Place) -> None:
        self.where = where
        # protobuf returns bytes where a name is no text.
        if not all(isinstance(text, str) for text in _texts(model)):
            raise self.error("damaged: a name in it is not text")
        self.outputs = list(model.graph.output)
        self.initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        if len(self.initializers) < len(model.graph.initializer):
            raise self.error("damaged: two initializers have the same name")
        self.makers: dict[str, NodeProto] = {}
        self._folder = folder
        self._protos = list(model.graph.node)
        self._numbers = {id(proto): number for number, proto in enumerate(self._protos)}
        self._versions = {_domain(each.domain): each.version for each in model.opset_import}
        newest = onnx.defs.onnx_opset_version()
        if not 1 <= self._versions.setdefault("", 1) <= newest:
            raise self.error(f"made for ONNX's operators in version {self._versions['']}; 1 to {newest} are read")
        self.entry = self._entry(model)
        taken = {self.entry.name, *self.initializers}
        for proto in self._protos:
            for name in filter(None, proto.output):
                if name in taken:
                    raise self.error(f"damaged: value {shown(name)!r} is computed twice")
                taken.add(name)
                self.makers[name] = proto

    def error(self, reason: str) -> InputError:
        """Return an error that begins with the file."""
        return self.where.because(reason)

    def nodes(self, output: str) -> list[Node]:
        """Return the nodes that an output needs, in the file's order.

        Raises:
            InputError: operators are not supported (all are named), a node has attributes or inputs that its operator
                does not have, or it reads a value that nothing before it computes.
        """
        needed = self._needed(output)
        strange = dict.fromkeys(operator_of(proto) for proto in needed if self._schema(proto) is None)
        if strange:
            raise self._unsupported(*strange)
        known = {self.entry.name, *self.initializers}
        found = []
        for proto in needed:
            node = self._node(proto)
            for name in filter(None, node.inputs):
                if name not in known:
                    raise self.error(f"{node} reads {shown(name)!r}, which nothing before it computes")
            known.update(node.outputs[: OPERATORS[node.operator].outputs])
            found.append(node)
        if output not in known:
            raise self.error(f"nothing computes the output {shown(output)!r}")
        return found

    def constants(self, nodes: Iterable[Node]) -> dict[str, Tensor]:
        """Return the initializers that some nodes read.

        Raises:
            InputError: one cannot be read.
        """
        wanted = {name: None for node in nodes for name in node.inputs if name in self.initializers}
        return {name: self.constant(name) for name in wanted}

    def constant(self, name: str) -> Tensor:
        """Return an initializer.

        Raises:
            InputError: it cannot be read.
        """
        return self._tensor(self.initializers[name], f"initializer {shown(name)!r}")

    def version(self, proto: NodeProto) -> int:
        """Return the version of an operator's domain that the file uses."""
        return int(self._versions.get(_domain(proto.domain), 1))

    def attributes(self, proto: NodeProto) -> dict[str, Any]:
        """Return a node's attributes, with the defaults of its operator's version.

        Raises:
            InputError: an attribute is none of the operator's, or of another type.
        """
        schema = self._schema(proto)
        if schema is None:
            raise self._unsupported(operator_of(proto))
        where = f"{operator_of(proto)} {shown(proto.name)!r}"
        found = {
            name: onnx.helper.get_attribute_value(attribute.default_value)
            for name, attribute in schema.attributes.items()
            if attribute.default_value.type
        }
        for attribute in proto.attribute:
            if attribute.name not in schema.attributes:
                raise self.error(f"{where}: attribute {shown(attribute.name)!r} is unknown")
            kind: Any = schema.attributes[attribute.name].type
            if attribute.type != kind.value:
                raise self.error(f"{where}: attribute {attribute.name} is of another type")
            if attribute.type == AttributeProto.TENSOR:
                found[attribute.name] = self._tensor(attribute.t, where)
            else:
                found[attribute.name] = onnx.helper.get_attribute_value(attribute)
        for name, attribute in schema.attributes.items():
            if attribute.required and name not in found:
                raise self.error(f"{where}: attribute {name} is missing")
        return {
            name: value.decode(errors="replace") if isinstance(value, bytes) else value for name, value in found.items()
        }

    def _entry(self, model: ModelProto) -> GraphInput:
        inputs = [each for each in model.graph.input if each.name not in self.initializers]
        if len(inputs) != 1:
            names = few([each.name for each in inputs])
            raise self.error(f"{len(inputs)} inputs{f' ({names})' if names else ''}, expected one")
        kind = inputs[0].type.tensor_type
        if kind.elem_type not in DTYPES:
            raise self.error(f"input {shown(inputs[0].name)!r} is no tensor of numbers")
        if not kind.HasField("shape"):
            return GraphInput(inputs[0].name, DTYPES[kind.elem_type], None, (None,))
        sizes = [dim.dim_value if dim.dim_value > 0 else None for dim in kind.shape.dim]
        if not sizes:
            raise self.error(f"input {shown(inputs[0].name)!r} is a single number, expected rows")
        if math.prod(filter(None, sizes)) > ELEMENTS:
            raise self.error(f"input {shown(inputs[0].name)!r} is larger than {ELEMENTS} entries")
        if len(sizes) == 1 and sizes[0] is not None:
            return GraphInput(inputs[0].name, DTYPES[kind.elem_type], None, tuple(sizes), single=True)
        return GraphInput(inputs[0].name, DTYPES[kind.elem_type], sizes[0], tuple(sizes[1:]))

    def _needed(self, output: str) -> list[NodeProto]:
        seen: set[int] = set()
        waiting = [output]
        while waiting:
            proto = self.makers.get(waiting.pop())
            if proto is not None and id(proto) not in seen:
                seen.add(id(proto))
                waiting.extend(proto.input)
        return [proto for proto in self._protos if id(proto) in seen]

    def _schema(self, proto: NodeProto) -> onnx.defs.OpSchema | None:
        """Return ONNX's definition of an operator, in the file's version; None where it is not supported."""
        if operator_of(proto) not in OPERATORS:
            return None
        try:
            return onnx.defs.get_schema(proto.op_type, self.version(proto), _domain(proto.domain))
        except (onnx.defs.SchemaError, TypeError):  # not yet in that version; a version beyond all numbers
            return None

    def _unsupported(self, *names: str) -> InputError:
        way = "give the network itself, as package.module:factory"
        return self.error(f"operators that are not supported: {few(list(names), 20)}; {way}")

    def _node(self, proto: NodeProto) -> Node:
        node = Node(
            operator_of(proto),
            proto.name or str(self._numbers[id(proto)]),
            module_path(proto),
            tuple(proto.input),
            tuple(proto.output),
            self.attributes(proto),
            self.version(proto),
        )
        schema = self._schema(proto)
        assert schema is not None
        if not schema.min_input <= len(node.inputs) <= schema.max_input:
            raise self.error(f"{node} has {len(node.inputs)} inputs")
        return node

    def _tensor(self, tensor: onnx.TensorProto, what: str) -> Tensor:
        try:
            return read_tensor(tensor, self._folder)
        except (ValueError, TypeError, OverflowError, OSError) as error:
            raise self.error(f"{what}: {shown(error, REASON)}") from error


def _texts(model: ModelProto) -> Iterator[Any]:
    """Yield every text of the file that the reader uses."""
    graph = model.graph
    yield from (each.domain for each in model.opset_import)
    yield from (each.name for each in itertools.chain(graph.input, graph.output, graph.initializer))
    tensors = list(graph.initializer)
    for node in graph.node:
        yield from (node.op_type, node.domain, node.name, *node.input, *node.output)
        yield from (text for entry in node.metadata_props for text in (entry.key, entry.value))
        yield from (each.name for each in node.attribute)
        tensors.extend(each.t for each in node.attribute if each.HasField("t"))
    yield from (text for each in tensors for entry in each.external_data for text in (entry.key, entry.value))


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def operator_of(proto: NodeProto) -> str:
    """Return an operator's name in the table, with the domain in front where that is not ONNX's own."""
    domain = _domain(proto.domain)
    return f"{domain}.{proto.op_type}" if domain else proto.op_type
