"""Whether a layer's gradients are rounding: a few rows are measured in the network's dtype and again in float64.

Where gradients cancel (a softmax before a mean, a norm over equal entries), all that float32 leaves of them may be
rounding, whose trace and cosine look like any other. The same rows in float64 show it.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from nfa.common.budget import GIB
from nfa.common.errors import InputError
from nfa.common.shown import shown
from nfa.data.inputs import Inputs, count
from nfa.data.samples import GROUPS, ArraySamples, Batch
from nfa.features.factored import FactoredMatrix
from nfa.features.rows_matrix import RowsMatrix
from nfa.features.similarity import cosine
from nfa.features.weight import Weight
from nfa.network.examinable import copied
from nfa.probe import Layer, Probe, within_blocks
from nfa.probe.layers import CUT_OFF
from nfa.probe.signs import Signs

REMEASURED_ROWS = 32
"""About this many rows are measured twice, of two samples at least."""

OUTPUTS = 16
"""At most this many outputs are swept one by one; more are replaced by as many random sums."""

COPY_BUDGET = GIB
"""The most bytes that the network's copy in float64 takes."""

REASON = 200
"""A note repeats at most this many characters of a network's own error."""

FLOAT64_NOISE = (torch.finfo(torch.float64).eps / torch.finfo(torch.float32).eps) ** 2
"""How much smaller a trace of rounding is in float64 than in float32."""

ORDERS = 1e3
"""A trace of float64 within three orders of magnitude of rounding's is taken for rounding."""

LEAST = 0.01
"""Rows whose mean trace is a smaller share of that of all rows do not speak for them."""


@dataclass(frozen=True, eq=False)
class Rounding:
    """Delta of one layer on a few rows, from the network as it is and from a copy in the other precision.

    Args:
        weight: W, k x d.
        delta: Of all rows and outputs, in the network's own dtype ((rows x outputs) x k, float64).
        delta_again: The same rows and outputs in float64; for a float64 network in float32.
        rows: Rows.
        groups: Diagonal blocks of W, and of S.
    """

    weight: Tensor
    delta: Tensor
    delta_again: Tensor
    rows: int
    groups: int = 1

    @property
    def S(self) -> Tensor:
        """Mean over rows of delta'delta in the network's own dtype (k x k, float64)."""
        return within_blocks(self.delta.T @ self.delta / self.rows, self.groups)

    @property
    def S_again(self) -> Tensor:
        """The same in the other precision."""
        return within_blocks(self.delta_again.T @ self.delta_again / self.rows, self.groups)

    def cosines(self, weight: Weight) -> tuple[float, float]:
        """Return the cosine of NFM and AGOP on these rows, by either S."""
        return self._cosine(weight, self.delta), self._cosine(weight, self.delta_again)

    def _cosine(self, weight: Weight, delta: Tensor) -> float:
        nfm = FactoredMatrix(weight)
        if self.groups == 1 and len(delta) < weight.k:
            return cosine(RowsMatrix(weight, delta), nfm)
        return cosine(FactoredMatrix(weight, within_blocks(delta.T @ delta, self.groups)), nfm)

    @cached_property
    def error(self) -> float:
        """The error of the AGOP's trace, as a share of the trace; 1 or more where nothing of it is known."""
        trace, again = self._traces
        if not (trace > 0 and again > 0):
            return 0.0 if trace == again else 1.0
        if self.weight.dtype == torch.float64:
            return ORDERS * FLOAT64_NOISE * abs(trace - again) / trace
        return abs(trace - again) / min(trace, again)

    def speaks_for(self, trace: float) -> bool:
        """Return whether these rows have a gradient worth naming beside a mean trace over all rows.

        Rows that saturate a sigmoid, say, have none, and do not tell how precise the gradients of others are.
        """
        return max(self._traces) / self.rows >= LEAST * trace

    @cached_property
    def _traces(self) -> tuple[float, float]:
        """Sum over rows of |delta W|^2, in either precision."""
        W = self.weight.double().cpu()
        own, again = (float((delta @ W).square().sum()) for delta in (self.delta, self.delta_again))
        return own, again


@dataclass(frozen=True)
class Unchecked:
    """A layer that was not measured in another precision.

    Args:
        reason: Why, in words.
        unreached: Whether because none of the rows that were measured again is the layer's; others may be.
    """

    reason: str
    unreached: bool = False


