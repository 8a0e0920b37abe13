"""Bytes of a file, and zip archives as torch writes them, checked before anything inside is used."""

import zipfile
from pathlib import Path
from typing import IO

from nfa.common.errors import Place
from nfa.common.shown import shown


def content_of(file: Path, where: Place) -> bytes:
    """Return the bytes of a file, read once, so that what was checked is what is used.

    Raises:
        InputError: it cannot be read, or is larger than the memory.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise where.error(f"cannot be read ({error.strerror})") from error
    except MemoryError as error:
        raise where.error(f"is larger than the memory ({file.stat().st_size >> 20} MiB)") from error


def is_zip(stream: IO[bytes]) -> bool:
    """Tell by the first bytes, as torch does, whether a stream is a zip archive; it is put back to its beginning."""
    stream.seek(0)
    first = stream.read(4)
    stream.seek(0)
    return first == b"PK\x03\x04"


def open_archive(stream: IO[bytes], size: int, where: Place) -> zipfile.ZipFile:
    """Open a zip archive after checking that it is whole.

    torch stores members as they are. A compressed member could inflate to any size, members that
    overlap or share a name could be read in two ways, and a wrong checksum means flipped bits.

    Args:
        stream: The archive.
        size: Its bytes.
        where: What messages begin with.

    Raises:
        InputError: it is truncated or damaged, or not as torch writes it.
    """
    archive = None
    try:
        archive = zipfile.ZipFile(stream)
        members = archive.infolist()
        problem = _oddity(members, size)
        broken = None if problem else archive.testzip()
    except Exception as error:
        # Damaged archives make zipfile raise a dozen kinds: BadZipFile, EOFError, struct.error, ValueError, ...
        if archive is not None:
            archive.close()
        raise where.error("cannot be read: it is truncated or damaged, or of another kind") from error
    if problem or broken is not None:  # a name may be empty
        archive.close()
        named = shown(broken or "") or "a member without a name"
        raise where.error(problem or f"is damaged: the checksum of {named} is wrong")
    return archive


def root_of(archive: zipfile.ZipFile) -> str:
    """Return the archive's own folder, with a slash at the end: as for torch, that of its first member."""
    first = archive.namelist()[0]
    return first.split("/")[0] + "/" if "/" in first else ""


def _oddity(members: list[zipfile.ZipInfo], size: int) -> str | None:
    """Return why these members cannot be used; None if they can."""
    names = [member.filename for member in members]
    if not members:
        return "is an empty archive"
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        return (
            "is TorchScript, a program; keep its weights alone with "
            "net = torch.jit.load(file); torch.save(net.state_dict(), 'weights.pt')"
        )
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED:
            return f"holds a compressed member ({shown(member.filename)}), which torch never writes; save it anew"
    if not any(member.CRC for member in members):
        return "was saved without checksums (torch.serialization.set_crc32_options(False)); save it with them"
    if len(set(names)) < len(names):
        return "holds two members of one name"
    if sum(member.file_size for member in members) > size:
        return "is damaged: its members claim more bytes than the file has"
    return None
