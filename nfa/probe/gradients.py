"""Gradients of the chosen outputs at every use of a weight, and checks of what torch's graph does not show."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nfa.common.errors import InputError, out_of_memory
from nfa.probe.layout import Layout
from nfa.probe.uses import Use


class OverwrittenError(InputError):
    """A network has run, but has written in place to results that its gradients need."""


def wake(device: torch.device) -> None:
    """Give torch's own thread for a GPU's backward passes a context.

    Else a product is the first that wants one there, and cuBLAS warns.
    """
    if device.type == "cuda":
        with torch.enable_grad():
            one = torch.ones((), device=device, requires_grad=True)
            torch.autograd.grad(one.exp(), one)


def gradients(
    f: Tensor, uses: Sequence[Use], directions: Tensor | None = None, retain: bool = False
) -> tuple[Tensor | None, ...]:
    """Return the gradients of f with respect to every use's z; None where torch's graph does not lead to it.

    Raises:
        OverwrittenError: the network has written to what torch needs for them.
        InputError: torch cannot compute them for another reason.
    """
    if not f.requires_grad or not uses:
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


def reached(f: Tensor, uses: Sequence[Use], sample: int | slice | Tensor = slice(None)) -> list[Tensor | None]:
    """Return for each use which rows a gradient of one sample's outputs reaches (... x 1); None where it has none.

    Args:
        f: The chosen outputs, n x c.
        uses: The uses.
        sample: The sample's place in the batch, or a mask of several; by default, outputs of all samples count.
    """
    directions = torch.zeros_like(f)
    # Any numbers will do that do not cancel.
    directions[sample] = torch.linspace(1, 2, f.shape[1], dtype=f.dtype, device=f.device).square()
    found = gradients(f, uses, directions, retain=True)
    return [
        None if gradient is None else use.delta(gradient).nan_to_num().any(-1, keepdim=True)
        for use, gradient in zip(uses, found, strict=True)
    ]


def sources(f: Tensor, uses: Sequence[Use]) -> list[Tensor | None]:
    """Return for each use which sample's outputs each row reaches; None where a row reaches those of several.

    Gradients of all samples' outputs are taken twice, the second time each sample's multiplied by a number of its own:
    a row of one sample alone has the same gradient times this number. What rounding leaves of gradients that cancel
    does not grow so; then gradients of half of the samples tell, and of other halves.

    Args:
        f: The chosen outputs, n x c.
        uses: The uses.

    Returns:
        Places in the batch, one for each row in order; -1 for a row that reaches no output.
    """
    draw = torch.Generator().manual_seed(0)
    n, c = f.shape
    direction = torch.linspace(1, 2, c, dtype=f.dtype, device=f.device).square()  # any numbers that do not cancel
    # Rounded as the outputs are, so that the numbers looked for are those that were used.
    places, within = torch.randperm(n, generator=draw, device="cpu"), torch.rand(1, generator=draw, device="cpu")
    own = (1 + (places + within) / n).to(f.device, f.dtype)
    once = gradients(f, uses, direction.expand(n, c), retain=True)
    again = gradients(f, uses, own[:, None] * direction, retain=True)
    tolerance = min(0.2 / n, 1e4 * torch.finfo(f.dtype).eps)
    found = [
        torch.full((math.prod(use.shape[:-1]),), -1, device=f.device)
        if a is None or b is None
        else _places(use.delta(a), use.delta(b), own, tolerance)
        for use, a, b in zip(uses, once, again, strict=True)
    ]
    left = iter(_by_halves(f, [use for use, places in zip(uses, found, strict=True) if places is None]))
    return [next(left) if places is None else places for places in found]


def _by_halves(f: Tensor, uses: Sequence[Use]) -> list[Tensor | None]:
    """Return what `sources` does, from which rows the outputs of halves of the samples reach, bit by bit of a place."""
    n = len(f)
    places: list[Tensor | None] = [torch.full((math.prod(use.shape[:-1]),), -1, device=f.device) for use in uses]
    numbers = torch.arange(n, device=f.device)
    for bit in range(max(1, (n - 1).bit_length())):
        half = (numbers >> bit) % 2 == 1
        sides = zip(reached(f, uses, half), reached(f, uses, ~half), strict=True) if uses else ()
        for i, (on, off) in enumerate(sides):
            rows = places[i]
            if rows is None or on is None or off is None:
                continue
            on, off = on.flatten(), off.flatten()
            alive = torch.where(on | off, rows.clamp(min=0), rows)
            places[i] = None if bool((on & off).any()) else alive + (on.long() << bit)
    return places


def _places(once: Tensor, again: Tensor, own: Tensor, tolerance: float) -> Tensor | None:
    """Return by which of some numbers each row was multiplied; -1 for rows of zeros, None where by none of them."""
    a, b = (rows.reshape(-1, rows.shape[-1]).double() for rows in (once, again))
    square = a.square().sum(1)
    zero = square == 0
    ratio = (a * b).sum(1) / square.masked_fill(zero, 1.0)
    known, order = own.double().sort()
    right = torch.searchsorted(known, ratio).clamp(1, max(1, len(known) - 1)).clamp(max=len(known) - 1)
    left = (right - 1).clamp(min=0)
    nearest = torch.where((ratio - known[left]).abs() < (known[right] - ratio).abs(), left, right)
    off = (b - known[nearest][:, None] * a).square().sum(1)
    if bool((off > tolerance**2 * b.square().sum(1)).any()):
        return None
    return order[nearest].masked_fill(zero, -1)


def strays(layout: Layout, rows: Tensor, n: int, sample: int) -> bool:
    """Return whether a gradient of one sample's outputs reaches rows of another, where samples lie in a layout."""
    by_sample = layout.arranged(rows, n).flatten(1).any(1)
    by_sample[sample] = False
    return bool(by_sample.any())


def alive(layout: Layout, f: Tensor, uses: Sequence[Use]) -> list[int] | None:
    """Return the samples whose rows a gradient reaches in a layout; None where it reaches rows of others too."""
    n = len(f)
    marks = [rows for rows in reached(f, uses) if rows is not None]
    found = [i for i in range(n) if any(bool(layout.arranged(rows, n)[i].any()) for rows in marks)]
    # One sample's rows may fit by luck, such as the first one's.
    for sample in {*found[:1], *found[-1:]}:
        marks = [rows for rows in reached(f, uses, sample) if rows is not None and bool(rows.any())]
        if not marks or any(strays(layout, rows, n, sample) for rows in marks):
            return None
    return found
