"""The precision in which the package computes: the one it states, whatever is set around a call."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from nfa.common.process_wide import process_wide

_KINDS = ("cpu", "cuda", "xpu", "mps")
"""Kinds of device that may have autocast on."""

_BY_OPERATION = hasattr(torch.backends.cudnn, "conv")
"""Whether torch has a setting for each kind of operation. Torch 2.6 has one for products, and a flag for cuDNN."""

_SETTINGS: tuple[Any, ...] = (
    (
        torch.backends.cuda.matmul,
        *(getattr(torch.backends.cudnn, operation) for operation in ("conv", "rnn")),
        *(getattr(torch.backends.mkldnn, operation) for operation in ("matmul", "conv", "rnn")),
    )
    if _BY_OPERATION
    else ()
)
"""Where torch is told to compute with float32 in fewer digits."""


@contextmanager
def stated_precision() -> Iterator[None]:
    """Compute in the dtype of weights and rows: no autocast, no TF32, no bfloat16 for float32.

    Autocast that a network turns on in its own forward pass is left alone. All threads share torch's other settings:
    the first thread to enter changes them, the last one to leave restores them.

    >>> a = torch.full((1, 1), 1 + 2**-12)
    >>> with torch.autocast("cpu", torch.bfloat16), stated_precision():
    ...     product = a @ a
    >>> product.dtype
    torch.float32
    """
    with ExitStack() as stack:
        for kind in _KINDS:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        stack.enter_context(_all_digits())
        yield


@process_wide
def _all_digits() -> Iterator[None]:
    found = [setting.fp32_precision for setting in _SETTINGS]
    products = "" if _BY_OPERATION else torch.get_float32_matmul_precision()
    # cuDNN's older flag must not contradict the settings, or torch refuses to read it, as `cudnn.flags` does.
    flag = _cudnn_flag()
    if flag:
        torch.backends.cudnn.allow_tf32 = False
    if products:
        torch.set_float32_matmul_precision("highest")
    for setting in _SETTINGS:
        setting.fp32_precision = "ieee"
    try:
        yield
    finally:
        if flag:
            torch.backends.cudnn.allow_tf32 = True
        if products:
            torch.set_float32_matmul_precision(products)
        for setting, before in zip(_SETTINGS, found, strict=True):
            setting.fp32_precision = before


def _cudnn_flag() -> bool:
    try:
        return bool(torch.backends.cudnn.allow_tf32)
    except RuntimeError:  # it contradicts the settings already
        return False
