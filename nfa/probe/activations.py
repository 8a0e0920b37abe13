"""One pass through a network, perhaps with other weights: its outputs, and the rows that reach its layers."""

from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from nfa.common.checks import one_of, positive
from nfa.common.errors import InputError
from nfa.common.progress import progress
from nfa.probe.probe import BATCH_SIZE, Probe


@dataclass(frozen=True, eq=False)
class Activations:
    """A network's outputs and rows for its samples, in their order.

    Args:
        outputs: The chosen outputs, n x c.
        rows: By layer, the rows h that reach it, n x (rows for each sample) x d.
    """

    outputs: Tensor
    rows: dict[str, Tensor]


def activations(
    probe: Probe,
    layers: Collection[str] = (),
    weights: Mapping[str, Tensor] | None = None,
    batch_size: int = BATCH_SIZE,
    advance: Callable[[int], None] | None = None,
) -> Activations:
    """Run a network over all samples of a probe, once.

    Args:
        probe: The network and the samples.
        layers: Names of the layers whose rows are kept.
        weights: By layer, a weight (k x d) to compute with in place of its own; the network is not changed.
        batch_size: Samples at a time.
        advance: Called with the number of samples done, where this run is part of work that has a bar already.

    Raises:
        InputError: an unknown layer, a weight of another shape, or a layer that not every batch goes through.

    >>> from torch import nn
    >>> net = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
    >>> with Probe(net, torch.ones(5, 3)) as probe:
    ...     found = activations(probe, ["2"], {"2": torch.zeros(1, 2)})
    >>> found.rows["2"].shape, bool((found.outputs == net[2].bias).all())
    (torch.Size([5, 1, 2]), True)
    """
    own = {layer.name: layer.weight for layer in probe.layers}
    for name in layers:
        one_of("layers", name, own)
    for name, W in (weights or {}).items():
        if W.shape != own[one_of("weights", name, own)].shape:
            raise InputError("weights", f"{name} has shape {tuple(W.shape)}, expected {tuple(own[name].shape)}")
    wanted = frozenset(layers)
    order, outputs = [], []
    rows: dict[str, list[Tensor]] = {name: [] for name in layers}
    bar = progress("running the network", probe.samples.n) if advance is None else nullcontext(advance)
    with bar as done:
        for batch in probe.samples.batches(positive("batch_size", batch_size)):
            f, uses = probe.runner.run(batch.x, wanted, int(batch.samples.min()), keep_rows=True, replaced=weights)
            order.append(batch.samples)
            outputs.append(f.detach())
            for name in layers:
                # A weight used several times has the rows of all its uses.
                kept = [(use, use.kept.h()) for use in uses if use.name == name and use.kept is not None]
                found = [probe.by_sample(f, use, h) for use, h in kept]
                if not found:
                    raise InputError("layers", f"{name} sees no rows in the batch of sample {int(batch.samples.min())}")
                rows[name].append(torch.cat(found, 1))
            done(len(f))
    places = torch.cat(order).argsort()
    return Activations(_ordered(outputs, places), {name: _ordered(parts, places) for name, parts in rows.items()})


def _ordered(parts: list[Tensor], places: Tensor) -> Tensor:
    together = torch.cat(parts)
    return together[places.to(together.device)]
