"""Sums over points of a kernel machine's gradients, and of their outer products: what its AGOP is made of."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nfa.rfm.pairs import GATHERED, Pairs, last, lost

if TYPE_CHECKING:
    from nfa.rfm.kernels import Radial

BLOCK = 1 << 21
"""Entries of a temporary matrix, 8 MiB in float32: small enough for caches, and for memory to be used again."""
CANCELLED = 64
"""Roundings of the uncentered average below which the centered one, a difference, says nothing."""
TILES = 8
"""The symmetric n x n product of the expanded form is taken in the upper triangle of this many tiles a side."""


@dataclass(frozen=True)
class Moments:
    """Sums over points x, with weights w, of the gradients g_j(x) of c outputs.

    Args:
        outer: sum w g_j g_j' over points and outputs, d x d; or its diagonal, (d,).
        sums: sum w g_j over points, c x d.
    """

    outer: Tensor
    sums: Tensor

    def centered(self, eps: float) -> Tensor:
        """Return `outer` of gradients minus their mean, from averages over points.

        It is a difference: next to the uncentered diagonal, what lies below the rounding of the two counts 0, so that
        it stays positive semidefinite.

        Args:
            eps: The rounding of what the averages were computed in.
        """
        scale = (self.outer if self.outer.ndim == 1 else self.outer.diagonal()).clamp(min=0).sqrt()
        scale, floor = scale.where(scale > 0, 1), CANCELLED * eps
        means = self.sums / scale
        if self.outer.ndim == 1:
            shares = self.outer / scale**2 - means.square().sum(0)
            return shares.where(shares > floor, 0) * scale**2
        values, V = torch.linalg.eigh(self.outer / scale / scale[:, None] - means.T @ means)
        F = V[:, values > floor] * values[values > floor].sqrt() * scale[:, None]
        found: Tensor = F @ F.T
        return found


def direct_operations(m: int, n: int, d: int, c: int, diag: bool) -> float:
    """Multiply-adds of the direct form, which makes every gradient."""
    return m * n * c * d + (0 if diag else m * c * d * d)


def expanded_operations(m: int, n: int, d: int, c: int, diag: bool, same: bool) -> float:
    """Multiply-adds of the expanded form, which makes none: m n^2 by symmetry, and products n x n x d."""
    share = (TILES + 1) / (2 * TILES)
    if same:
        return share * (n**3 + 3 * n * n * c) + n * n * d + (0 if diag else n * d * d)
    return share * (m * n * n + n * n * c) + m * n * (2 * c + d) + n * n * d + (0 if diag else (2 * m + n) * d * d)


def radial_moments(
    kernel: "Radial",
    X: Tensor,
    Z: Tensor,
    a: Tensor,
    L: float,
    root: Tensor | None,
    diag: bool,
    pairs: Pairs | None,
    usual: Tensor | None = None,
) -> Moments:
    """Return the moments of f_j(x) = sum_i a_ij phi(|x - z_i| / L); where `X is Z` the expanded form is cheaper.

    g_j(x) = sum_i Q_xi a_ij (x - z_i) with Q_xi = phi'(t)/t / L^2 at t = |x - z_i| / L, and 0 where x = z_i. Either
    all of them are made (direct), or, multiplied out, their outer products need only Q, Q'Q and s = Qa (expanded,
    design.md, Algebra 12). Pairs that are close but not equal would cancel there, so their points' gradients are made,
    with these pairs taken by difference.
    """
    (m, d), n, c = X.shape, len(Z), a.shape[1]
    pairs = pairs or kernel.pairs(X, None if X is Z else Z, usual=usual)
    close = pairs.near[0].unique()
    mixed = expanded_operations(m, n, d, c, diag, X is Z) + direct_operations(len(close), n, d, c, diag)
    if mixed >= direct_operations(m, n, d, c, diag):
        return _direct(kernel, X, Z, a, L, root, diag, pairs)
    if not len(close):
        return _expanded(kernel, X, Z, a, L, root, diag, pairs)
    weights = X.new_ones(m) if root is None else root
    rest = _expanded(kernel, X, Z, a, L, weights.index_fill(0, close, 0), diag, pairs)
    for some in close.split(max(1, BLOCK // n)):
        made = _direct(kernel, X[some], Z, a, L, weights[some], diag, pairs.of(some))
        rest = Moments(rest.outer + made.outer, rest.sums + made.sums)
    return rest


def _slopes(kernel: "Radial", pairs: Pairs, rows: slice, L: float, root: Tensor | None) -> Tensor:
    """Return phi'(t)/t of some points, each row multiplied by the root of its weight."""
    r, K = pairs.values[rows], None if pairs.kernel is None else pairs.kernel[rows]
    # The same memory for every block, which stays in the processor's cache.
    Q = kernel.slopes(r, L, K, None if pairs.space is None else pairs.space[: len(r)])
    return Q if root is None else Q.mul_(root[rows, None])


