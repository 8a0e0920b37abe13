"""The precision in which the package computes: the one it states, whatever is set around a call."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

_KINDS = ("cpu", "cuda", "xpu", "mps")
"""Kinds of device that may have autocast on."""

_PRODUCTS: tuple[Any, ...] = (torch.backends.cuda.matmul, getattr(torch.backends.mkldnn, "matmul"))  # noqa: B009
"""Where torch is told to multiply float32 matrices in fewer digits."""

_LOCK = threading.Lock()
_inside = 0
_found: list[str] = []


@contextmanager
def stated_precision() -> Iterator[None]:
    """Compute products in the dtype of their matrices: no autocast, no TF32, no bfloat16 for float32.

    Autocast that a network turns on in its own forward pass stays its own business. Torch's settings are those of all
    threads: the first one inside notes and changes them, the last one restores them.

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
        stack.enter_context(_full_products())
        yield


@contextmanager
def _full_products() -> Iterator[None]:
    global _inside
    with _LOCK:
        if _inside == 0:
            _found[:] = [setting.fp32_precision for setting in _PRODUCTS]
            for setting in _PRODUCTS:
                setting.fp32_precision = "ieee"
        _inside += 1
    try:
        yield
    finally:
        with _LOCK:
            _inside -= 1
            if _inside == 0:
                for setting, before in zip(_PRODUCTS, _found, strict=True):
                    setting.fp32_precision = before
