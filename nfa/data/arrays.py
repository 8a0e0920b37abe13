"""Arrays by name from numpy's files, each checked against its file's size and the budget before it is made."""

import math
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nfa.common.budget import Budget
from nfa.common.errors import InputError, Place
from nfa.common.opened import opened
from nfa.common.shown import few

REMEDY = "max_memory= (--max-memory GIB) allows more"
CHUNK = 1 << 20
"""Bytes read at once."""
KINDS = "iufbUS"
"""The kinds of dtypes that are read: numbers and text."""
LAST_CODE = 0x10FFFF
"""The largest code of a character."""


def arrays_of(
    file: Path, needed: Sequence[str], optional: Sequence[str] = (), max_memory: float | None = None
) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file by name; the one of an .npy file is "X". Nothing in the file is executed.

    Args:
        file: Path of an .npz or .npy file.
        needed: Names that must be there.
        optional: Names that may be there; others are not read.
        max_memory: GiB that the arrays may take.

    Returns:
        Arrays of numbers and text, in the machine's byte order.

    Raises:
        InputError: the file is truncated, of another kind, or changes while it is read; an array is missing, there
            twice, of another kind than numbers or text, or larger than the budget.
    """
    place = Place("data", file.name)
    with opened("data", file) as handle:
        size = handle.seek(0, 2)
        budget = Budget.of_file(size, max_memory, REMEDY)
        handle.seek(0)
        start = handle.read(4)
        handle.seek(0)
        try:
            if start != b"PK\x03\x04":
                arrays = {"X": _Member(file, "", handle, size).array(budget)}
                names = ["X"]
            else:
                arrays, names = _members(file, handle, {*needed, *optional}, budget)
        except (InputError, MemoryError):
            raise
        except Exception as error:
            # Damaged archives make zipfile and the parsers of headers raise a dozen kinds of exception; all mean this.
            raise _unreadable(file, "it is truncated or of another kind") from error
    for key in needed:
        if key not in arrays:
            raise place.error(f"has no array {key!r} (it has: {few(names, 20) or 'none'})")
    return arrays


def _unreadable(file: Path, reason: str) -> InputError:
    return InputError("data", f"cannot read {file} as {file.suffix}: {reason}")


def _members(
    file: Path, handle: IO[bytes], wanted: set[str], budget: Budget
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    place = Place("data", file.name)
    with zipfile.ZipFile(handle) as archive:
        entries = [(info.filename.removesuffix(".npy"), info) for info in archive.infolist()]
        chosen = [(name, info) for name, info in entries if name in wanted]
        if len({name for name, _ in chosen}) < len(chosen):
            raise place.error("has two arrays of one name")
        arrays: dict[str, NDArray[Any]] = {}
        taken = 0
        for name, info in chosen:
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise place.within(name).error("is packed in a way that numpy does not use")
            with archive.open(info) as stream:
                member = _Member(file, name, stream, info.file_size)
                arrays[name] = member.array(budget, taken)
            taken += member.needed
    return arrays, [name for name, _ in entries]


class _Member:
    """An array in a stream, of which only the header has been read.

    Args:
        file: The file it is in.
        name: Its name there; empty where it has none.
        stream: At the header's first byte.
        size: Bytes from there to its end.
    """

    def __init__(self, file: Path, name: str, stream: IO[bytes], size: int) -> None:
        self.place = Place("data", file.name).within(name) if name else Place("data", file.name)
        self.stream = stream
        with warnings.catch_warnings():
            # The parser warns of what Python 2 wrote, and of oddities in damaged headers.
            warnings.simplefilter("ignore")
            version = np.lib.format.read_magic(stream)
            readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, self.columns_first, self.dtype = readers[version](stream)
        self.shape = tuple(shape)
        if self.dtype.hasobject:
            raise _unreadable(file, "it holds Python objects")
        if self.dtype.kind not in KINDS or self.dtype.itemsize == 0:
            raise self.place.error(f"holds {self.dtype}, expected numbers")
        self.count = math.prod(self.shape)
        stated, there = self.count * self.dtype.itemsize, size - stream.tell()
        if any(isinstance(length, bool) or length < 0 for length in self.shape) or stated != there:
            got = f"{self.shape} of {self.dtype} need {stated} bytes, it has {there}"
            raise _unreadable(file, f"it is truncated or of another kind ({got})")

    @property
    def needed(self) -> int:
        """Bytes in memory, where small numbers take four each."""
        return self.count * max(4, self.dtype.itemsize)

    def array(self, budget: Budget, taken: int = 0) -> NDArray[Any]:
        """Read the array, if the budget allows it beside what is taken already."""
        budget.hold(self.place, taken + self.needed)
        flat = np.empty(self.count, self.dtype)
        view = flat.view(np.uint8)
        done = 0
        # At least one read, at whose end an archive compares its checksum.
        while part := self.stream.read(min(CHUNK, len(view) - done) or 1):
            view[done : done + len(part)] = np.frombuffer(part, np.uint8)
            done += len(part)
        if done < len(view):
            raise self.place.error("is truncated")
        self._check(flat)
        flat = flat.astype(_native(self.dtype), copy=False)
        return flat.reshape(self.shape[::-1]).T if self.columns_first else flat.reshape(self.shape)

    def _check(self, flat: NDArray[Any]) -> None:
        """Check that all bits stand for values: not every byte is a truth value, and not every code a character."""
        if self.dtype.kind == "b" and flat.size and flat.view(np.uint8).max() > 1:
            raise self.place.error("holds truth values that are neither 0 nor 1")
        if self.dtype.kind == "U":
            codes = flat.view(np.dtype("u4").newbyteorder(self.dtype.byteorder))
            if ((codes > LAST_CODE) | ((codes >= 0xD800) & (codes < 0xE000))).any():
                raise self.place.error("holds codes that are no characters")


def _native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the machine's own dtype for the same values; of more than 64 bits the nearest that torch has."""
    return np.dtype(np.float64) if dtype.kind == "f" and dtype.itemsize > 8 else dtype.newbyteorder("=")
