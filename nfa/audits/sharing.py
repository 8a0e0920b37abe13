"""An audit by several processes that train a network together: each measures its share of the samples."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from nfa.audits.rows import Rows
from nfa.common.errors import InputError
from nfa.common.processes import processes
from nfa.data.shares import Share, fingerprint
from nfa.network.examinable import unwrapped

SAME = 1e-6
"""Relative difference up to which the sizes of weights in two processes are the same."""


def shared(net: nn.Module, rows: Rows) -> Rows:
    """Return the rows that this process measures and scores: all, or its share where there are other processes.

    Args:
        net: The network, whole.
        rows: The rows, the same ones in every process.

    Raises:
        InputError: the processes have other rows, or other weights.
    """
    together = processes()
    if together.size == 1:
        return rows
    found = together.gathered((fingerprint(rows.measured), fingerprint(rows.scored), _sizes(net)))
    for rank, (measured, scored, sizes) in enumerate(found):
        if (measured, scored) != found[0][:2]:
            raise InputError(
                "data",
                f"processes 0 and {rank} have other samples; hand all of them the same ones, in the same order (a data "
                "set, or a loader without DistributedSampler and shuffle=True): each measures its share",
            )
        if sizes.shape != found[0][2].shape or not torch.allclose(sizes, found[0][2], rtol=SAME, atol=0.0):
            raise InputError(
                "net", f"processes 0 and {rank} have networks of other weights; an audit is of one network"
            )
    own = Share(rows.measured, together)
    return replace(rows, measured=own, scored=own if rows.scored is rows.measured else Share(rows.scored, together))


def _sizes(net: nn.Module) -> Tensor:
    """Return the sum of squares of each parameter (float64)."""
    return torch.stack([each.detach().double().square().sum().cpu() for each in unwrapped(net).parameters()])
