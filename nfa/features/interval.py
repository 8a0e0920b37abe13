"""How certain a cosine is: over samples by a jackknife, over random probes by their two halves."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nfa.features.factored import FactoredMatrix, sum_of_products
from nfa.features.measuring import Measured
from nfa.features.similarity import cosine_of

LEVEL = 0.95
"""The interval's coverage."""


@dataclass(frozen=True)
class GroupTraces:
    """Traces by group from which the interval of a cosine <N, A> / (|N| |A|), A = sum A_g, is computed; all float64.

    Args:
        square: |N|^2.
        inner: <N, A_g>, shape (groups,).
        cross: <A, A_g>.
        own: <A_g, A_g>.
        rows: Rows in each group; every group has some.
        differences: For each group <N, D>, <A, D> with D the difference of the means over the even and the
            odd probes (groups x 2), or None without two probes.
        probes: Random probes, or None.
    """

    square: float
    inner: Tensor
    cross: Tensor
    own: Tensor
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
    """Return the traces of one layer by group: tr(M1 M2) = tr(T1 T2), T small (see `Weight.compact`)."""
    weight = nfm.weight
    assert agop._S is not None
    N, A = (matrix.compact.T.contiguous() for matrix in (nfm, agop))
    C, S = weight.C, agop._S.to(weight.W.dtype)
    traces, aligned, differences = [], [], []
    sums = measured.sums
    full = [group for group, rows in enumerate(sums.rows.tolist()) if rows > 0]
    for group in full:
        # As shares of the whole, so that gradients may be of any size.
        share = weight.unit / agop.scale * weight.unit / sums.draws
        halves = [total.mul_(share).to(S.dtype) for total in sums.group(group)]
        parts = [weight.compact(half) for half in halves]
        S_g, T_g = halves[0], parts[0]
        if len(parts) == 2:
            S_g, T_g = halves[0] + halves[1], parts[0] + parts[1]
            D = parts[0] / sums.probes[0] - parts[1] / sums.probes[1]
            differences.append((sum_of_products(N, D), sum_of_products(A, D)))
        traces.append(
            (sum_of_products(N, T_g), sum_of_products(A, T_g), sum_of_products(T_g.T.contiguous(), T_g)),
        )
        aligned.append((sum_of_products(C, S_g), sum_of_products(S, S_g), sum_of_products(S_g, S_g)))
    rows = sums.rows[full].double()
    of_cosine = GroupTraces(sum_of_products(N, nfm.compact), *_columns(traces), rows)
    if differences:
        pairs = torch.tensor(differences, dtype=torch.float64)
        of_cosine = replace(of_cosine, differences=pairs, probes=measured.probes)
    return LayerTraces(of_cosine, GroupTraces(sum_of_products(C, C), *_columns(aligned), rows))


def _columns(traces: list[tuple[float, float, float]]) -> tuple[Tensor, Tensor, Tensor]:
    """Return inner, cross and own of all groups."""
    inner, cross, own = torch.tensor(traces, dtype=torch.float64).reshape(-1, 3).T
    return inner, cross, own


def interval(traces: GroupTraces) -> tuple[float, float]:
    """Return the 95 % interval of a cosine <N, A> / (|N| |A|) over samples; NaN with fewer than two groups.

    A delete-a-group jackknife: with theta over all n rows and theta_g without the n_g of group g,
    h = n / n_g, the pseudo-values are h theta - (h - 1) theta_g. Their bias-corrected centre is
    G theta - sum (1 - 1/h) theta_g, and the variance the mean of (pseudo-value - centre)^2 / (h - 1);
    the quantile is Student's t with G - 1 degrees of freedom. Clipped to [-1, 1].

    Source: Busing, Meijer, van der Leeden 1999, for groups of unequal size; with equal ones the
    textbook's jackknife.
    """
    from scipy.special import stdtrit

    groups, square = len(traces.rows), float(traces.cross.sum())
    theta = cosine_of(float(traces.inner.sum()), traces.square, square)
    if groups < 2 or math.isnan(theta):
        return math.nan, math.nan
    inner = traces.inner.sum() - traces.inner
    squares = square - 2 * traces.cross + traces.own
    without = torch.tensor(
        [cosine_of(float(a), traces.square, float(b)) for a, b in zip(inner, squares, strict=True)],
        dtype=torch.float64,
    )
    h = traces.rows.sum() / traces.rows
    pseudo = h * theta - (h - 1) * without
    centre = float(groups * theta - ((1 - 1 / h) * without).sum())
    variance = float(((pseudo - centre) ** 2 / (h - 1)).mean())
    reach = float(stdtrit(groups - 1, 0.5 + LEVEL / 2)) * math.sqrt(variance)
    return max(-1.0, min(1.0, centre - reach)), max(-1.0, min(1.0, centre + reach))


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