def first_rows(probe: Probe, rows: int = REMEASURED_ROWS) -> Inputs:
    """Return the first samples, two at least, with about as many rows at the layer that has the most."""
    return probe.samples.first(max(2, rows // probe.rows_per_sample))


def remeasured(probe: Probe, layers: list[Layer], x: Inputs) -> dict[str, Rounding | Unchecked]:
    """Measure a few rows of layers again in float64, on a copy of the network.

    Args:
        probe: An entered probe; its network is left as it is.
        layers: Layers of `probe.layers`.
        x: The samples whose rows are measured, two at least.

    Returns:
        By name; `Unchecked` where the network is too large, cannot be copied or does not run in another precision (it
        casts on its own, say), and for layers that the copy does not have or that none of these rows reaches.

    Raises:
        InputError: the network itself cannot be measured on these rows.
    """
    net = probe.net
    other = torch.float32 if probe.forward.dtype == torch.float64 else torch.float64
    called = str(other).removeprefix("torch.")
    if sum(tensor.numel() for tensor in (*net.parameters(), *net.buffers())) * other.itemsize > COPY_BUDGET:
        return _none(layers, f"a copy in {called} takes over {COPY_BUDGET >> 30} GiB")
    try:
        twin_net = copied(net).to(other)
    except Exception as error:  # a module's own __deepcopy__ may raise anything
        why = shown(str(error) or type(error).__name__, REASON)
        return _none(layers, f"the network cannot be copied to {called} ({why})")
    wanted = frozenset(layer.name for layer in layers)
    try:
        with Probe(probe.forward.of(twin_net), ArraySamples(x, None), probe.outputs, probe.groups) as twin:
            # A network that keeps weights as plain attributes may still compute with the old ones.
            names = wanted & {each.name for each in twin.layers if each.weight.dtype == other}
            again = _deltas(twin, names, x)
            cut_off = twin.cut_off & wanted
    except InputError as error:
        return _none(layers, f"the network does not run in {called} ({error})")
    own = _deltas(probe, wanted, x)
    # In half precision, rounding may hide that outputs depend on a layer that no gradient reaches.
    for name in cut_off:
        if name in own and not bool(own[name][0].any()):
            probe.leave_out(name, CUT_OFF)
    found: dict[str, Rounding | Unchecked] = {}
    for layer in layers:
        name = layer.name
        if name not in own:
            found[name] = Unchecked(f"none of the {count(x)} samples measured again reaches this layer", unreached=True)
        elif name not in again:
            found[name] = Unchecked(f"a copy in {called} does not have this layer")
        else:
            found[name] = Rounding(layer.weight, own[name][0], again[name][0], own[name][1], layer.groups)
    return found


def random_sums(n_outputs: int) -> Signs | None:
    """Return signs for `OUTPUTS` random sums of outputs, whose mean square is unbiased; None where outputs are few."""
    return None if n_outputs <= OUTPUTS else Signs(0, OUTPUTS, n_outputs)


def _none(layers: list[Layer], reason: str) -> dict[str, Rounding | Unchecked]:
    return {layer.name: Unchecked(reason) for layer in layers}


def _deltas(probe: Probe, names: frozenset[str], x: Inputs) -> dict[str, tuple[Tensor, int]]:
    """Return delta for outputs, or random sums of them over the root of their number, in float64, and the rows."""
    # Sorted by group, as sweeps need them; which sample has which number does not matter.
    numbers = (torch.arange(count(x), device="cpu") % GROUPS).sort().values
    signs = random_sums(probe.n_outputs)
    share = 1.0 if signs is None else OUTPUTS**-0.5
    found: dict[str, list[Tensor]] = {}
    rows: dict[str, int] = {}
    for sweep in probe.sweep(Batch(x, None, numbers), names, signs):
        for name, delta in sweep.deltas:
            found.setdefault(name, []).append(share * delta.flatten(0, 1).double().cpu())
            rows[name] = rows.get(name, 0) + (len(found[name][-1]) if sweep.column == 0 else 0)
    return {name: (torch.cat(parts), rows[name]) for name, parts in found.items() if rows[name]}
