"""Similarities of two matrices as long vectors."""

import math

import torch

from nfa.features.factored import FactoredMatrix

UNDEFINED = {torch.float32: 1e-5, torch.float64: 1e-12}
"""A variance below this share of the mean square is rounding, so that a correlation is undefined."""


def cosine_of(inner: float, square_a: float, square_b: float) -> float:
    """Return <a, b> / (|a| |b|) from inner product and squared norms; NaN where a norm is 0.

    >>> cosine_of(1.0, 1.0, 4.0)
    0.5
    """
    if not (square_a > 0 and square_b > 0):
        return math.nan
    return max(-1.0, min(1.0, inner / (math.sqrt(square_a) * math.sqrt(square_b))))


def pearson_of(
    inner: float,
    square_a: float,
    square_b: float,
    total_a: float,
    total_b: float,
    entries: int,
    undefined: float,
) -> float:
    """Return the cosine of two vectors with their means removed, from sums over their entries.

    NaN where one of them is constant, with a variance of at most the share `undefined` of its mean square.
    """
    variance_a = square_a - total_a**2 / entries
    variance_b = square_b - total_b**2 / entries
    if not (variance_a > undefined * square_a and variance_b > undefined * square_b):
        return math.nan
    return cosine_of(inner - total_a * total_b / entries, variance_a, variance_b)


def cosine(a: FactoredMatrix, b: FactoredMatrix) -> float:
    """Return <A, B> / (|A| |B|), in [-1, 1]; NaN where one of them is 0.

    >>> round(cosine(FactoredMatrix(torch.eye(2)), FactoredMatrix(torch.tensor([[1.0, 1.0]]))), 4)
    0.7071
    """
    return cosine_of(a.relative_inner(b), a.relative_square, b.relative_square)


def pearson(a: FactoredMatrix, b: FactoredMatrix) -> float:
    """Return the correlation of all d x d entries of A and B; NaN where one of them is constant."""
    return cosine_and_pearson(a, b)[1]


def cosine_and_pearson(a: FactoredMatrix, b: FactoredMatrix) -> tuple[float, float]:
    """Return both from one inner product."""
    inner, squares = a.relative_inner(b), (a.relative_square, b.relative_square)
    undefined = max(UNDEFINED[a.weight.W.dtype], UNDEFINED[b.weight.W.dtype])
    correlation = pearson_of(inner, *squares, a.relative_total(), b.relative_total(), a.d**2, undefined)
    return cosine_of(inner, *squares), correlation
