"""The AGOP of every layer, streamed over the data."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from nfa.common.errors import InputError
from nfa.common.precision import stated_precision
from nfa.data.batches import GROUPS, Batch
from nfa.features.accumulator import IDENTICAL, Accumulator, rows_kept
from nfa.features.factored import FactoredMatrix
from nfa.features.rounding import Rounding, Unchecked, first_rows, remeasured
from nfa.features.second_look import SecondLook
from nfa.features.second_moment import SecondMoment
from nfa.features.weight import Weight, working_dtype
from nfa.network.forward import Forward
from nfa.probe import BATCH_SIZE, Layer, Probe, Select

GROUP_BUDGET = 4 << 30
"""The most bytes that sums by group take at once. Layers that need more together are measured in several passes."""


SHIFT_SAMPLES = 2
"""Samples whose deltas decide whether a layer's sums are shifted."""

FEW = 16
"""Samples that are compared before all of them are."""


@dataclass(frozen=True, eq=False)
class Measured:
    """The result of one or more passes for one layer, in the layer's place (see `place_of`).

    Args:
        layer: Its name, weight and place.
        sums: The sums it was measured by, by group of samples.
        centered: S of the centered AGOP W'SW.
        mean: Mean over rows of delta for each output (c x k, float64); see `Accumulator.moments` for groups.
        probes: Random probes for each row; None for exact sweeps.
        constant: Whether delta is the same for every sample, row by row, where a sample has several rows.
        rounding: A few of its rows in another precision, or why there are none; None where that was not requested.
        uneven: Whether a sample has another number of rows in one batch than in another.
    """

    layer: Layer
    sums: Accumulator
    centered: SecondMoment
    mean: Tensor
    probes: int | None
    constant: bool = False
    rounding: Rounding | Unchecked | None = None
    uneven: bool = False

    @property
    def rows(self) -> int:
        """Rows averaged over."""
        return int(self.sums.rows.sum())

    @cached_property
    def second(self) -> SecondMoment:
        """S of the AGOP: mean over rows of delta'delta."""
        return self.centered.plus(self.mean)

    @property
    def S(self) -> Tensor:
        """The same as a matrix (k x k, float64)."""
        return self.second.matrix

    @property
    def S_centered(self) -> Tensor:
        """S of the centered AGOP as a matrix (k x k, float64)."""
        return self.centered.matrix

    @cached_property
    def weight(self) -> Weight:
        """W."""
        return Weight(self.layer.weight)

    @cached_property
    def agop_centered(self) -> FactoredMatrix:
        """The centered AGOP W'S_cW."""
        return self.centered.under(self.weight)

    @cached_property
    def agop(self) -> FactoredMatrix:
        """The AGOP W'SW, S = S_c + mean'mean."""
        return self.second.raised(self.agop_centered, self.mean)

    @property
    def trace(self) -> float:
        """The trace of the AGOP; 0 or infinite where it leaves the range of float64."""
        scale = self.agop_centered.scale
        return self.agop.trace() if 0 < scale < math.inf else scale

    @property
    def trivial(self) -> bool:
        """Whether delta is the same for every row, or at least for every sample at the same row."""
        return (self.sums.trivial or self.constant) and self.rows > 1


