"""Gradients of the chosen outputs at every use of a weight, and checks of what torch's graph does not show."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nfa.common.errors import InputError, out_of_memory
from nfa.probe.layout import Layout
from nfa.probe.uses import Use


class OverwrittenError(InputError):
    """A network has run, but has written in place to results that its gradients need."""


def gradients(
    f: Tensor, uses: Sequence[Use], directions: Tensor | None = None, retain: bool = False
) -> tuple[Tensor | None, ...]:
    """Return the gradients of f with respect to every use's z; None where torch's graph does not lead to it.

    Raises:
        OverwrittenError: the network has written to what torch needs for them.
        InputError: torch cannot compute them for another reason.
    """
    if not f.requires_grad:
        return (None,) * len(uses)
    try:
        return torch.autograd.grad(f, [use.edge for use in uses], directions, retain_graph=retain, allow_unused=True)
    except RuntimeError as error:
        if out_of_memory(error):
            raise
        if "modified by an inplace operation" in str(error):
            raise OverwrittenError("net", "it writes in place to what its gradients need") from error
        raise InputError("net", f"torch cannot compute its gradients: {str(error).splitlines()[0]}") from error


def cut_off(f: Tensor, missing: Sequence[int], nudged: Callable[[frozenset[int]], Tensor]) -> list[int]:
    """Return the uses without a gradient on whose z the outputs do depend.

    Where torch delivers no gradient, it may be 0, or the network may have left the graph (`detach`, `no_grad`, another
    library). So the outputs are computed again with z moved by a few units of rounding. If they are the same to the
    last digit, they do not depend on z. A decision, such as an argmax, hardly ever changes with so small a step.

    Args:
        f: The chosen outputs, n x c.
        missing: Uses without a gradient, by number.
        nudged: Computes the outputs again with z moved at the uses with these numbers.
    """
    if not missing or torch.equal(nudged(frozenset(missing)), f):
        return []
    # A network that never gives the same numbers twice shows nothing by giving other ones.
    again = float((nudged(frozenset()) - f).abs().max())
    return [each for each in missing if float((nudged(frozenset([each])) - f).abs().max()) > 10 * again]


def reached(f: Tensor, uses: Sequence[Use], sample: int) -> list[Tensor | None]:
    """Return for each use which rows a gradient of one sample's outputs reaches (... x 1); None where it has none.

    Args:
        f: The chosen outputs, n x c.
        uses: The uses.
        sample: The sample's place in the batch.
    """
    directions = torch.zeros_like(f)
    # Any numbers will do that do not cancel.
    directions[sample] = torch.linspace(1, 2, f.shape[1], dtype=f.dtype, device=f.device).square()
    found = gradients(f, uses, directions, retain=True)
    return [
        None if gradient is None else use.delta(gradient).nan_to_num().any(-1, keepdim=True)
        for use, gradient in zip(uses, found, strict=True)
    ]


def strays(layout: Layout, rows: Tensor, n: int, sample: int) -> bool:
    """Return whether a gradient of one sample's outputs reaches rows of another, where samples lie in a layout."""
    by_sample = layout.arranged(rows, n).flatten(1).any(1)
    by_sample[sample] = False
    return bool(by_sample.any())
