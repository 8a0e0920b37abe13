"""How certain a cosine is: over samples by an infinitesimal jackknife, over random probes by their two halves."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nfa.features.accumulator import Accumulator
from nfa.features.factored import FactoredMatrix
from nfa.features.measuring import Measured
from nfa.features.rows_matrix import RowsMatrix
from nfa.features.similarity import cosine_of
from nfa.features.weight import product

LEVEL = 0.95
"""The interval's coverage."""

QUANTILES = (
    12.7062047362,
    4.3026527297,
    3.1824463053,
    2.7764451052,
    2.5705818356,
    2.4469118511,
    2.3646242516,
    2.3060041352,
    2.2621571628,
)
"""Student's t at (1 + LEVEL) / 2 with 1, 2, ..., 9 degrees of freedom."""


@dataclass(frozen=True)
class GroupTraces:
    """Traces by group from which the interval of a cosine <N, A> / (|N| |A|), A = sum A_g, is computed; all float64.

    Args:
        square: |N|^2.
        inner: <N, A_g>, shape (groups,).
        cross: <A, A_g>.
        rows: Rows in each group; every group has some.
        differences: For each group <N, D>, <A, D> with D the difference of the means over the even and the
            odd probes (groups x 2), or None without two probes.
        probes: Random probes, or None.
    """

    square: float
    inner: Tensor
    cross: Tensor
    rows: Tensor
    differences: Tensor | None = None
    probes: int | None = None


@dataclass(frozen=True)
class LayerTraces:
    """A layer's traces by group: of NFM and AGOP, and of C = WW' and S.

    Args:
        cosine: Of NFM and AGOP, as inner products in d x d.
        alignment: Of C and S.
    """

    cosine: GroupTraces
    alignment: GroupTraces


def group_traces(measured: Measured, nfm: FactoredMatrix, agop: FactoredMatrix) -> LayerTraces:
    """Return the traces of one layer by group, from <M, W'S_gW> = <WMW', S_g>: elementwise sums in k x k."""
    weight, sums = nfm.weight, measured.sums
    full = sums.rows > 0
    if isinstance(agop, RowsMatrix):
        found = _by_rows(sums, agop)
    else:
        S = agop._S.to(weight.W.dtype)
        # As shares of the whole, so that gradients may be of any size.
        share = weight.unit / agop.scale * weight.unit / sums.draws
        found = sums.inner([nfm.seen, agop.seen, weight.C, S], share)
    by_half = found[full]  # groups x halves x matrices
    of_N, of_A, of_C, of_S = by_half.sum(1).T
    rows = sums.rows[full].double()
    of_cosine = GroupTraces(nfm.relative_square, of_N, of_A, rows)
    if len(sums.probes) == 2:
        even, odd = (by_half[:, half, :2] / probes for half, probes in enumerate(sums.probes))
        of_cosine = replace(of_cosine, differences=even - odd, probes=measured.probes)
    return LayerTraces(of_cosine, GroupTraces(weight.gram_square, of_C, of_S, rows))


def _by_rows(sums: Accumulator, agop: RowsMatrix) -> Tensor:
    """Return what `Accumulator.inner` does of NFM, AGOP, C and S, from the rows themselves.

    The rows of `agop` are those of the centered S and, below them, the mean for each output: row i of output o is
    D_i + mean_o / sqrt(n). With G its gradient, <NFM, G'G> = |GW'|^2, and <AGOP, G'G> is the sum of squares of G's
    products with all rows.
    """
    kept = sums.kept
    assert kept is not None
    n, root = len(kept.rows), 1 / math.sqrt(sums.draws)

    def whole(results: Tensor) -> Tensor:
        """Return results of the rows of delta, of which they are linear."""
        return results[:n] + results[n:][kept.outputs] * root

    unit = agop.G_unit
    gram = agop.weight.gram
    G = whole(agop.weight.W)
    of_N = whole(agop.cross).square() / unit**2
    of_A = G @ gram * G if agop.d < len(agop.G) else whole(gram).square()
    of_C = (G * unit).square()
    of_S = whole(product(agop.rows, agop.rows)).square()
    by_row = torch.stack([terms.sum(1, dtype=torch.float64) for terms in (of_N, of_A, of_C, of_S)], 1)
    by_group: Tensor = torch.zeros(sums.groups, 4, dtype=torch.float64, device="cpu").index_add_(
        0, kept.groups, by_row.cpu()
    )
    return by_group[:, None]


def interval(traces: GroupTraces) -> tuple[float, float]:
    """Return the 95 % interval of a cosine <N, A> / (|N| |A|) over samples; NaN with fewer than two groups.

    An infinitesimal jackknife over groups: the delete-a-group jackknife to first order in the mean. With theta over
    all n rows, n_g of them in group g, and h = n / n_g, the derivative of theta by the group's weight is
    u_g = theta (<N, A_g> / <N, A> - <A, A_g> / |A|^2). Without the group theta is theta - u_g h / (h - 1), and the
    pseudo-value is theta + h u_g. The u_g add up to 0, so that theta is the centre. The variance is the mean of
    (h u_g)^2 / (h - 1), the quantile Student's t with G - 1 degrees of freedom. Clipped to [-1, 1].

    Source: Busing, Meijer, van der Leeden 1999, for groups of unequal size; Jaeckel 1972, for the derivative.
    """
    groups, square = len(traces.rows), float(traces.cross.sum())
    theta = cosine_of(float(traces.inner.sum()), traces.square, square)
    if groups < 2 or math.isnan(theta):
        return math.nan, math.nan
    norms = math.sqrt(traces.square) * math.sqrt(square)
    u = traces.inner / norms - theta * traces.cross / square
    h = traces.rows.sum() / traces.rows
    variance = float(((h * u) ** 2 / (h - 1)).mean())
    reach = QUANTILES[groups - 2] * math.sqrt(variance)
    return max(-1.0, theta - reach), min(1.0, theta + reach)


def probe_error(traces: GroupTraces) -> float:
    """Return the standard error of cosine(NFM, AGOP) over the random probes alone; NaN with fewer than two.

    The signs of different groups are independent, and so are those of even and odd probes. So the difference of the
    means of the two halves shows the noise in each group's S. Its effect on the cosine is taken to first order:
    d cos = cos (d<N, A> / <N, A> - d|A|^2 / (2 |A|^2)).
    """
    inner, square = float(traces.inner.sum()), float(traces.cross.sum())
    theta = cosine_of(inner, traces.square, square)
    if traces.differences is None or traces.probes is None or math.isnan(theta):
        return math.nan
    even, odd = (traces.probes + 1) // 2, traces.probes // 2
    changes = traces.differences[:, 0] / inner - traces.differences[:, 1] / square
    # With variance v for one probe, the difference of the means has v (1/even + 1/odd), the sum of
    # all probes v (even + odd): even * odd is the ratio.
    return abs(theta) * math.sqrt(even * odd * float((changes**2).sum()))