def measure(
    probe: Probe,
    layers: list[Layer],
    *,
    grouped: bool = True,
    batch_size: int = BATCH_SIZE,
    probes: int | None = None,
    seed: int = 0,
    label: str = "measuring",
    again: int = 0,
    seen: Callable[[Tensor, Batch], None] | None = None,
) -> Iterator[Measured]:
    """Yield the sums behind the AGOP of each layer, in order.

    A pass over the data serves as many layers as `GROUP_BUDGET` allows, at least one. A layer's sums are freed once
    they were yielded. A layer that turns out not to be measurable is left out; `Probe.skipped` names it.

    Args:
        probe: An entered probe.
        layers: Layers of `probe.layers`.
        grouped: Whether to keep the groups of samples apart, which the interval needs.
        batch_size: Samples at a time; no result depends on it.
        probes: Random probes instead of one sweep per output: S is unbiased, S_centered is not.
        seed: The probes' seed.
        label: What a progress bar calls the work.
        again: Rows to measure in another precision too, about; 0 for none.
        seen: Called in the first pass with the network's own outputs for each batch.
    """
    processes = probe.samples.processes
    look = None
    if again:
        look = SecondLook(probe, remeasured(probe, layers, first_rows(probe, again)), batch_size, again)
    first = processes.first(probe.first_deltas(layers, SHIFT_SAMPLES))
    groups = GROUPS if grouped else 1
    waiting = list(layers)
    while waiting:
        taken = _fitting(waiting, groups, probe, probes)
        waiting = waiting[len(taken) :]
        several: set[str] = set()  # layers to which a sample brings several rows, at one use or at several, or none
        lengths: set[tuple[str, int, int]] = set()  # a layer's name, its use, rows of a sample in a batch
        running = {layer.name: Accumulator(first[layer.name], groups, probes, layer.groups) for layer in taken}
        for sweep in probe.sweeps(taken, batch_size, probes, seed, label, seen):
            several.update(name for name, uses in Counter(name for name, _ in sweep.deltas).items() if uses > 1)
            uses: Counter[str] = Counter()
            for (name, delta), part in zip(sweep.deltas, sweep.parts, strict=True):
                running[name].add(part.samples, sweep.column, part.signs, delta)
                if delta.shape[1] > 1 or part.samples is not sweep.samples:
                    several.add(name)
                if sweep.column == 0:
                    running[name].count(part.samples, delta.shape[1])
                    if part.samples is sweep.samples:
                        lengths.add((name, uses[name], delta.shape[1]))
                    uses[name] += 1
        seen = None
        _agree(probe, running, several)
        uneven = _uneven(processes.gathered(lengths))
        undecided = [layer for layer in taken if layer.name in several and not running[layer.name].trivial]
        constant = _constant(probe, undecided, batch_size) if undecided else set()
        for number, layer in enumerate(taken):
            done = running.pop(layer.name)
            if layer.name in probe.dropped:
                continue
            done.finish(processes)
            # Only now, since the rows of a layer may all be another process's.
            if not bool(done.rows.any()):
                probe.leave_out(layer.name, "no rows")
                continue
            centered, mean = done.moments()
            if not math.isfinite(centered.trace()):
                raise InputError("net", f"the gradients at layer {layer.name} are not finite on every row")
            name = layer.name
            rounding = None if look is None else look.first[name]
            measured = Measured(layer, done, centered, mean, probes, name in constant, rounding, name in uneven)
            if look is not None:
                rounding = look.of(layer, measured.trace, [*taken[number + 1 :], *waiting])
            # What was computed from the sums is kept where nothing has changed.
            yield measured if rounding is measured.rounding else replace(measured, rounding=rounding)


def _agree(probe: Probe, running: dict[str, Accumulator], several: set[str]) -> None:
    """Let all processes know what one of them has seen in its rows."""
    processes = probe.samples.processes
    if processes.size == 1:
        return
    probe.agree()
    several |= processes.union(several)
    for name in processes.union(name for name, sums in running.items() if not sums.trivial):
        running[name].differs()


def _uneven(of_processes: Sequence[set[tuple[str, int, int]]]) -> set[str]:
    """Return the layers at one of whose uses a sample has another number of rows in one batch than in another."""
    uses = Counter((name, use) for name, use, _ in set().union(*of_processes))
    return {name for (name, _), lengths in uses.items() if lengths > 1}


