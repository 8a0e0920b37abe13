"""Backward sweeps: the gradients of chosen outputs with respect to every layer's z, for one batch.

One forward pass for each batch, then one backward pass for each output (or each random probe), which
gives delta of all layers at once. Nothing of size samples x outputs x inputs is ever formed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from nfa.common.errors import InputError
from nfa.data.batches import Batch
from nfa.data.inputs import map_inputs
from nfa.probe.gradients import gradients
from nfa.probe.layers import Layers
from nfa.probe.runner import Runner
from nfa.probe.signs import Along, Signs


@dataclass(frozen=True)
class Part:
    """Whose the rows of one delta are.

    Args:
        samples: Sample numbers along delta's first axis, sorted by group; for experts, a number for each row.
        signs: The probe's signs along it, or None for exact sweeps.
    """

    samples: Tensor
    signs: Tensor | None


@dataclass(frozen=True)
class Sweep:
    """What one backward pass found for one batch.

    Args:
        samples: The batch's sample numbers, sorted by group (number mod 10).
        column: Which chosen output, or which probe.
        signs: The probe's signs (batch x c), or None for exact sweeps.
        deltas: (layer's name, delta of shape batch x rows per sample x k), once for each use.
        parts: For each of these, whose its rows are.
    """

    samples: Tensor
    column: int
    signs: Tensor | None
    deltas: list[tuple[str, Tensor]]
    parts: list[Part]


def sweeps_of(
    runner: Runner,
    layers: Layers,
    batch: Batch,
    wanted: frozenset[str],
    signs: Signs | Along | None = None,
    seen: Callable[[Tensor, Batch], None] | None = None,
) -> Iterator[Sweep]:
    """Yield the sweeps of one batch: one per chosen output, or one per random probe.

    Args:
        runner: Runs the network.
        layers: The layers that were found.
        batch: The samples.
        wanted: Names of the layers to look at.
        signs: Random probes, or one direction, instead of outputs.
        seen: Called with the network's own outputs (n x ..., detached).

    Raises:
        InputError: a layer saw no row of a sample that is alone in its batch.
    """
    start = int(batch.samples.min())
    # A copy, since the network may write to its inputs, which may be asked for again.
    f, uses = runner.run(map_inputs(torch.clone, batch.x), wanted, start)
    if seen is not None and runner.output is not None:
        seen(runner.output, batch)
    regular = wanted - layers.dropped.keys() - layers.routed
    if len(f) == 1 and (missing := regular - {use.name for use in uses}):
        raise InputError("net", f"layer {min(missing)} saw no rows in sample {start}, alone in its batch")
    routes = layers.routes(f, uses)
    numbers = [None if route is None else batch.samples[route.places] for route in routes]
    nudged = partial(runner.nudged, batch.x, wanted, start)
    drawn = None if signs is None else signs.draw(batch.samples).to(f.device, f.dtype)
    columns = runner.n_outputs if drawn is None else drawn.shape[1]
    for column in range(columns):
        if drawn is None:
            directions = torch.zeros_like(f)
            directions[:, column] = 1.0
        else:
            directions = drawn[:, column]
        unseen = len(f) > 1 and layers.has_unseen(wanted)
        last = column == columns - 1
        found = gradients(f, uses, directions, retain=unseen or not last)
        if column == 0 and layers.check_cut_off(f, uses, found, nudged):
            # The runs of the check have overwritten what the network keeps of a run.
            f, uses = runner.run(map_inputs(torch.clone, batch.x), wanted, start)
            found = gradients(f, uses, directions, retain=unseen or not last)
        if unseen:
            layers.check_unseen(f, uses, found, routes)
        deltas = layers.deltas(f, uses, found, routes)
        signs_of_all = None if drawn is None else directions
        whole = Part(batch.samples, signs_of_all)
        parts = {
            id(route): Part(own, None if signs_of_all is None else signs_of_all[route.places])
            for route, own in zip(routes, numbers, strict=True)
            if route is not None and own is not None
        }
        yield Sweep(
            batch.samples,
            column,
            signs_of_all,
            [(name, delta) for name, delta, _ in deltas],
            [whole if route is None else parts[id(route)] for _, _, route in deltas],
        )
