"""The tensors of an exported program, from the bytes of its archive."""

import io
import json
import zipfile
from typing import Any

import torch
from torch import Tensor

from nfa.common.errors import Place
from nfa.common.shown import few, shown
from nfa.formats.exported.operators import DTYPES
from nfa.formats.exported.step import sizes
from nfa.formats.weights.pickled import check_extent
from nfa.formats.weights.torch_file import load_pickled

FOLDERS = ("weights", "constants")


def read_tensors(
    archive: zipfile.ZipFile, root: str, model: str, where: Place
) -> tuple[dict[str, Tensor], frozenset[str]]:
    """Return the tensors of a program by name, and the members that hold nothing but their bytes.

    Tensors that share memory in the file share it here.

    Args:
        archive: The file.
        root: Its own folder.
        model: What the program is called in it.
        where: What messages begin with.

    Raises:
        InputError: one is a pickle, an object, missing or cut short.
    """
    tensors: dict[str, Tensor] = {}
    flat: dict[str, Tensor] = {}
    for folder in FOLDERS:
        if f"{root}data/{folder}/{model}.pt" in archive.namelist():
            tensors |= read_pickled_tensors(archive, f"{root}data/{folder}/{model}.pt", where)
            continue
        config = json.loads(archive.read(f"{root}data/{folder}/{model}_{folder}_config.json"))["config"]
        for name, entry in config.items():
            if entry["use_pickle"] or entry["tensor_meta"] is None:
                raise where.because(f"{shown(name)} is kept as an object of Python, and none is opened")
            member = f"{root}data/{folder}/{entry['path_name']}"
            if member not in flat:
                flat[member] = _content(archive, member, where.within(shown(name)))
            tensors[name] = _tensor(flat[member], entry["tensor_meta"], where.within(shown(name)))
    return tensors, frozenset(flat)


def read_pickled_tensors(archive: zipfile.ZipFile, member: str, where: Place) -> dict[str, Tensor]:
    """Return the tensors of a member that torch.save wrote, as files from before torch 2.9 have them.

    Raises:
        InputError: it is missing, damaged or holds anything else.
    """
    inside = where.within(shown(member))
    content = archive.read(member)
    tensors = load_pickled(io.BytesIO(content), len(content), inside)
    odd = [name for name, value in tensors.items() if not isinstance(value, Tensor)]
    if odd:
        raise inside.error(f"holds more than tensors ({few(odd)})")
    return {str(name): value.detach() for name, value in tensors.items()}


def _content(archive: zipfile.ZipFile, member: str, where: Place) -> Tensor:
    content = bytearray(archive.read(member)) if member in archive.NameToInfo else bytearray()
    if not content:
        raise where.error("has no values in the file")
    return torch.frombuffer(content, dtype=torch.uint8)


def _tensor(content: Tensor, meta: dict[str, Any], where: Place) -> Tensor:
    """Return a tensor of these bytes, after checking that they hold it."""
    if meta["dtype"] not in DTYPES:
        raise where.error("is of a dtype that no layer computes in")
    dtype = DTYPES[meta["dtype"]]
    shape, stride = sizes(meta), sizes({"sizes": meta["strides"]})
    offset = meta["storage_offset"]["as_int"]
    whole = [size for size in (*shape, *stride, offset) if type(size) is int and size >= 0]
    if len(whole) < len(shape) + len(stride) + 1:
        raise ValueError("shape")
    entries = len(content) // dtype.itemsize
    known = whole[: len(shape)], whole[len(shape) : -1]
    try:
        fits = check_extent(entries, offset, *known) <= entries
    except ValueError:
        fits = False
    if not fits:
        raise where.error("is cut short: its shape takes more values than the file has")
    return content[: entries * dtype.itemsize].view(dtype).as_strided(*known, offset)