def _constant(probe: Probe, layers: list[Layer], batch_size: int) -> set[str]:
    """Return the layers whose delta is the same for every sample at the same row, such as a language model's head.

    Of outputs n x T x c, the one at (t, c) has a delta at row t alone. So delta differs from row to row, although it
    does not depend on data. The delta of one combination of all outputs shows this: it is compared between samples.
    """
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(probe.n_outputs, generator=generator, device="cpu")  # any numbers that do not cancel
    left = {layer.name for layer in layers}
    seen: dict[tuple[str, int], Tensor] = {}
    # A few samples show nearly always that delta varies, at a small part of a sweep's cost.
    for few in (True, False):
        undecided = [layer for layer in layers if layer.name in left]
        for sweep in probe.along(direction, undecided, FEW if few else batch_size):
            uses: Counter[str] = Counter()
            for name, delta in sweep.deltas:
                uses[name] += 1
                first = seen.setdefault((name, uses[name]), delta[0])
                if delta.shape[1:] != first.shape or not _same(delta, first):
                    left.discard(name)
            if few or not left:
                break
        if not left:
            break
    everyone = probe.samples.processes.gathered((left, {key: delta.cpu() for key, delta in seen.items()}))
    first_of_all: dict[tuple[str, int], Tensor] = {}
    for others, firsts in everyone:
        left &= others
        for (name, use), delta in firsts.items():
            first = first_of_all.setdefault((name, use), delta)
            if delta.shape != first.shape or not _same(delta, first):
                left.discard(name)
    return left


def _same(delta: Tensor, first: Tensor) -> bool:
    """Return whether deltas differ by rounding alone; those that are all 0 show nothing."""
    tolerance = IDENTICAL * torch.finfo(delta.dtype).eps * float(first.abs().amax())
    return tolerance != 0 and float((delta - first).abs().amax()) <= tolerance


def _fitting(layers: list[Layer], copies: int, probe: Probe, probes: int | None) -> list[Layer]:
    """Return the first layers whose sums fit, at least one; a layer's few rows need no sums."""
    n = probe.samples.n
    rows = math.inf if n is None else n * probe.rows_per_sample * probe.n_outputs
    taken: list[Layer] = []
    used = 0
    for layer in layers:
        k, limit = len(layer.weight), rows_kept(len(layer.weight), probes, layer.groups)
        used += (limit if rows <= limit else copies * k) * k * working_dtype(layer.weight).itemsize
        if taken and used > GROUP_BUDGET:
            break
        taken.append(layer)
    return taken


def nfm(layer: Layer | Tensor) -> FactoredMatrix:
    """Return the neural feature matrix W'W of a layer or a weight (k x d).

    Source: arXiv:2212.13881, section "Deep neural feature ansatz".

    >>> nfm(torch.tensor([[1.0, 2.0]])).dense().tolist()
    [[1.0, 2.0], [2.0, 4.0]]
    """
    return FactoredMatrix(layer.weight if isinstance(layer, Layer) else layer)


@stated_precision()
def agop(
    net: torch.nn.Module | Forward,
    data: Any,
    outputs: str | Select = "logits",
    *,
    layers: str | None = None,
    centered: bool = False,
    batch_size: int = BATCH_SIZE,
    probes: int | None = None,
    seed: int = 0,
) -> dict[str, FactoredMatrix]:
    """Return the average gradient outer product of every layer, by name.

    AGOP = mean over rows of J'J = W'SW, J = df/dh = delta W (c x d) through this layer, S = mean of
    delta'delta; centered: J minus its mean over rows, output by output.

    Args:
        net: Any module the probe can take (it comes back as it was), or a `Forward` that says how to call it.
        data: Anything `as_samples` takes.
        outputs: Which outputs f (see `select_outputs`).
        layers: A shell pattern of names; all layers by default.
        centered: Whether to centre J.
        batch_size: Samples at a time.
        probes: Random probes instead of exact sweeps; unbiased for the AGOP that is not centered.
        seed: The probes' seed.

    Raises:
        InputError: as `Probe` does.

    Source: arXiv:2212.13881, equation of the deep neural feature ansatz; centered: its code.

    >>> net = torch.nn.Linear(3, 2, bias=False)
    >>> with torch.no_grad():
    ...     _ = net.weight.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]))
    >>> agop(net, torch.ones(4, 3))["weight"].dense().diagonal().tolist()
    [1.0, 4.0, 0.0]
    """
    found = {}
    with Probe(net, data, outputs) as probe:
        chosen = probe.choose(layers)
        for measured in measure(probe, chosen, grouped=False, batch_size=batch_size, probes=probes, seed=seed):
            S = measured.centered if centered else measured.second
            found[measured.layer.name] = S.under(Weight(measured.layer.weight.clone()))
    return found
