"""Find the layers of a network on a few samples, and see that their rows come sample by sample."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from nfa.common.errors import InputError
from nfa.data.inputs import Inputs, map_inputs, taken
from nfa.probe.blocks import within_blocks
from nfa.probe.gradients import gradients, reached, sources
from nfa.probe.layers import Layers
from nfa.probe.runner import Runner
from nfa.probe.uses import Use

FEW = 2
"""Samples on which the layers, and the order of their rows, are found before anything is measured."""

DISCOVER = 64
"""Samples that are run if the few do not go through every weight, such as those of experts."""

MORE = 16
"""Samples that are run if the gradients of the few do not tell where a layer's samples lie."""


def find_layers(runner: Runner, first: Callable[[int], Inputs]) -> Layers:
    """Return the layers that a few samples show.

    Args:
        runner: Runs the network.
        first: Returns the first samples, given how many; there may be fewer.

    Raises:
        InputError: there are none, or one sample's outputs depend on the others.
    """
    x = first(FEW)
    f, uses, late = runner.first_run(x, partial(first, DISCOVER))
    if not uses:
        raise InputError("net", _no_layer(runner))
    if len(f) > 1:
        _check_alone(runner, x, f)
        f, uses = runner.run(map_inputs(torch.clone, x), None)
    layers, found = _shown(runner, x, f, uses, late)
    if layers.unclear:
        x = first(MORE)
        f, uses = runner.run(map_inputs(torch.clone, x), None)
        layers, found = _shown(runner, x, f, uses, late)
        layers.settle_unclear()
    layers.check_cut_off(f, uses, found, partial(runner.nudged, x, None, 0))
    if len(f) > 1:
        _check_order(runner, taken(x, torch.arange(len(f), device="cpu").flip(0)), layers)
    return layers


def _no_layer(runner: Runner) -> str:
    """Return why a network has no layer, in words."""
    found = next(iter(runner.weights.in_other_operations.items()), None)
    if found is None:
        return "it has no linear layer (no product of its inputs with a weight matrix, no convolution)"
    name, how = found
    return f"it has no linear layer that is read: {name} meets data in {how}, which is no product of a batch of rows"


def _check_order(runner: Runner, x: Inputs, layers: Layers) -> None:
    """Check that rows come in the order found, given the samples in reverse: a network that sorts them sorts anew."""
    f, uses = runner.run(map_inputs(torch.clone, x), None)
    with _without_zeros(runner, x, f, uses) as (lively, alike):
        layers.check_order(alike, sources(lively, alike), len(f))


def _shown(
    runner: Runner, x: Inputs, f: Tensor, uses: Sequence[Use], late: Sequence[Use]
) -> tuple[Layers, tuple[Tensor | None, ...]]:
    """Return the layers of a run, and the gradients at every use."""
    found = gradients(f, uses, torch.ones_like(f), retain=True)
    reaching: list[list[Tensor | None]] = []
    traced: list[Tensor | None] = []
    if len(f) > 1:
        with _without_zeros(runner, x, f, uses) as (lively, alike):
            reaching, traced = [reached(lively, alike, sample) for sample in range(len(f))], sources(lively, alike)
    return Layers(uses, len(f), reaching, traced, late), found


@contextmanager
def _without_zeros(runner: Runner, x: Inputs, f: Tensor, uses: Sequence[Use]) -> Iterator[tuple[Tensor, Sequence[Use]]]:
    """Give the outputs and uses of a network none of whose weights is zero.

    A weight of zeros, such as many a head's before training, lets no gradient through: for once it is another one.
    """
    draw = torch.Generator().manual_seed(0)
    other = {
        use.name: within_blocks(torch.randn(use.weight.shape, generator=draw, device="cpu"), use.groups)
        for use in uses
        if not bool(use.weight.any())
    }
    if not other:
        yield f, uses
        return
    yield runner.run(map_inputs(torch.clone, x), None, replaced=other)
    runner.run(map_inputs(torch.clone, x), None)  # what a network keeps of its runs is its own again


def _check_alone(runner: Runner, x: Inputs, f: Tensor) -> None:
    """Check that the first sample's outputs are its own."""
    first = torch.zeros(len(f), dtype=torch.int64, device="cpu")
    alone, _ = runner.run(taken(x, first), frozenset())
    eps = torch.finfo(f.dtype).eps
    if not torch.allclose(alone[0], f[0].detach(), rtol=1e3 * eps, atol=1e3 * eps * float(f.detach().abs().max())):
        raise InputError(
            "net",
            "its answer to a sample changes with the other samples of the batch, or from call to call; where it is "
            "drawn, outputs= may take what is not, such as a distribution's mean",
        )
