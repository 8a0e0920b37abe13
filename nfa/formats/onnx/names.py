"""Names of the layers of an ONNX file: those of its weights, or else of the modules that nodes came from."""

import re

from onnx import NodeProto

_LEGAL = re.compile(r"\w+(\.\w+){0,20}")
_MADE_UP = re.compile(r"(val|const|constant|initializer)?_?\d*")
_TRANSPOSED = re.compile(r"(permute|transpose|numpy_t|t)(_\d+)?")
LONGEST = 200
"""The most characters of a name that a person gave."""


def is_name(name: str) -> bool:
    """Return whether a parameter may have this name, and no exporter made it up.

    >>> [is_name(name) for name in ("layers.0.weight", "onnx::MatMul_13", "val_3", "17")]
    [True, False, False, False]
    """
    return len(name) <= LONGEST and _LEGAL.fullmatch(name) is not None and _MADE_UP.fullmatch(name) is None


def is_made_up(name: str) -> bool:
    """Return whether an exporter made a name up, perhaps after the operation that transposed a weight.

    >>> [is_made_up(name) for name in ("W", "t.weight", "permute_1", "val_3")]
    [False, False, True, True]
    """
    return not is_name(name) or _TRANSPOSED.fullmatch(name) is not None


def module_path(proto: NodeProto) -> str:
    """Return the dotted path of the module that a node came from, or "" where the file does not say.

    >>> module_path(NodeProto(name="/blocks.0/seq/seq.1/seq.1.0/MatMul"))
    'blocks.0.seq.1.0'
    >>> module_path(NodeProto(name="model/dense_1/MatMul"))
    'model.dense_1'
    """
    for entry in proto.metadata_props:
        if entry.key == "namespace":  # "type of the network/layers.0: its type/linear: the operation"
            modules = [part.split(": ")[0] for part in entry.value.split("/")[:-1]]
            return modules[-1] if modules and _legal(modules[-1]) else ""
    path, last = "", ""
    for part in proto.name[: 2 * LONGEST].strip("/").split("/")[:-1]:
        # Within a Sequential "seq" the exporter repeats itself: seq/seq.1/seq.1.0 is seq.1.0.
        path = path + part.removeprefix(last) if last and part.startswith(f"{last}.") else f"{path}.{part}".strip(".")
        last = part
    return path if _legal(path) else ""


def weight_name(initializer: str, path: str, node: str, fallback: str) -> str:
    """Return the name of a weight.

    Args:
        initializer: The file's name for it, "" where it has none.
        path: Of the module that applies it.
        node: The name of the node that applies it.
        fallback: The name where nothing else gives one.

    >>> weight_name("onnx::MatMul_13", "layers.0", "/layers.0/MatMul", "MatMul_0")
    'layers.0.weight'
    >>> weight_name("coefficient", "", "MatMul", "MatMul_0")
    'coefficient.weight'
    """
    if is_name(initializer) and not (path and is_made_up(initializer)):
        return initializer if "." in initializer else f"{initializer}.weight"
    last = node.split("/")[-1]
    return f"{path or (last if is_name(last) and '.' not in last else fallback)}.weight"


def _legal(name: str) -> bool:
    return len(name) <= LONGEST and _LEGAL.fullmatch(name) is not None
