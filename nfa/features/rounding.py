"""What of a layer's gradients is rounding: a few rows measured once in the network's dtype and once in float64.

Where gradients cancel (a softmax before a mean, a norm over equal entries), what float32 leaves of them may be all
rounding, with a trace and a cosine like any other. The same rows in float64 show it.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nfa.common.errors import InputError
from nfa.data.inputs import Inputs, count
from nfa.data.samples import GROUPS, ArraySamples, Batch
from nfa.features.factored import FactoredMatrix
from nfa.features.similarity import cosine
from nfa.probe import Layer, Probe
from nfa.probe.signs import Signs

ROWS = 32
"""Rows that are measured twice, about; two samples at least."""

OUTPUTS = 16
"""Outputs that are swept one by one; of more, so many random sums stand for them."""

COPY_BUDGET = 1 << 30
"""Bytes that the network's copy in float64 may take."""

NOISE = (torch.finfo(torch.float64).eps / torch.finfo(torch.float32).eps) ** 2
"""How much smaller a trace of rounding is in float64 than in float32."""

ORDERS = 1e3
"""A trace of float64 within three orders of magnitude of rounding's is taken for rounding."""


@dataclass(frozen=True, eq=False)
class Rounding:
    """S of one layer on a few rows, from the network as it is and from a copy in the other precision.

    Args:
        weight: W, k x d.
        S: Mean of delta'delta in the network's own dtype (k x k, float64).
        S_again: The same rows and outputs in float64; for a float64 network in float32.
    """

    weight: Tensor
    S: Tensor
    S_again: Tensor

    @property
    def cosines(self) -> tuple[float, float]:
        """Cosine of NFM and AGOP on these rows, by either S."""
        nfm = FactoredMatrix(self.weight)
        return cosine(nfm, FactoredMatrix(self.weight, self.S)), cosine(nfm, FactoredMatrix(self.weight, self.S_again))

    @property
    def error(self) -> float:
        """The error of the AGOP's trace, as a share of the trace; 1 or more where nothing of it is known."""
        W = self.weight.double().cpu()
        trace, again = (float(((S @ W) * W).sum()) for S in (self.S, self.S_again))
        if not (trace > 0 and again > 0):
            return 0.0 if trace == again else 1.0
        if self.weight.dtype == torch.float64:
            return ORDERS * NOISE * abs(trace - again) / trace
        return abs(trace - again) / min(trace, again)


def remeasured(probe: Probe, layers: list[Layer]) -> dict[str, Rounding]:
    """Measure about 32 rows of layers again in float64, on a copy of the network.

    Args:
        probe: An entered probe; its network is left as it is.
        layers: Layers of `probe.layers`.

    Returns:
        By name; nothing of layers that the copy does not have, and nothing at all where the network cannot be copied
        or does not run in another precision (it casts on its own, holds what cannot be copied, or is too large).
    """
    net = probe.net
    other = torch.float32 if probe.forward.dtype == torch.float64 else torch.float64
    if sum(tensor.numel() for tensor in (*net.parameters(), *net.buffers())) * other.itemsize > COPY_BUDGET:
        return {}
    try:
        again = _in(net, other)
    except Exception:
        return {}
    x = probe.samples.first(max(2, ROWS // probe.rows_per_sample))
    try:
        with Probe(probe.forward.of(again), ArraySamples(x, None), probe.outputs) as twin:
            # A network that holds its weights in ways of its own may compute with the old ones.
            names = {layer.name for layer in layers} & {each.name for each in twin.layers if each.weight.dtype == other}
            S, S_again = _sums(probe, frozenset(names), x), _sums(twin, frozenset(names), x)
    except InputError:
        return {}
    return {
        layer.name: Rounding(layer.weight, S[layer.name], S_again[layer.name])
        for layer in layers
        if layer.name in S and layer.name in S_again
    }


def _in(net: nn.Module, dtype: torch.dtype) -> nn.Module:
    with torch.no_grad():
        return copy.deepcopy(net).to(dtype)


def _sums(probe: Probe, names: frozenset[str], x: Inputs) -> dict[str, Tensor]:
    """Return the mean over rows of delta'delta in float64, for outputs or random sums of them, by layer."""
    # Sorted by group, as sweeps want them; which sample has which number plays no part.
    numbers = (torch.arange(count(x), device="cpu") % GROUPS).sort().values
    signs = None if probe.n_outputs <= OUTPUTS else Signs(0, OUTPUTS, probe.n_outputs)
    sums: dict[str, Tensor] = {}
    rows: dict[str, int] = {}
    for sweep in probe.sweep(Batch(x, None, numbers), names, signs):
        for name, delta in sweep.deltas:
            D = delta.detach().flatten(0, 1).double().cpu()
            sums[name] = D.T @ D + sums.get(name, 0)
            rows[name] = rows.get(name, 0) + (len(D) if sweep.column == 0 else 0)
    return {name: total / max(1, rows[name]) for name, total in sums.items()}
