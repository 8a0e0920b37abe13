"""Try on a few random rows whether a network answers each row by itself."""

import torch
from torch import Tensor, nn

from nfa.common.errors import Place
from nfa.formats.rows import same_answers

CHECKED_ROWS = 3
"""Rows that are tried."""


def check_rows(net: nn.Module, rows: Tensor, where: Place, advice: str = "") -> Tensor:
    """Return the answers to rows, after checking that they are the same as the answer to each row alone.

    Args:
        net: The network.
        rows: Shape (n, ...); a network may write into what it is given, so each call gets a copy.
        where: What messages begin with.
        advice: What messages end with.

    Raises:
        InputError: an answer is missing, or depends on the other rows; a node cannot be run.
    """
    together: Tensor = net(rows.clone())
    apart = [net(row[None].clone()) for row in rows]
    for answer, given in ((together, len(rows)), *((each, 1) for each in apart)):
        if not isinstance(answer, Tensor) or answer.ndim == 0 or len(answer) != given:
            shape = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
            raise where.because(f"its output has shape {shape} for {given} rows, expected one each{advice}")
    if not same_answers(together, torch.cat(apart)):
        raise where.because(f"mixes samples: it answers a row differently alone and among others{advice}")
    return together
