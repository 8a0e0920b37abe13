"""Similarities of an NFM to every power of an AGOP, from one eigendecomposition."""

import math
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from nfa.features.factored import FactoredMatrix
from nfa.features.polar import random_directions
from nfa.features.similarity import UNDEFINED, cosine_of, pearson_of

ALPHA_GRID = tuple(round(0.05 * step, 2) for step in range(1, 41))
"""The grid of `PowerScan.best`: 0.05, 0.10, ..., 2."""

SCAN_DRAWS = 5
"""Random rotations of S behind the null of a scan."""


class PowerScan:
    """NFM = W'W against AGOP^alpha = W'SW to the power alpha, for any alpha.

    With AGOP = sum lam u u' over lam above the cutoff: <NFM, AGOP^alpha> = sum lam^alpha u'(NFM)u and
    |AGOP^alpha|^2 = sum lam^(2 alpha). In the coordinates of `Weight.basis`, u'(NFM)u = |Kv|^2.

    Args:
        nfm: W'W.
        agop: W'SW over the same `Weight`.

    >>> scan = PowerScan(FactoredMatrix(torch.eye(2)), FactoredMatrix(torch.eye(2), torch.eye(2)))
    >>> round(scan.cosine(0.5), 12)
    1.0
    """

    def __init__(self, nfm: FactoredMatrix, agop: FactoredMatrix) -> None:
        if not agop.is_over(nfm.weight):
            raise ValueError("a power scan compares an NFM and an AGOP of one weight")
        self.nfm, self.agop = nfm, agop
        self.nfm_square = nfm.relative_square

    @cached_property
    def _spectrum(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues as shares of the largest, and u'(NFM)u for each."""
        values, _ = self.agop.eigen
        quadratic = self.agop.images.square().sum(0, dtype=torch.float64)
        return (values / values[:1]).cpu(), quadratic.cpu()  # short, and used by many numbers one by one

    def _sums(self, alpha: float) -> tuple[float, float, Tensor]:
        shares, quadratic = self._spectrum
        powers = shares**alpha
        return float(powers @ quadratic), float(powers @ powers), powers

    def cosine(self, alpha: float) -> float:
        """Return the cosine of NFM and AGOP^alpha; NaN where one of them is 0."""
        inner, square, _ = self._sums(alpha)
        return cosine_of(inner, self.nfm_square, square)

    def pearson(self, alpha: float) -> float:
        """Return the correlation of the entries of NFM and AGOP^alpha; NaN where one of them is constant."""
        inner, square, powers = self._sums(alpha)
        total, nfm_total = float(powers @ self.agop.sums.cpu() ** 2), self.nfm.relative_total()
        undefined = UNDEFINED[self.nfm.weight.W.dtype]
        return pearson_of(inner, self.nfm_square, square, nfm_total, total, self.nfm.d**2, undefined)

    def best(self) -> tuple[float, float]:
        """Return the first alpha of `ALPHA_GRID` with the largest cosine, and that cosine; NaN where undefined.

        Cosines that agree to 1e-9 count as equal, so that rounding does not choose among them.
        """
        cosines = [self.cosine(alpha) for alpha in ALPHA_GRID]
        if any(math.isnan(value) for value in cosines):
            return math.nan, math.nan
        first = next(i for i, value in enumerate(cosines) if value >= max(cosines) - 1e-9)
        return ALPHA_GRID[first], cosines[first]


def rotated_scan(
    nfm: FactoredMatrix, agop: FactoredMatrix, alphas: Sequence[float], draws: int = SCAN_DRAWS, seed: int = 0
) -> list[float]:
    """Return the null of a scan: the cosine of NFM and (W'OSO'W)^alpha for each alpha, O Haar on O(k).

    It keeps both spectra, and destroys the alignment of W's left vectors with the gradients. It is the mean of draws
    (NaN without any), since there is no formula but for alpha = 1, where it estimates `rotated_cosine`.

    Args:
        nfm: W'W.
        agop: W'SW over the same `Weight`.
        alphas: Powers above 0.
        draws: How many random rotations.
        seed: Of the rotations.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.full((draws, len(alphas)), math.nan, dtype=torch.float64, device="cpu")
    for row in drawn:
        turned = PowerScan(nfm, agop.turned(random_directions(agop.k, agop.k, generator)))
        row.copy_(torch.tensor([turned.cosine(alpha) for alpha in alphas], dtype=torch.float64, device="cpu"))
    return drawn.mean(0).tolist()