def _direct(
    kernel: "Radial", X: Tensor, Z: Tensor, a: Tensor, L: float, root: Tensor | None, diag: bool, pairs: Pairs
) -> Moments:
    """Return the moments from the gradients themselves, in blocks of points and outputs."""
    (m, d), n, c = X.shape, len(Z), a.shape[1]
    a = a / L**2  # rather than Q, which is larger
    near_i, near_j = pairs.near
    outer, sums = X.new_zeros(d if diag else (d, d)), X.new_empty(c, d)
    columns = max(1, min(c, BLOCK // (n * d)))
    rows = max(1, min(m, BLOCK // max(n, columns * d)))
    for first in range(0, c, columns):
        part = a[:, first : first + columns]
        k = part.shape[1]
        # Side by side, so that Q passes through the processor once.
        aZ = torch.cat([(part[:, :, None] * -Z[:, None, :]).reshape(n, k * d), part], 1)
        totals = X.new_zeros(k, d)
        for start in range(0, m, rows):
            stop = min(start + rows, m)
            weights = None if root is None else root[start:stop]
            Q = _slopes(kernel, pairs, slice(start, stop), L, root)
            inside = (near_i >= start) & (near_i < stop)
            i, j = near_i[inside] - start, near_j[inside]
            q = Q[i, j]
            Q[i, j] = 0
            QZ, Qa = (Q @ aZ).split([k * d, k], 1)
            G = torch.addcmul(QZ.reshape(-1, k, d), Qa[:, :, None], X[start:stop, None, :])
            step = max(1, GATHERED // (k * d))
            for i_, j_, q_ in zip(i.split(step), j.split(step), q.split(step), strict=True):
                apart = X.index_select(0, start + i_).sub_(Z.index_select(0, j_))
                G.index_add_(0, i_, (q_[:, None] * part[j_])[:, :, None] * apart[:, None, :])
            totals += G.sum(0) if weights is None else torch.tensordot(weights, G, 1)
            G = G.view(-1, d)
            outer += (G * G).sum(0) if diag else G.T @ G
        sums[first : first + k] = totals
    return Moments(outer, sums)


def _expanded(
    kernel: "Radial", X: Tensor, Z: Tensor, a: Tensor, L: float, root: Tensor | None, diag: bool, pairs: Pairs
) -> Moments:
    """Return the moments without making any gradient.

    sum g g' = X' diag(sum_j s_j^2) X - X' P Z - (X' P Z)' + Z' R Z, P = Q * (s a'), R = (Q'Q) * (a a').
    """
    a = a / L**2  # rather than Q, which is larger
    Q = _slopes(kernel, pairs, slice(None), L, root)
    s = Q @ a
    own = (s * s).sum(1, keepdim=True) * X
    if X is Z:
        # Z'HZ with H = diag(sum_j s_j^2) - P - P' + R.
        HZ = own + _symmetric_times(Q, s, a, Z)
        outer = (Z * HZ).sum(0) if diag else Z.T @ HZ
    else:
        PZ = torch.cat([(part @ a.T).mul_(q) @ Z for part, q in _blocks(s, Q)])
        RZ = _symmetric_times(Q, None, a, Z)
        XY = (X * (own - 2 * PZ)).sum(0) if diag else X.T @ (own - PZ) - PZ.T @ X
        outer = XY + ((Z * RZ).sum(0) if diag else Z.T @ RZ)
    weight = X if root is None else X * root[:, None]
    ones = Q.sum(0) if root is None else root @ Q
    return Moments(outer, s.T @ weight - (ones[:, None] * a).T @ Z)


def _blocks(s: Tensor, Q: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield rows of s and Q together, as many as a temporary matrix of `BLOCK` entries allows."""
    rows = max(1, BLOCK // Q.shape[1])
    yield from zip(s.split(rows), Q.split(rows), strict=True)


def _symmetric_times(Q: Tensor, s: Tensor | None, a: Tensor, Z: Tensor) -> Tensor:
    """Return RZ, R = (Q'Q) * (a a'), from the upper triangle's tiles; with s, (R - P - P') Z, P = Q * (s a')."""
    n = len(Z)
    product = torch.zeros_like(Z)
    bounds = [round(n * k / TILES) for k in range(TILES + 1)]
    slices = [slice(*pair) for pair in itertools.pairwise(bounds) if pair[0] < pair[1]]
    for number, rows in enumerate(slices):
        for columns in slices[number:]:
            tile = (Q[:, rows].T @ Q[:, columns]).mul_(a[rows] @ a[columns].T)
            if s is not None:
                tile -= (s[rows] @ a[columns].T).mul_(Q[rows, columns])
                tile -= (a[rows] @ s[columns].T).mul_(Q[columns, rows].T)
            product[rows] += tile @ Z[columns]
            if rows != columns:
                product[columns] += tile.T @ Z[rows]
    return product


def quadratic_moments(X: Tensor, Z: Tensor, a: Tensor, L: float, root: Tensor | None, diag: bool) -> Moments:
    """Return the moments of f_j(x) = sum_i a_ij (x'z_i / L^2)^2.

    g_j(x) = 2 B_j x / L^4 with B_j = sum_i a_ij z_i z_i', so that sum_x g_j g_j' = (4 / L^8) B_j (X'X) B_j.
    """
    d = X.shape[1]
    weighted = X if root is None else X * root[:, None]
    second, first = weighted.T @ weighted, X.sum(0) if root is None else root**2 @ X
    outer, sums = X.new_zeros(d if diag else (d, d)), X.new_empty(a.shape[1], d)
    for j, weights in enumerate(a.T):
        B = (Z * weights[:, None]).T @ Z * (2 / L**4)
        BS = B @ second
        outer += (BS * B).sum(1) if diag else BS @ B
        sums[j] = B @ first
    return Moments(outer, sums)


def product_moments(
    X: Tensor,
    Z: Tensor,
    a: Tensor,
    L: float,
    root: Tensor | None,
    diag: bool,
    pairs: Pairs | None,
    usual: Tensor | None,
) -> Moments:
    """Return the moments of f_j(x) = sum_i a_ij exp(-sum_k |x_k - z_ik| / L).

    g_jk(x) = -(1/L) sum_i a_ij K_xi sign(x_k - z_ik): no product of matrices serves all coordinates, so they are
    taken one by one, in blocks of points.
    """
    (m, d), n, c = X.shape, len(Z), a.shape[1]
    outer, sums = X.new_zeros(d if diag else (d, d)), X.new_zeros(c, d)
    # The derivative of |u| at 0 counts 0, not +1 or -1, also where the rounding of a product made something of 0.
    near_zero = last(X.dtype, usual is not None) * Z.abs().median(0).values
    equal = (near_zero if usual is None else near_zero + lost(usual)).tolist()
    rows = max(1, min(m, BLOCK // (4 * max(n, c * d))))
    for start in range(0, m, rows):
        x = X[start : start + rows]
        r = pairs.values[start : start + rows] if pairs else torch.cdist(x, Z, p=1)
        K = (r / -L).exp_().mul_(-1 / L)
        weights = None if root is None else root[start : start + rows]
        if weights is not None:
            K *= weights[:, None]
        G = X.new_empty(len(x), c, d)
        for k in range(d):
            apart = torch.nn.functional.hardshrink(x[:, k, None] - Z[:, k], equal[k])
            G[:, :, k] = apart.sign_().mul_(K) @ a
        sums += G.sum(0) if weights is None else torch.tensordot(weights, G, 1)
        G = G.view(-1, d)
        outer += (G * G).sum(0) if diag else G.T @ G
    return Moments(outer, sums)
