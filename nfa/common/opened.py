"""A file that somebody else may still be writing, open for reading."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from nfa.common.checks import LONGEST_PATH, existing_file
from nfa.common.errors import InputError
from nfa.common.shown import shown

# Without waiting for a writer, should a pipe have taken the file's place since. Windows has neither, but text files.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@contextmanager
def opened(argument: str, path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a file open for reading; what was read counts only if the file is the same at the end.

    Raises:
        InputError: the file is missing, is empty or no file, cannot be opened or read, changes while it is read, or
            needs more memory than there is.
    """
    file = existing_file(argument, path)
    name = shown(file, LONGEST_PATH)
    try:
        handle = os.fdopen(os.open(file, _FLAGS), "rb")
    except OSError as error:
        raise InputError(argument, f"cannot open {name} ({error.strerror})") from error
    with handle:
        before = _state(handle)
        try:
            yield handle
        except InputError as error:
            if _state(handle) != before:
                raise _changed(argument, name) from error
            raise
        except MemoryError as error:
            raise InputError(argument, f"{name} needs more memory than there is") from error
        except OSError as error:
            raise InputError(argument, f"cannot read {name} ({error.strerror or error})") from error
        if _state(handle) != before:
            raise _changed(argument, name)


def _state(handle: BinaryIO) -> tuple[int, int]:
    found = os.fstat(handle.fileno())
    return found.st_size, found.st_mtime_ns


def _changed(argument: str, name: str) -> InputError:
    return InputError(argument, f"{name} changed while it was read; read it when it is complete")
