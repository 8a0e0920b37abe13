"""Alignment: whether W's left singular vectors lie where the output's gradients are, and what chance makes of it.

NFM = W'W and AGOP = W'SW share W, so that their cosine is high for every W of low rank, whatever W has to do with S.
What the ansatz says beyond the two spectra is that C = WW' and S agree (arXiv:2402.05271). The null here is S turned at
random, OSO' with O Haar on O(k): both spectra stay, and the agreement goes.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nfa.features.weight import unit_of

ROUNDINGS = 16.0
"""A matrix whose eigenvalues spread by less than so many roundings per entry is a multiple of the identity."""


@dataclass(frozen=True)
class Alignment:
    """The cosine of C and S beside its null, S turned at random.

    Args:
        value: <C, S> / (|C| |S|), in [0, 1].
        null: Its mean over O, tr S tr C / (k |C| |S|).
        null_sd: Its standard deviation over O.
        z: (value - null) / null_sd.
        undefined: Why all of these are NaN; "" where they are not.
    """

    value: float
    null: float
    null_sd: float
    z: float
    undefined: str = ""

    @property
    def excess(self) -> float:
        """The way from the null to 1 (see `excess`)."""
        return excess(self.value, self.null)


UNDEFINED = Alignment(math.nan, math.nan, math.nan, math.nan, "not measured")
"""No alignment."""


def excess(value: float, null: float) -> float:
    """Return (value - null) / (1 - null): 0 is what the spectra give, 1 is C proportional to S; NaN for a null of 1.

    >>> excess(0.75, 0.5), excess(1.0, 1.0)
    (0.5, nan)
    """
    return (value - null) / (1 - null) if null != 1 else math.nan


def alignment(C: Tensor, S: Tensor, eps: float | None = None) -> Alignment:
    """Return the alignment of C = WW' and S with its exact mean and deviation under S -> OSO', O Haar on O(k).

    With C' = C - (tr C / k) I, S' likewise, and m = (k - 1)(k + 2) / 2 the dimension of symmetric matrices of
    trace 0: <C, OSO'> has the mean tr C tr S / k and the variance |C'|^2 |S'|^2 / m, so that z = sqrt(m) cos(C', S').
    Nothing is drawn or decomposed; k^2 operations, in float64.

    Args:
        C: Shape (k, k), symmetric and positive semidefinite.
        S: The same.
        eps: Rounding of the entries that C was made of; that of C's dtype by default.

    Returns:
        The alignment; all NaN, with the reason, where there is nothing to align: k = 1; one of the two is 0 or a
        multiple of the identity to rounding, as C is after an orthogonal initialisation; or both are so near to one
        that the null is 1 to rounding.

    Source: arXiv:2402.05271 (alignment of W's left vectors and the gradients); the moments are those of a Haar
    rotation of a symmetric matrix.

    >>> found = alignment(torch.diag(torch.tensor([3.0, 1.0])), torch.diag(torch.tensor([2.0, 1.0])))
    >>> round(found.value, 4), round(found.null, 4), round(found.z, 4)
    (0.9899, 0.8485, 1.4142)
    """
    k = len(C)
    roundings = (torch.finfo(C.dtype).eps if eps is None else eps, torch.finfo(S.dtype).eps)
    if k == 1:
        return replace(UNDEFINED, undefined="one unit: there is nothing to align")
    parts = []
    for M, name, rounding in ((C, "C = WW'", roundings[0]), (S, "S", max(roundings))):
        level, traceless = _split(M)
        square, spread = k * level**2 + _square(traceless), _square(traceless)
        if square == 0:
            return replace(UNDEFINED, undefined=f"{name} is 0: there is nothing to align")
        # k^2 entries, each off by some roundings of the diagonal's level.
        if spread <= (ROUNDINGS * rounding * k * level) ** 2:
            return replace(UNDEFINED, undefined=f"{name} is a multiple of the identity: there is nothing to align")
        parts.append((level, traceless, square, spread))
    (c, C_, C_square, C_spread), (s, S_, S_square, S_spread) = parts
    norms = math.sqrt(C_square) * math.sqrt(S_square)
    beyond = float((C_ * S_).sum()) / norms
    null_sd = math.sqrt(C_spread) * math.sqrt(S_spread) / math.sqrt((k - 1) * (k + 2) / 2) / norms
    null = k * c * s / norms
    # Turning S then changes alignment by no more than the interval over samples is rounded.
    if 1 - null <= ROUNDINGS * max(roundings):
        reason = "C = WW' and S are nearly multiples of the identity: there is nothing to align"
        return replace(UNDEFINED, undefined=reason)
    return Alignment(min(1.0, null + beyond), null, null_sd, beyond / null_sd)


def rotated_cosine(C: Tensor, S: Tensor) -> float:
    """Return what cosine(NFM, AGOP) is with S turned at random: E<N, A> / (|N| sqrt(E|A|^2)), A = W'OSO'W.

    With t1 = tr S, c1 = tr C, c2 = |C|^2, b = |S'|^2 / ((k - 1)(k + 2)) and a = (t1^2 - 2 b k) / k^2:
    E<N, A> = t1 c2 / k and E|A|^2 = (a + b) c2 + b c1^2. For C a multiple of the identity this is sqrt(r / k), r =
    (tr S)^2 / |S|^2 the effective rank of S; for a W of low rank it is near 1. It lies below the mean of draws, by less
    than 0.01 where W has many directions, by up to 0.2 where it has nearly one. NaN where C or S is 0.

    Args:
        C: WW', shape (k, k).
        S: Shape (k, k), symmetric and positive semidefinite.

    >>> round(rotated_cosine(torch.eye(4), torch.diag(torch.tensor([1.0, 0.0, 0.0, 0.0]))), 6)
    0.5
    """
    k = len(C)
    (c, C_), (s, S_) = _split(C), _split(S)
    c1, c2 = k * c, k * c**2 + _square(C_)
    b = _square(S_) / ((k - 1) * (k + 2)) if k > 1 else 0.0
    a = s**2 - 2 * b / k
    square = (a + b) * c2 + b * c1**2
    return min(1.0, s * math.sqrt(c2) / math.sqrt(square)) if square > 0 else math.nan


def _split(M: Tensor) -> tuple[float, Tensor]:
    """Return the mean eigenvalue of M, and M less that multiple of the identity, float64, in a unit of M's own."""
    traceless = M.double() / unit_of(M)
    level = float(traceless.diagonal().mean())
    traceless.diagonal().sub_(level)
    return level, traceless


def _square(M: Tensor) -> float:
    return float((M * M).sum())
