"""The numbers that the authors' scripts print: those of a network whose layer has the weight W - W0, probed anew.

They are not the similarity of the trained network's NFM and AGOP. The layer's weight is replaced by dW = W - W0 before
gradients are taken, so that J = delta dW with delta of that network, and dW'dW takes the place of the NFM.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nfa.common.scale import unit_of
from nfa.features.measuring import Measured, measure
from nfa.features.polar import random_directions
from nfa.features.similarity import UNDEFINED, cosine_of, pearson_of
from nfa.features.weight import place_of
from nfa.probe import BATCH_SIZE, Layer, Probe, block_diagonal

PUBLISHED_DRAWS = 20
"""Random rotations of dW's left vectors behind the null of the published numbers."""

NUMBERS = ("published_cosine", "published_pearson_sqrt", "published_pearson_sqrt_centered")
"""The published numbers; each has a null, NAME_null (mean of the draws), and NAME_null_high (the largest)."""


def published_columns(
    probe: Probe, layer: Layer, W_0: Tensor, *, batch_size: int = BATCH_SIZE, probes: int | None = None, seed: int = 0
) -> dict[str, float]:
    """Return a layer's published numbers, and the same with dW's left vectors turned at random.

    With dW = W - W0 as the layer's own weight, N = dW'dW and A the AGOP of that network at this layer:
    published_cosine = cos(N, A) (first three versions of the scripts), published_pearson_sqrt = corr(N, A^(1/2)) and
    published_pearson_sqrt_centered = corr(N, A_c^(1/2)) (later code), corr over all d x d entries and A_c with J minus
    its mean over rows. The null: O dW as the layer's own weight, O Haar on O(k), which has the same N; the network is
    probed anew for each of `PUBLISHED_DRAWS` draws. In float64; roots take eigenvalues below 0 as 0.

    Args:
        probe: An entered probe of the trained network.
        layer: One of its layers.
        W_0: The layer's weight before training, k x d.
        batch_size: Samples at a time.
        probes: Random probes instead of one sweep per output.
        seed: Of the draws and the probes.

    Returns:
        Three numbers for each name in `NUMBERS`; NaN where dW is 0, or a matrix is constant.

    Source: the scripts that accompany arXiv:2212.13881.
    """
    place = place_of(layer.weight)
    dW = layer.weight.detach().to(place, torch.float64) - W_0.detach().to(place, torch.float64)
    change = _Change.of(dW)
    generator = torch.Generator().manual_seed(seed)
    found: list[tuple[float, float, float]] = []
    for O in (None, *(_rotation(len(dW), layer.groups, generator).to(place) for _ in range(PUBLISHED_DRAWS))):  # noqa: E741 (the paper's letter)
        own = (dW if O is None else O @ dW).to(layer.weight)
        with probe.replacing({layer.name: own}):
            (measured,) = measure(
                probe,
                [layer],
                grouped=False,
                batch_size=batch_size,
                probes=probes,
                seed=seed,
                label="published numbers",
            )
        found.append(change.numbers(measured, O))
    columns: dict[str, float] = {}
    for name, value, *draws in zip(NUMBERS, *found, strict=True):
        drawn = torch.tensor(draws, dtype=torch.float64, device="cpu")
        columns |= {name: value, f"{name}_null": float(drawn.mean()), f"{name}_null_high": float(drawn.max())}
    return columns


def _rotation(k: int, groups: int, generator: torch.Generator) -> Tensor:
    """Return O, Haar on O(k); for a convolution in groups, Haar within each of W's diagonal blocks."""
    each = k // groups
    return block_diagonal(torch.stack([random_directions(each, each, generator) for _ in range(groups)]))


@dataclass(frozen=True)
class _Change:
    """dW' = QR: in the coordinates of Q, dW'dW is RR' and the AGOP of S is RSR'; all float64.

    Args:
        R: r x k, of dW divided by a power of two.
        N: RR'.
        sums: Q'1, so that the sum of all d x d entries of QMQ' is sums'M sums.
        d: Columns of dW.
    """

    R: Tensor
    N: Tensor
    sums: Tensor
    d: int

    @classmethod
    def of(cls, dW: Tensor) -> "_Change":
        Q, R = torch.linalg.qr(dW.T / unit_of(dW))
        return cls(R, R @ R.T, Q.sum(0), len(Q))

    def numbers(self, measured: Measured, O: Tensor | None) -> tuple[float, float, float]:  # noqa: E741
        """Return the published numbers of the network whose own weight is O dW, as it was measured."""
        R = self.R if O is None else self.R @ O.T
        unit = unit_of(measured.S)
        A, A_c = (R @ (S / unit) @ R.T for S in (measured.S, measured.S_centered))
        centered = math.nan if measured.trivial else self._pearson(_root(A_c))
        return cosine_of(_inner(self.N, A), _inner(self.N, self.N), _inner(A, A)), self._pearson(_root(A)), centered

    def _pearson(self, M: Tensor) -> float:
        N_square, M_square = _inner(self.N, self.N), _inner(M, M)
        N_total, M_total = (float(self.sums @ each @ self.sums) for each in (self.N, M))
        undefined = UNDEFINED[torch.float64]
        return pearson_of(_inner(self.N, M), N_square, M_square, N_total, M_total, self.d**2, undefined)


def _root(A: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(A)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root


def _inner(A: Tensor, B: Tensor) -> float:
    return float((A * B).sum())
