"""Run torch's attention with its packed projection as three products, of the queries, keys and values."""

from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch.nn.functional as F

ATTENTION: Callable[..., Any] = F.multi_head_attention_forward
"""The function that `nn.MultiheadAttention` and the layers of `nn.Transformer` call."""


def unpacked(projected: Callable[..., Any]) -> Callable[..., Any]:
    """Return torch's own attention with another packed projection, and with operations that a function mode sees.

    torch hands a function mode the whole of attention, and the operations inside stay unseen. Here the same code runs
    with two names of its module exchanged: the one that asks for function modes, and the one that projects.

    Args:
        projected: Takes queries, keys, values, the packed weight and bias; returns the three projections.
    """
    names = ATTENTION.__globals__ | {
        "has_torch_function": lambda tensors: False,
        "_in_projection_packed": projected,
    }
    body = FunctionType(ATTENTION.__code__, names, ATTENTION.__name__, ATTENTION.__defaults__, ATTENTION.__closure__)
    body.__kwdefaults__ = ATTENTION.__kwdefaults__
    return body
