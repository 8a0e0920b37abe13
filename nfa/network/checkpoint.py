"""Checkpoints of a training: files that are used only if every byte is as it was written."""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from nfa.common.errors import InputError
from nfa.common.writing import replacing

START = b"nfa checkpoint 1\n"
"""The beginning of a checkpoint. The sha256 of torch.save's bytes follows in hexadecimal, then these bytes."""

HASH_DIGITS = 64
"""Length of a sha256 in hexadecimal."""


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a state (tensors, numbers and texts, nested) to a file.

    Raises:
        InputError: the file cannot be written; an older one stays as it was.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    with replacing("checkpoint", path) as (new,):
        new.write_bytes(START + hashlib.sha256(content).hexdigest().encode() + content)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return what `write_checkpoint` wrote, tensors on the CPU.

    Raises:
        InputError: the file is damaged, or of another version.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError("checkpoint", f"cannot read {path} ({error.strerror})") from error
    head, rest = content[: len(START) + HASH_DIGITS], content[len(START) + HASH_DIGITS :]
    if head != START + hashlib.sha256(rest).hexdigest().encode():
        raise InputError(
            "checkpoint", f"cannot read {path}; delete it to start again (it is damaged, or of another version of nfa)"
        )
    state: dict[str, Any] = torch.load(io.BytesIO(rest), weights_only=True, map_location="cpu")
    return state
