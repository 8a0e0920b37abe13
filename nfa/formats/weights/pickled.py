"""Scan a pickle of torch.save without running anything that it names.

`torch.load(weights_only=True)` runs no code either, but what it allows can still ask for any amount of
memory. Here every name becomes an inert stand-in, and every storage and tensor is compared with the size of the
file.
"""

import math
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, ClassVar

import torch

from nfa.common.errors import Place

STORAGES = {
    "DoubleStorage": 8,
    "FloatStorage": 4,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2,
    "CharStorage": 1,
    "ByteStorage": 1,
    "BoolStorage": 1,
    "ComplexFloatStorage": 8,
    "ComplexDoubleStorage": 16,
}
"""Bytes of one entry."""

KINDS = {
    "torch._utils._rebuild_sparse_tensor": "sparse",
    "torch._utils._rebuild_qtensor": "quantized",
    "torch._utils._rebuild_meta_tensor_no_storage": "meta",
    "torch._utils._rebuild_nested_tensor": "nested",
    "torch._utils._rebuild_tensor_v3": "8-bit floating-point or unsigned",
}
"""Kinds of tensors that no layer can be made of."""

PLAIN = frozenset(
    {
        "torch.Size",
        "torch.device",
        "torch.serialization._get_layout",
        "collections.Counter",
        "builtins.set",
        "__builtin__.set",
        "builtins.complex",
        "__builtin__.complex",
        "_codecs.encode",
    }
    | {f"torch.{name}" for name, value in vars(torch).items() if isinstance(value, torch.dtype)}
)
"""Harmless names that checkpoints have beside weights."""

MARKS = "_dynamo_"
"""What the names of attributes begin with that torch's compiler gives to parameters, as in torch 2.5's export."""

LONGEST_KEY = 60
"""The most bits of a whole number that is a key."""

NUMBERED = 50_000
"""Keys of a file that are numbers, and not counted up from 0: more could be chosen to stand in each other's way."""


@dataclass
class Findings:
    """What a pickle holds.

    Args:
        value: The object, with inert stand-ins for everything that is no plain Python.
        foreign: Names (module.name) that only their own code could make sense of.
        kinds: Kinds of tensors that no layer can be made of.
        protocol: The pickle's protocol.
    """

    value: Any = None
    foreign: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    protocol: int = 0


class Inert:
    """Stands for anything that a pickle names; takes any arguments and does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


@dataclass(frozen=True)
class _Storage:
    """A kind of storage, or one of them once `entries` is known."""

    width: int
    entries: int = 0


class InertTensor:
    """Stands for a tensor, after a check that its storage holds all its entries."""


_STEPS: Mapping[int, Callable[[Any], None]] = pickle._Unpickler.dispatch
"""Python's function for each opcode of a pickle."""


