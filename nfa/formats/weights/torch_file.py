"""Files of torch.save: the tensors of a state dict; code in them is never run."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from nfa.common.errors import Place
from nfa.common.shown import few, shown
from nfa.formats.archive import content_of, is_zip, open_archive, root_of
from nfa.formats.names import without_prefixes
from nfa.formats.weights.pickled import Findings, scan
from nfa.formats.weights.places import PLACES, state_dict_of
from nfa.formats.weights.state_dict import check_kinds
from nfa.network.examinable import DEQUANTISE

LIGHTNING = ("model", "net", "network")
"""The usual names for the network inside a LightningModule."""

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
"""The number with which files from before torch 1.6 begin."""


def read_state_dict(
    file: Path, argument: str, key: str | None = None, own: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Read the tensors of a `.pt`, `.pth` or `.ckpt` file, in the file's order.

    A state dict may be the file's whole content or lie in it (see `places.state_dict_of`);
    anything in it that is no tensor is ignored. The prefixes of `DataParallel` ("module."), `torch.compile`
    ("_orig_mod.") and, in Lightning's checkpoints, of the network inside ("model.", "net.", "network.")
    are removed where all names have them. Nothing in the file is executed.

    Args:
        file: An existing file.
        argument: What messages begin with.
        key: The key under which the file has the state dict.
        own: The tensors of the network that they belong to, if it is known.

    Returns:
        Dense tensors on the CPU, by name.

    Raises:
        InputError: the file is damaged, needs code to be opened, is TorchScript, or holds no tensors, or several
            state dicts.
    """
    where = Place(argument, str(file))
    whole = content_of(file, where)
    content = load_pickled(io.BytesIO(whole), len(whole), where)
    place, tensors = state_dict_of(content, where, key, own)
    check_kinds(tensors, where)
    lightning = place == "state_dict" and (file.suffix.lower() == ".ckpt" or "pytorch-lightning_version" in content)
    return without_prefixes(tensors, LIGHTNING if lightning else ())


def load_pickled(stream: IO[bytes], size: int, where: Place) -> Any:
    """Return what torch.save wrote, after a scan has shown that it needs no code.

    Args:
        stream: The file, or a member of an archive.
        size: Its bytes.
        where: What messages begin with.

    Raises:
        InputError: it is damaged, needs code, or holds tensors of kinds that no layer can be made of.
    """
    findings = look_through(stream, size, where)
    if "quantized" in findings.kinds or any("quantized" in name for name in findings.foreign):
        raise where.error(f"holds quantized weights; {DEQUANTISE}")
    if findings.foreign:
        raise where.error(_conversion(findings))
    if findings.kinds:
        raise where.error(f"holds {findings.kinds[0]} tensors; only dense ones can be read")
    if findings.protocol != 2:
        raise where.error(f"has pickle protocol {findings.protocol}; save it with torch.save's own, which is 2")
    stream.seek(0)
    try:
        return torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch raises many kinds on damaged files: UnpicklingError, RuntimeError, KeyError, EOFError, ...
        raise where.error("cannot be read: it is truncated or damaged, or of another kind") from error


def look_through(stream: IO[bytes], size: int, where: Place) -> Findings:
    """Scan the pickle of a file of torch.save, in the format of today or of before torch 1.6.

    Raises:
        InputError: it is damaged, is TorchScript, or was not written by torch.save.
    """
    if not is_zip(stream):
        first = scan(stream, size, where)
        if first.foreign:
            return first
        if first.value != LEGACY_MAGIC:
            raise where.error("was not written by torch.save")
        for _ in ("protocol", "system"):
            scan(stream, size, where)
        return scan(stream, size, where)
    with open_archive(stream, size, where) as archive:
        names, root = archive.namelist(), root_of(archive)
        if f"{root}data.pkl" not in names:
            raise where.error("was not written by torch.save")
        storages: dict[Any, int] = {}
        with archive.open(f"{root}data.pkl") as member:
            findings = scan(member, size, where, storages)
        _check_storages(archive, root, storages, where)
        return findings


def _check_storages(archive: zipfile.ZipFile, root: str, storages: dict[Any, int], where: Place) -> None:
    for key, size in storages.items():
        name = f"{root}data/{key}"
        if name not in archive.NameToInfo or archive.NameToInfo[name].file_size < size:
            raise where.error(f"is damaged: the weights in {shown(name)} are missing or cut short")


def _conversion(findings: Findings) -> str:
    names = few(list(dict.fromkeys(findings.foreign)))
    keep = "torch.save(net.state_dict(), 'weights.pt')"
    if isinstance(findings.value, dict):
        place = next((key for key in PLACES if key in findings.value), None)
        if place is not None:
            weights = "" if isinstance(findings.value[place], dict) else ".state_dict()"
            keep = f"torch.save(torch.load(file, weights_only=False)['{place}']{weights}, 'weights.pt')"
    return f"needs code to be opened ({names}), and none is run; where it was made, {keep} keeps the weights"
