"""A node of an ONNX graph."""

from dataclasses import dataclass
from typing import Any

from nfa.common.shown import shown


@dataclass(frozen=True)
class Node:
    """One operation of a graph.

    Args:
        operator: Its type, with the domain in front where that is not ONNX's own.
        name: What the file calls it, or its number.
        module: The dotted path of the module it came from, or "" where the file does not say.
        inputs: Names of values; "" for an input that is left out.
        outputs: Names of values; "" for an output that nothing reads.
        attributes: By name, with the defaults of the operator's version.
        version: The version of the operator's domain that the file uses.
        batch: For a Reshape or Expand to a constant shape, the batch that the shape was written for; None where the
            shape is computed.
    """

    operator: str
    name: str
    module: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    version: int
    batch: int | None = None

    def __str__(self) -> str:
        return f"{self.operator} {shown(self.name)!r}"

    def unsupported(self, attribute: str) -> ValueError:
        """Return the error that names an attribute whose value is not supported."""
        return ValueError(f"attribute {attribute} = {self.attributes[attribute]!r} is not supported")
