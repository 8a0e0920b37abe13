"""Files that are whole or not there: written beside, then moved into place."""

import logging
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nfa.common.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

_log = logging.getLogger(__name__)


def unused_name() -> str:
    """Return a file name that no other run uses, hidden and short.

    >>> unused_name() == unused_name()
    False
    """
    return f".nfa-{os.getpid()}-{secrets.token_hex(4)}.partial"


@contextmanager
def replacing(argument: str, *paths: Path) -> Iterator[tuple[Path, ...]]:
    """Yield new paths to write to; what is written there takes the place of `paths` when all of it is done.

    The new paths lie in the same folders under names that no other run has. After an error they are gone, and the
    older files are as they were. Files are moved one by one: a run that is killed in between leaves older ones
    beside new ones.

    Args:
        argument: What errors blame: the caller's argument that says where to write.
        paths: Where the files shall be.

    Raises:
        InputError: a file cannot be written, as on a full disk.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "a.txt")
    >>> with replacing("out", file) as (new,):
    ...     _ = new.write_text("whole")
    >>> [each.name for each in file.parent.iterdir()]
    ['a.txt']
    """
    new = tuple(path.with_name(unused_name()) for path in paths)
    try:
        yield new
        for written, path in zip(new, paths, strict=True):
            written.replace(path)
            _log.debug("wrote %s", path)
    except OSError as error:
        where = ", ".join(str(path) for path in paths)
        raise InputError(argument, f"cannot write {where} ({error.strerror or error})") from error
    finally:
        with ExitStack() as stack:
            for written in new:
                stack.callback(written.unlink, missing_ok=True)


def write_tensors(path: Path, tensors: "Mapping[str, Tensor]", header: dict[str, str] | None = None) -> None:
    """Write a safetensors file.

    Args:
        path: Where to; use it with `replacing`.
        tensors: By name; copied to the CPU.
        header: Text that the file's header holds.

    Raises:
        OSError: the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)  # what the umask gives; the library's own file is for its owner alone
    try:
        save_file({name: each.detach().cpu().contiguous() for name, each in tensors.items()}, str(path), header)
    except SafetensorError as error:  # what the library raises when the disk fails
        raise OSError(str(error)) from error
    path.chmod(mode)


@contextmanager
def alone(argument: str, path: Path) -> Iterator[None]:
    """Lock a file for this run, by a lock file beside it; the system frees the lock when the run ends, however it ends.

    Args:
        argument: What errors blame.
        path: The file, which need not exist yet.

    Raises:
        InputError: another run holds it, or its folder cannot be written.
    """
    from filelock import FileLock, Timeout

    place = path.with_name(f".{path.name}.lock")
    lock = FileLock(place)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise InputError(argument, f"another run is writing {path}") from error
    except OSError as error:
        raise InputError(argument, f"cannot write to {path.parent} ({error.strerror or error})") from error
    try:
        yield
    finally:
        place.unlink(missing_ok=True)
        lock.release()
