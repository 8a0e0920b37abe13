"""Alignment: whether W's left singular vectors lie where the output's gradients are, beside its null.

NFM = W'W and AGOP = W'SW share W, so that their cosine is high for every W of low rank, even if W and S are unrelated.
Beyond the two spectra, the ansatz says that C = WW' and S agree (arXiv:2402.05271). The null is S turned at random,
OSO' with O Haar on O(k): it keeps both spectra, and destroys the agreement.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nfa.common.scale import unit_of
from nfa.probe import diagonal_blocks

SPREAD_ROUNDINGS = 16.0
"""A product M (k x k) of level m is off from exact by at most this many roundings times k m, in Frobenius norm."""

ENTRY_ROUNDINGS = 4.0
"""Entries of a factor are off by at most this many of their roundings, in the root mean square (one rounding: 0.3).

C = WW' of orthogonal rows in d entries, each off by e of itself at random: C_ij is off by about e m / sqrt(d), C by
e m k / sqrt(d). S is the same of delta', with at least k rows where it is a multiple of the identity.
"""

ROWS = 64
"""Rows of a matrix that are taken to float64 at a time, so that they stay in the processor's cache."""


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


NO_ALIGNMENT = Alignment(math.nan, math.nan, math.nan, math.nan, "not measured")
"""No alignment."""


@dataclass(frozen=True, eq=False)
class Moments:
    """What the nulls need of a symmetric matrix, whose diagonal blocks are each a multiple of the identity and a rest.

    Args:
        k: The blocks are k x k.
        levels: Each block's mean eigenvalue, shape (groups,), float64, in a unit of the matrix's own.
        spreads: The rests' squared Frobenius norms, shape (groups,), in that unit squared.
        eps: The rounding of the matrix's dtype.
    """

    k: int
    levels: Tensor
    spreads: Tensor
    eps: float

    @classmethod
    def by_rows(cls, diagonal: Tensor, rows: Callable[[int, int], Tensor]) -> "Moments":
        """Return the moments of one block from its rows, some at a time.

        Args:
            diagonal: The matrix's diagonal, shape (k,), float64.
            rows: Returns rows a to b of the matrix, a tensor of their own in float64.
        """
        k, unit = len(diagonal), unit_of(diagonal)
        levels, spreads = (diagonal / unit).mean()[None], diagonal.new_zeros(1)
        for start in range(0, k, ROWS):
            part = rows(start, min(k, start + ROWS)).div_(unit)
            part.diagonal(start).sub_(levels)
            spreads += torch.linalg.vecdot(part.flatten(), part.flatten())
        return cls(k, levels, spreads, torch.finfo(diagonal.dtype).eps)

    @property
    def square(self) -> float:
        """The matrix's squared Frobenius norm, in that unit squared."""
        return float((self.k * self.levels**2 + self.spreads).sum())


@dataclass(frozen=True, eq=False)
class Split(Moments):
    """The same with the blocks themselves.

    Args:
        blocks: Shape (groups, k, k), in their own dtype and unit.
        unit: What they are divided by.
    """

    blocks: Tensor
    unit: float = 1.0

    @classmethod
    def of(cls, M: Tensor, groups: int = 1) -> "Split":
        """Return a positive semidefinite matrix (k x k) split into its blocks."""
        unit, blocks = unit_of(M.diagonal()), diagonal_blocks(M, groups)
        levels = (blocks.diagonal(dim1=1, dim2=2).double() / unit).mean(1)
        bare = cls(blocks.shape[1], levels, torch.zeros_like(levels), torch.finfo(M.dtype).eps, blocks, unit)
        return replace(bare, spreads=bare.inner(bare))

    def inner(self, other: "Split") -> Tensor:
        """Return the inner product of what both are beyond a multiple of the identity, for each block (float64)."""
        found = torch.zeros_like(self.levels)
        for start in range(0, self.k, ROWS):
            own = self._rest(start)
            others = own if other is self else other._rest(start)
            found += torch.linalg.vecdot(own.flatten(1), others.flatten(1))
        return found

    def _rest(self, start: int) -> Tensor:
        """Return a few rows of each block less the multiple of the identity (float64)."""
        rows = self.blocks[:, start : start + ROWS].to(torch.float64, copy=True)
        if self.unit != 1.0:
            rows /= self.unit
        rows.diagonal(start, dim1=1, dim2=2).sub_(self.levels[:, None])
        return rows


def excess(value: float, null: float) -> float:
    """Return (value - null) / (1 - null): 0 is what the spectra give, 1 is C proportional to S; NaN for a null of 1.

    >>> excess(0.75, 0.5), excess(1.0, 1.0)
    (0.5, nan)
    """
    return (value - null) / (1 - null) if null != 1 else math.nan


def moments_of(M: Tensor | Moments, groups: int) -> Moments:
    """Return a matrix's moments; those that are at hand come back as they are."""
    return M if isinstance(M, Moments) else Split.of(M, groups)


