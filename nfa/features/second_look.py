"""A second look at the rounding of layers whose first rows have next to no gradient: on the samples with the most."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nfa.common.progress import progress
from nfa.data.inputs import Inputs, count, joined, taken
from nfa.data.samples import Batch
from nfa.features.rounding import OUTPUTS, Rounding, Unchecked, random_sums, remeasured
from nfa.probe import Layer, Probe
from nfa.probe.signs import Signs

MOST = 0.5
"""Samples whose gradients are this share of the mean square over all rows are large enough."""


class SecondLook:
    """What is known of the rounding of layers, from rows that have a gradient.

    The first layer whose first rows do not speak for all has samples with large gradients looked for, for all layers
    that come after it too: in one pass, and on one copy of the network.

    Args:
        probe: An entered probe.
        first: What the first rows have shown, by layer.
        batch_size: Samples at a time.
        rows: How many rows to measure again, about.
    """

    def __init__(self, probe: Probe, first: Mapping[str, Rounding | Unchecked], batch_size: int, rows: int) -> None:
        self.first = first
        self._probe, self._batch_size, self._rows = probe, batch_size, rows
        self._found: dict[str, Rounding | Unchecked] = {}

    def of(self, layer: Layer, trace: float, later: Sequence[Layer]) -> Rounding | Unchecked:
        """Return what is known of a layer; all processes ask together.

        Args:
            layer: The layer.
            trace: The trace of its AGOP over all rows.
            later: Layers that will be asked for after it.
        """
        name, everyone = layer.name, self._probe.samples.processes
        # Processes look at rows of their own: what one of them needs, all look for together.
        if everyone.all(not _silent(self.first[name], trace)):
            return self.first[name]
        if name not in self._found or not everyone.all(not _silent(self._found[name], trace)):
            x = strongest(self._probe, [layer, *later], trace, self._batch_size, self._rows)
            if x is not None:
                self._found |= remeasured(self._probe, [layer, *later], x)
        return self._found.get(name, self.first[name])


def _silent(rounding: Rounding | Unchecked, trace: float) -> bool:
    """Return whether rows have next to no gradient beside those of all, so that others may tell more."""
    if isinstance(rounding, Unchecked):
        return trace > 0 and rounding.unreached
    return trace > 0 and not rounding.speaks_for(trace)


def strongest(probe: Probe, layers: Sequence[Layer], trace: float, batch_size: int, rows: int) -> Inputs | None:
    """Return samples with the largest gradients at each of some layers, the same ones in every process.

    They are of the batch whose largest gradient is the largest so far. The pass ends with the first batch in which the
    first layer's is as large as most (`MOST`).

    Args:
        probe: An entered probe.
        layers: The layers.
        trace: The first layer's mean over all rows of |delta W|^2.
        batch_size: Samples at a time.
        rows: How many rows, about; two samples at least for each layer.

    Returns:
        Inputs; None where no sample has a gradient.
    """
    # |delta R| = |delta W|, and R is never wider than W.
    R = {each.name: torch.linalg.qr(each.weight.double().T, mode="r").R.T for each in layers}
    samples = max(2, rows // probe.rows_per_sample // len(layers))
    best: dict[str, tuple[float, Inputs]] = {}
    signs = random_sums(probe.n_outputs)
    with progress("looking for gradients", probe.samples.n) as advance:
        for batch in probe.samples.batches(batch_size):
            for name, mean in _mean_squares(probe, batch, R, signs).items():
                largest = float(mean.max())
                if largest > best.get(name, (0.0, None))[0]:
                    best[name] = largest, taken(batch.x, mean.topk(min(len(mean), samples)).indices)
            advance(count(batch.x))
            if best.get(layers[0].name, (0.0, None))[0] >= MOST * trace:
                break
    for others in probe.samples.processes.gathered(best):
        best |= {name: each for name, each in others.items() if each[0] > best.get(name, (0.0, None))[0]}
    found = [best[name][1] for name in R if name in best]
    return joined(found) if found else None


def _mean_squares(probe: Probe, batch: Batch, R: Mapping[str, Tensor], signs: Signs | None) -> dict[str, Tensor]:
    """Return the mean over each sample's rows of |delta R|^2, summed over outputs, by layer (n, float64)."""
    places = {sample: place for place, sample in enumerate(batch.samples.tolist())}
    totals = {name: torch.zeros(2, len(places), dtype=torch.float64, device="cpu") for name in R}
    for sweep in probe.sweep(batch, frozenset(R), signs):
        for (name, delta), part in zip(sweep.deltas, sweep.parts, strict=True):
            own = torch.tensor([places[sample] for sample in part.samples.tolist()], device="cpu")
            squares = (delta.double() @ R[name]).square().sum((1, 2)).cpu()
            totals[name][0].index_add_(0, own, squares)
            if sweep.column == 0:
                totals[name][1].index_add_(0, own, torch.full_like(squares, delta.shape[1]))
    share = 1 if signs is None else 1 / OUTPUTS
    return {name: share * total / rows.clamp(min=1) for name, (total, rows) in totals.items()}
