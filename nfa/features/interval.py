"""How sure a cosine is: over samples by a jackknife, over random probes by their halves."""

import math

import torch
from torch import Tensor

from nfa.features.accumulator import sum_float64
from nfa.features.factored import trace_of_product
from nfa.features.similarity import cosine_of

LEVEL = 0.95
"""The interval's coverage."""


class GroupedCosine:
    """cosine(NFM, AGOP) as a function of which groups of samples are left out.

    Everything follows from traces of products of small matrices T = `Weight.compact(S)`, one for each
    group: T_N of the NFM, T_g of the sum over group g's rows.

    Args:
        compact_nfm: T_N.
        compact_groups: T_g, shape (groups, halves, m, m).
        rows: Rows in each group.
        probes: Probes behind the two halves (even and odd ones), or None.
    """

    def __init__(self, compact_nfm: Tensor, compact_groups: Tensor, rows: Tensor, probes: int | None) -> None:
        full = rows > 0
        self.T_N = compact_nfm
        self.by_half = compact_groups[full]
        self.T = self.by_half[:, 0] if self.by_half.shape[1] == 1 else self.by_half.sum(1)
        self.total = sum_float64(self.T)
        self.rows = rows[full].double()
        self.probes = probes
        self.nfm_square = trace_of_product(self.T_N, self.T_N)
        self.inner = torch.tensor([trace_of_product(self.T_N, T) for T in self.T], dtype=torch.float64)
        self.cross = torch.tensor([trace_of_product(self.total, T) for T in self.T], dtype=torch.float64)
        self.square = float(self.cross.sum())

    def cosine(self) -> float:
        """Return the cosine over all rows."""
        return cosine_of(float(self.inner.sum()), self.nfm_square, self.square)

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the cosine over samples; NaN with fewer than two groups.

        A delete-a-group jackknife: with theta over all n rows and theta_g without the n_g of group g,
        h = n / n_g, the pseudo-values are h theta - (h - 1) theta_g. Their bias-corrected centre is
        G theta - sum (1 - 1/h) theta_g, and the variance the mean of (pseudo-value - centre)^2 / (h - 1);
        the quantile is Student's t with G - 1 degrees of freedom. Clipped to [-1, 1].

        Source: Busing, Meijer, van der Leeden 1999, for groups of unequal size; with equal ones the
        textbook's jackknife.
        """
        from scipy.special import stdtrit

        groups = len(self.rows)
        theta = self.cosine()
        if groups < 2 or math.isnan(theta):
            return math.nan, math.nan
        own = torch.tensor([trace_of_product(T, T) for T in self.T], dtype=torch.float64)
        inner = self.inner.sum() - self.inner
        square = self.square - 2 * self.cross + own
        without = torch.tensor(
            [cosine_of(float(a), self.nfm_square, float(b)) for a, b in zip(inner, square, strict=True)],
            dtype=torch.float64,
        )
        h = self.rows.sum() / self.rows
        pseudo = h * theta - (h - 1) * without
        centre = float(groups * theta - ((1 - 1 / h) * without).sum())
        variance = float(((pseudo - centre) ** 2 / (h - 1)).mean())
        reach = float(stdtrit(groups - 1, 0.5 + LEVEL / 2)) * math.sqrt(variance)
        return max(-1.0, min(1.0, centre - reach)), max(-1.0, min(1.0, centre + reach))

    def probe_error(self) -> float:
        """Return the standard error of the cosine over the random probes alone; NaN with fewer than two probes.

        The signs of different groups are independent, and so are those of even and odd probes: the
        difference of the two halves' means shows the noise of each group's S. Its effect on the cosine
        is taken to first order: d cos = cos (d<N,A> / <N,A> - d|A|^2 / (2 |A|^2)).
        """
        theta = self.cosine()
        if self.probes is None or self.probes < 2 or math.isnan(theta):
            return math.nan
        even, odd = (self.probes + 1) // 2, self.probes // 2
        # With variance v for one probe, the difference of the means has v (1/even + 1/odd), the sum of
        # all probes v (even + odd): this is the ratio's root.
        share = math.sqrt(even * odd)
        variance = 0.0
        for halves in self.by_half:
            difference = halves[0] / even - halves[1] / odd
            change = trace_of_product(self.T_N, difference) / float(self.inner.sum())
            change -= trace_of_product(self.total, difference) / self.square
            variance += (theta * share * change) ** 2
        return math.sqrt(variance)
