"""Neural collapse: how close the rows of a class are to each other, and the class means to a simplex."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

AT = ("X", "M^(1/2) X", "Phi(M^(1/2) X)")
"""The places in a layer where neural collapse is measured."""
LAST = "the last machine's rows are mapped no further"
NO_CLASSES = "real targets have no classes"
MEAN_ROUNDINGS = 64
"""Class means that differ by less than this many roundings of the rows' length coincide."""


@dataclass(frozen=True)
class Collapse:
    """Neural collapse of rows with classes.

    Args:
        nc1: tr(S_W) / tr(S_B); 0 where all rows of a class are equal.
        nc2: Mean squared difference of the class means' Gram matrix from a simplex's; 0 for a simplex.
        note: Why one of them is NaN or says nothing, in words.
    """

    nc1: float
    nc2: float
    note: str = ""


def neural_collapse(X: Tensor, classes: Tensor | None, weights: Tensor | None = None) -> Collapse:
    """Return NC1 and NC2 of rows.

    With mu_c the mean of class c and mu the mean of these C means: S_W = mean over all rows of
    (x - mu_c)(x - mu_c)', S_B = mean over classes of (mu_c - mu)(mu_c - mu)', NC1 = tr(S_W) / tr(S_B).
    NC2 = mean over the C x C entries of (G - E)^2, G the Gram matrix of the mu_c - mu scaled to norm 1, E that of
    the simplex equiangular tight frame, 1 on the diagonal and -1 / (C - 1) elsewhere. Sums are in float64.

    Args:
        X: Shape (n, d).
        classes: Class numbers, shape (n,); None for targets that are no classes.
        weights: Of the rows, shape (n,), at least 0; None for 1.

    Source: arXiv:2402.13728, section on neural collapse, after Papyan, Han and Donoho (2020).

    >>> neural_collapse(torch.eye(3).repeat(2, 1), torch.tensor([0, 1, 2, 0, 1, 2])).nc1
    0.0
    """
    if classes is None:
        return Collapse(math.nan, math.nan, NO_CLASSES)
    X = X.double()
    w = X.new_ones(len(X)) if weights is None else weights.to(X)
    X, classes, w = X[w > 0], classes.to(X.device)[w > 0], w[w > 0]
    numbers, which = classes.unique(return_inverse=True)
    C = len(numbers)
    if C < 2:
        return Collapse(math.nan, math.nan, "a single class")
    # Relative to one of the rows, so that an offset common to all costs no digits.
    X = X - X[0]
    member = torch.zeros(C, len(X), dtype=X.dtype, device=X.device)
    member[which, torch.arange(len(X), device=X.device)] = w
    means = (member / member.sum(1, keepdim=True)) @ X
    within = float((((X - means[which]) ** 2).sum(1) * w).sum() / w.sum())
    apart = means - means.mean(0)
    lengths = torch.linalg.vector_norm(apart, dim=1)
    least = MEAN_ROUNDINGS * torch.finfo(X.dtype).eps * float(torch.linalg.vector_norm(X, dim=1).max())
    if float(lengths.max()) <= least:
        return Collapse(math.nan, math.nan, "all classes have the same mean")
    nc1 = within / float((lengths**2).mean())
    if float(lengths.min()) <= least:
        return Collapse(nc1, math.nan, "a class has the mean of all, and so no direction")
    directions = apart / lengths[:, None]
    E = torch.full((C, C), -1 / (C - 1), dtype=X.dtype, device=X.device).fill_diagonal_(1)
    nc2 = float(((directions @ directions.T - E) ** 2).mean())
    return Collapse(nc1, nc2, "two classes, whose NC2 is always 0" if C == 2 else "")


def collapse_rows(
    layer: int, places: Sequence[Tensor | str], classes: Tensor | None, weights: Tensor | None = None
) -> list[dict[str, Any]]:
    """Return a layer's rows of `collapse_`.

    Args:
        layer: Its number.
        places: X, M^(1/2) X and Phi(M^(1/2) X); or the reason where there is none.
        classes: Class numbers, or None.
        weights: Of the rows.
    """
    found = [
        Collapse(math.nan, math.nan, rows) if isinstance(rows, str) else neural_collapse(rows, classes, weights)
        for rows in places
    ]
    return [{"layer": layer, "at": at} | vars(collapse) for at, collapse in zip(AT, found, strict=True)]
