"""A node of an exported program, from its JSON: which operator is applied to which values."""

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from nfa.common.errors import Place
from nfa.common.shown import shown
from nfa.formats.exported.operators import DTYPES, MEMORY_FORMATS, resolve


@dataclass(frozen=True)
class Ref:
    """A value of the graph, by name."""

    name: str


class Known(enum.Enum):
    """What is known only when rows come in."""

    BATCH = "the number of rows"
    DEVICE = "the device they are on"


@dataclass(frozen=True)
class Step:
    """One operator applied to values.

    Args:
        target: The operator's name.
        function: The operator.
        given: Its arguments, by the names of its schema (by position for arithmetic with sizes).
        outputs: The names of its results; None for one that nothing uses.
        many: Whether it returns a list or tuple of them.
        module: The module that it was part of; empty where that is not recorded.
        kind: The name of that module's class.
    """

    target: str
    function: Callable[..., Any]
    given: dict[str, Any]
    outputs: tuple[str | None, ...]
    many: bool
    module: str = ""
    kind: str = ""

    def __str__(self) -> str:
        return shown(self.target)

    @property
    def inputs(self) -> list[str]:
        """The names of the values it uses."""
        items = (item for value in self.given.values() for item in (value if isinstance(value, list) else [value]))
        return [item.name for item in items if isinstance(item, Ref)]


def parse_step(node: dict[str, Any], where: Place) -> Step:
    """Return a node of the JSON as a step.

    Raises:
        InputError: its operator is none of the known functions, or an argument is no tensor or number.
    """
    target = node["target"]
    function = resolve(target)
    if function is None:
        raise where.error(
            f"uses {shown(target)}, which is none of the operators that are run from files; "
            "hand over the network itself"
        )
    given = {str(item["name"]): _argument(item["arg"], where) for item in node["inputs"]}
    if isinstance(function, torch._ops.OpOverload):
        known = {argument.name for argument in function._schema.arguments}
        if len(given) < len(node["inputs"]) or not set(given) <= known:
            raise ValueError("arguments")
        if "device" in known and "self" not in known:  # made from nothing: wherever the rows are
            given["device"] = Known.DEVICE
    else:
        given = {str(place): _argument(item["arg"], where) for place, item in enumerate(node["inputs"])}
    outputs, many = _outputs(node["outputs"])
    return Step(target, function, given, outputs, many, *_module(node))


def sizes(meta: dict[str, Any]) -> tuple[int | None, ...]:
    """Return a tensor's recorded shape; None for sizes that may vary.

    >>> sizes({"sizes": [{"as_expr": {}}, {"as_int": 784}]})
    (None, 784)
    """
    return tuple(_typed(size["as_int"], int) if "as_int" in size else None for size in meta["sizes"])


def _argument(argument: dict[str, Any], where: Place) -> Any:
    """Return one argument: a value's name, a number, text, or what torch calls them."""
    ((tag, value),) = argument.items()
    if tag == "as_none":
        return None
    if tag in ("as_tensor", "as_optional_tensor"):
        return Ref(_typed(value["name"], str)) if "name" in value else _argument(value, where)
    if tag in ("as_sym_int", "as_sym_bool", "as_sym_float"):
        return Ref(_typed(value["as_name"], str)) if "as_name" in value else _argument(value, where)
    if tag in ("as_int", "as_bool", "as_string"):
        return _typed(value, {"as_int": int, "as_bool": bool, "as_string": str}[tag])
    if tag == "as_float":
        return float(value)
    if tag == "as_scalar_type":
        return DTYPES[value]
    if tag == "as_memory_format":
        return MEMORY_FORMATS[value]
    if tag == "as_layout" and value == 7:
        return torch.strided
    if tag == "as_device":
        return Known.DEVICE
    if tag in _LISTS:
        return [_argument({_LISTS[tag]: item}, where) for item in value]
    raise where.error(f"has an argument of a kind that is not run from files ({shown(tag)})")


_LISTS = {
    "as_tensors": "as_tensor",
    "as_optional_tensors": "as_optional_tensor",
    "as_ints": "as_int",
    "as_bools": "as_bool",
    "as_floats": "as_float",
    "as_strings": "as_string",
    "as_sym_ints": "as_sym_int",
    "as_sym_bools": "as_sym_bool",
    "as_sym_floats": "as_sym_float",
}


def _outputs(outputs: list[dict[str, Any]]) -> tuple[tuple[str | None, ...], bool]:
    names: list[str | None] = []
    for output in outputs:
        ((tag, value),) = output.items()
        if tag == "as_tensors":
            if len(outputs) > 1:
                raise ValueError("nested outputs")
            return tuple(_typed(item["name"], str) for item in value), True
        names.append(None if tag == "as_none" else _typed(value["name"] if "name" in value else value["as_name"], str))
    return tuple(names), len(names) > 1


def _module(node: dict[str, Any]) -> tuple[str, str]:
    """Return path and class of the innermost module that a node was part of: "key,path,class" for each in the file."""
    stack = (node.get("metadata") or {}).get("nn_module_stack") or ""
    path, _, kind = str(stack).rpartition(";")[2].partition(",")[2].rpartition(",")
    return dotted(path.partition("@")[0]), kind.rpartition(".")[2]


def dotted(path: str) -> str:
    """Return a module's name from its path, which is an expression where torch 2.3 to 2.6 exported an `nn.Sequential`.

    >>> dotted("net.0"), dotted("getattr(getattr(L['fn'], '0').layers[1].d['a'].e[2], '3')")
    ('net.0', '0.layers.1.d.a.e.2.3')
    """
    steps, found = re.subn(r"^(getattr\()*L\['\w+'\]", "", path)
    return re.sub(r"\['?([^]']*)'?\]|, '([^']*)'\)", r".\1\2", steps).removeprefix(".") if found else path


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value