class _Scanner(pickle._Unpickler):  # the one in Python, whose memory grows only with what it has read
    stack: list[Any]
    metastack: list[list[Any]]
    # Without opcodes that take more memory or time than what was read, or that torch never writes.
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        code: step
        for code, step in _STEPS.items()
        if code not in {each[0] for each in (pickle.BYTEARRAY8, pickle.ADDITEMS, pickle.FROZENSET)}
    }

    def __init__(self, stream: IO[bytes], size: int, storages: dict[Any, int]) -> None:
        super().__init__(stream)
        self.findings = Findings()
        self.memo = _Counted()
        self._size = size
        self._storages = storages
        self._bytes = 0
        self._numbered = 0

    def find_class(self, module: str, name: str) -> Any:
        """Return a stand-in for a name."""
        full = f"{module}.{name}"
        known: dict[str, Callable[..., Any]] = {
            "collections.OrderedDict": self._with_keys(OrderedDict),
            **{name: self._with_keys(Inert) for name in ("builtins.set", "__builtin__.set", "collections.Counter")},
            "torch._utils._rebuild_tensor": self._tensor,
            "torch._utils._rebuild_tensor_v2": self._tensor,
            "torch._utils._rebuild_parameter": lambda data, requires_grad, hooks: data,
            "torch._utils._rebuild_parameter_with_state": self._marked,
        }
        if full in known:
            return known[full]
        if module in ("torch", "torch.cuda") and name in STORAGES:
            return _Storage(STORAGES[name])
        if full == "torch.storage.UntypedStorage":
            return _Storage(1)
        if full in KINDS:
            self.findings.kinds.append(KINDS[full])
        elif full not in PLAIN:
            self.findings.foreign.append(full)
        return Inert

    def persistent_load(self, pid: Any) -> _Storage:
        """Return a stand-in for a storage that the file can hold."""
        kind, storage, key, location, entries = pid[:5]
        if kind != "storage" or not isinstance(storage, _Storage) or not _whole([entries]):
            raise ValueError("storage")
        if not isinstance(key, str) or not isinstance(location, str):
            raise ValueError("storage without a name or a place")
        self._bytes += entries * storage.width - self._storages.get(key, 0)
        self._storages[key] = entries * storage.width
        if self._bytes > self._size:
            raise ValueError("storages larger than the file")
        return _Storage(storage.width, entries)

    def _with_keys(self, kind: Callable[..., Any]) -> Callable[..., Any]:
        """Return a constructor of a kind of object that checks its keys first."""

        def made(items: Any = (), *rest: Any) -> Any:
            self._check([item[0] if type(item) in (tuple, list) and item else item for item in items], 0)
            return kind(items, *rest) if kind is not OrderedDict or not rest else Inert()

        return made

    def _set_items(self) -> None:
        self._check(self.stack[::2], len(self.metastack[-1][-1]))
        _STEPS[pickle.SETITEMS[0]](self)

    def _set_item(self) -> None:
        self._check(self.stack[-2:-1], len(self.stack[-3]))
        _STEPS[pickle.SETITEM[0]](self)

    def _make_dict(self) -> None:
        self._check(self.stack[::2], 0)
        _STEPS[pickle.DICT[0]](self)

    dispatch |= {pickle.SETITEMS[0]: _set_items, pickle.SETITEM[0]: _set_item, pickle.DICT[0]: _make_dict}

    def _check(self, keys: Sequence[Any], before: int) -> None:
        """See that keys of a dict that has some before are plain, and not too many of them numbers in no order.

        A table of whole numbers up to its own length has a place of its own for each. Others can be chosen so that each
        has to pass all that came before.
        """
        _check_keys(keys)
        numbers = [(place, key) for place, key in enumerate(keys, before) if type(key) in (int, float)]
        self._numbered += sum(not 0 <= key <= place + 1 for place, key in numbers)
        if self._numbered > NUMBERED:
            raise ValueError("too many numbers as keys")

    def _tensor(self, storage: Any, offset: Any, shape: Any, stride: Any, *rest: Any) -> InertTensor:
        if not isinstance(storage, _Storage) or not _whole([offset, *shape, *stride]) or len(shape) != len(stride):
            raise ValueError("tensor")
        if storage.width * check_extent(storage.entries, offset, shape, stride) > self._size:
            raise ValueError("tensor larger than the file")
        return InertTensor()

    def _marked(self, data: Any, requires_grad: Any, hooks: Any, state: Any) -> Any:
        """Return a parameter with attributes if all are marks of torch's compiler: torch sets any that a file has."""
        if type(state) is dict and all(name.startswith(MARKS) and type(mark) is str for name, mark in state.items()):
            return data
        self.findings.foreign.append("torch._utils._rebuild_parameter_with_state")
        return Inert()


class _Counted(dict[int, Any]):
    """The memo of a pickle: objects that it refers to again, under numbers that count up, as every pickler writes."""

    def __setitem__(self, number: int, value: Any) -> None:
        if number > len(self):
            raise ValueError("kept under a number out of order")
        super().__setitem__(number, value)


def check_extent(entries: int, offset: int, shape: Sequence[int], stride: Sequence[int]) -> int:
    """Return how many entries a view of a storage shows, after checking that it lies inside.

    Raises:
        ValueError: it reaches beyond the storage.
    """
    count = math.prod(shape)
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    if count and last >= entries:
        raise ValueError("tensor beyond its storage")
    return count


def scan(stream: IO[bytes], size: int, where: Place, storages: dict[Any, int] | None = None) -> Findings:
    """Scan the next pickle of a stream.

    Args:
        stream: Read from where it stands to the pickle's end.
        size: Bytes of the whole file.
        where: What messages begin with.
        storages: Collects the bytes of every storage, by key.

    Raises:
        InputError: the pickle is damaged, or names more memory than the file holds.
    """
    scanner = _Scanner(stream, size, {} if storages is None else storages)
    try:
        scanner.findings.value = scanner.load()
    except Exception as error:
        # A damaged or hostile pickle can raise any error; names that need code explain most of them.
        if not (scanner.findings.foreign or scanner.findings.kinds):
            raise where.error("cannot be read: it is truncated or damaged, or of another kind") from error
    scanner.findings.protocol = getattr(scanner, "proto", 0)
    return scanner.findings


def _check_keys(keys: Sequence[Any]) -> None:
    """Check that keys are plain values, whose hashes take no time.

    The hash of nested tuples visits a tuple again wherever it stands, and whole numbers of more than 60 bits can be
    chosen to have one hash.

    Raises:
        ValueError: one is not.
    """
    for key in keys:
        for part in key if type(key) is tuple else (key,):
            plain = part is None or type(part) in (str, bytes, bool, float, complex)
            if not plain and not (type(part) is int and part.bit_length() <= LONGEST_KEY):
                raise ValueError("a key that is no plain value")


def _whole(numbers: Sequence[Any]) -> bool:
    return all(type(number) is int and number >= 0 for number in numbers)