def alignment(
    C: Tensor | Moments,
    S: Tensor | Moments,
    eps: float | None = None,
    groups: int = 1,
    inner: float | None = None,
    d: int | None = None,
) -> Alignment:
    """Return the alignment of C = WW' and S with its exact mean and deviation under S -> OSO', O Haar on O(k).

    With C' = C - (tr C / k) I, S' likewise, and m = (k - 1)(k + 2) / 2 the dimension of symmetric matrices of
    trace 0: <C, OSO'> has the mean tr C tr S / k and the variance |C'|^2 |S'|^2 / m, so that z = sqrt(m) cos(C', S').
    Nothing is drawn or decomposed; it takes k^2 operations in float64. For a convolution in groups, O turns each
    diagonal block within itself, independently: means and variances are sums over blocks of size k / groups.

    Args:
        C: Shape (k, k), symmetric and positive semidefinite, or its moments.
        S: The same.
        eps: Rounding of the entries of W and of the gradients; that of C's dtype by default.
        groups: Diagonal blocks of both, outside of which they are 0.
        inner: <C, S> in the moments' units, where they are no `Split`.
        d: Entries of a row of W (in each group); k by default.

    Returns:
        The alignment; all NaN, with the reason, where there is nothing to align. That is so for k = 1 (in each group);
        where one of the two is 0 or, to rounding, a multiple of the identity (in each group), as C is after an
        orthogonal initialisation; and where both are so near to such a multiple that the null is 1 to rounding.

    Source: arXiv:2402.05271 (alignment of W's left vectors and the gradients); the moments are those of a Haar
    rotation of a symmetric matrix.

    >>> found = alignment(torch.diag(torch.tensor([3.0, 1.0])), torch.diag(torch.tensor([2.0, 1.0])))
    >>> round(found.value, 4), round(found.null, 4), round(found.z, 4)
    (0.9899, 0.8485, 1.4142)
    """
    C, S = moments_of(C, groups), moments_of(S, groups)
    if reason := undefined(C, S, eps, d):
        return replace(NO_ALIGNMENT, undefined=reason)
    norms = math.sqrt(C.square) * math.sqrt(S.square)
    beyond, null_sd = _beyond(C, S, inner) / norms, math.sqrt(_variance(C, S))
    null = _null(C, S)
    return Alignment(min(1.0, null + beyond), null, null_sd, beyond / null_sd)


def undefined(C: Moments, S: Moments, eps: float | None = None, d: int | None = None) -> str:
    """Return why there is nothing to align, in words; "" where there is. See `alignment`."""
    k, where = C.k, " in each group" if len(C.levels) > 1 else ""
    entries = ENTRY_ROUNDINGS * (C.eps if eps is None else eps)
    products = SPREAD_ROUNDINGS * max(C.eps, S.eps)
    if k == 1:
        return f"one unit{where}: there is nothing to align"
    for M, name, terms in ((C, "C = WW'", k if d is None else d), (S, "S", k)):
        if M.square == 0:
            return f"{name} is 0: there is nothing to align"
        if bool((M.spreads <= ((products + entries / math.sqrt(terms)) * k * M.levels) ** 2).all()):
            return f"{name} is a multiple of the identity{where}: there is nothing to align"
    if _variance(C, S) == 0:
        return "C = WW' or S is a multiple of the identity in each group: there is nothing to align"
    # Turning S then changes alignment by no more than its rounding.
    if 1 - _null(C, S) <= products:
        return "C = WW' and S are nearly multiples of the identity: there is nothing to align"
    return ""


def _null(C: Moments, S: Moments) -> float:
    """Return the mean of the alignment over O."""
    return C.k * float((C.levels * S.levels).sum()) / (math.sqrt(C.square) * math.sqrt(S.square))


def _variance(C: Moments, S: Moments) -> float:
    """Return the variance of the alignment over O."""
    return float((C.spreads / C.square * (S.spreads / S.square)).sum()) / ((C.k - 1) * (C.k + 2) / 2)


def _beyond(C: Moments, S: Moments, inner: float | None) -> float:
    """Return the inner product of what both are beyond a multiple of the identity."""
    if isinstance(C, Split) and isinstance(S, Split):
        return float(C.inner(S).sum())
    assert inner is not None, "moments alone do not tell the inner product"
    return inner - C.k * float((C.levels * S.levels).sum())


def rotated_cosine(C: Tensor | Moments, S: Tensor | Moments, groups: int = 1) -> float:
    """Return cosine(NFM, AGOP) with S turned at random: E<N, A> / (|N| sqrt(E|A|^2)), A = W'OSO'W.

    With t1 = tr S, c1 = tr C, c2 = |C|^2, b = |S'|^2 / ((k - 1)(k + 2)) and a = (t1^2 - 2 b k) / k^2:
    E<N, A> = t1 c2 / k and E|A|^2 = (a + b) c2 + b c1^2.

    For C a multiple of the identity this is sqrt(r / k), with r = (tr S)^2 / |S|^2 the effective rank of S; for a W of
    low rank it is near 1. It lies below the mean of draws, by less than 0.01 where W has many directions, and by up to
    0.2 where it has nearly one. It is NaN where C or S is 0. For a convolution in groups, N and A have as many diagonal
    blocks, each turned within itself, and every term is a sum over them.

    Args:
        C: WW', shape (k, k), or its moments.
        S: Shape (k, k), symmetric and positive semidefinite, or its moments.
        groups: Diagonal blocks of both, outside of which they are 0.

    >>> round(rotated_cosine(torch.eye(4), torch.diag(torch.tensor([1.0, 0.0, 0.0, 0.0]))), 6)
    0.5
    """
    C, S = moments_of(C, groups), moments_of(S, groups)
    k, (c, C_spreads), (s, S_spreads) = C.k, (C.levels, C.spreads), (S.levels, S.spreads)
    c1, c2 = k * c, k * c**2 + C_spreads
    b = S_spreads / ((k - 1) * (k + 2)) if k > 1 else torch.zeros_like(s)
    a = s**2 - 2 * b / k
    inner, square = float((s * c2).sum()), float(((a + b) * c2 + b * c1**2).sum())
    return min(1.0, inner / math.sqrt(float(c2.sum())) / math.sqrt(square)) if square > 0 else math.nan
