"""Radial kernels: their values, and the moments of their gradients in two forms, direct and expanded."""

import itertools
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nfa.common.errors import InputError
from nfa.rfm.kernels.base import Expansion, Kernel, Sample, inverse
from nfa.rfm.moments import BLOCK, SAFE, Moments
from nfa.rfm.pairs import GATHERED
from nfa.rfm.points import Points

TILES = 8
"""The symmetric n x n product of the expanded form is taken in the upper triangle of this many tiles a side."""
CANCELLATION = 1e3
"""The squares of the expanded form's terms may be this many times their sum, so that it loses three digits at most."""


class Radial(Kernel):
    """k(x, z) = phi(|x - z| / L)."""

    def tile(self, pairs: Tensor, L: float, out: Tensor) -> None:
        """Put phi(r / L) into `out`."""
        self.phi_(torch.mul(pairs, inverse(L, pairs.dtype), out=out))

    @abstractmethod
    def phi_(self, t: Tensor) -> Tensor:
        """Overwrite t = r / L with phi(t), and return it."""

    @abstractmethod
    def slopes(self, r: Tensor, K: Tensor, out: Tensor | None = None) -> Tensor:
        """Return Q with dk/dx = unit Q (x - z), unit = `slope_unit(L)`, so that Q does not get small or large with L.

        Args:
            r: Distances.
            K: phi(r / L); where r = 0 it may be anything.
            out: Memory for Q, of r's shape.

        Returns:
            Q, 0 where r = 0.
        """

    @abstractmethod
    def slope_unit(self, L: float) -> float:
        """Return the part of dk/dx that depends on L alone."""

    def moments(self, f: Expansion, sample: Sample, diag: bool) -> Moments:
        """Return the gradients' moments, by the cheaper of two forms; if points are centers, that is the expanded one.

        The gradients are g_j(x) = sum_i Q_xi a_ij (x - z_i), times `slope_unit`. The direct form makes all of them. The
        expanded form multiplies out their outer products, which then need only Q, Q'Q and s = Qa (see "AGOP of a radial
        machine" in docs/design.md). The direct form is used where the expanded one would cancel: for points of pairs
        that are close but not equal, and for all points where the terms of the gradients nearly cancel each other.
        """
        (m, d), n, c = sample.points.rows.shape, len(f.centers), f.a.shape[1]
        same = sample.points is f.centers
        if sample.pairs is None:
            sample = replace(sample, pairs=self.pairs(sample.points, None if same else f.centers))
        assert sample.pairs is not None
        close = sample.pairs.near[0].unique()
        mixed = expanded_operations(m, n, d, c, diag, same) + direct_operations(len(close), n, d, c, diag)
        found = None
        if mixed < direct_operations(m, n, d, c, diag):
            found = self._mixed(f, sample, close, diag)
        return (direct(self, f, sample, diag) if found is None else found).times(self.slope_unit(f.L))

    def gradients(self, f: Expansion, points: Points) -> tuple[Tensor, float]:
        """Return sum_i Q_xi a_ij (x - z_i) for each output j and point x."""
        found = points.rows.new_empty(len(points), f.a.shape[1], points.rows.shape[1])
        sample = Sample(points, None, self.pairs(points, f.centers))
        for columns in _columns(f):
            for rows, G in made(self, f, sample, columns):
                found[rows, columns] = G
        return found, self.slope_unit(f.L)

    def _mixed(self, f: Expansion, sample: Sample, close: Tensor, diag: bool) -> Moments | None:
        """Return the moments: direct at the `close` points, expanded at the others; None where these cancel."""
        assert sample.pairs is not None
        if not len(close):
            return expanded(self, f, sample, diag)
        weights = f.a.new_ones(len(sample.points)) if sample.root is None else sample.root
        found = expanded(self, f, replace(sample, root=weights.index_fill(0, close, 0)), diag)
        for some in close.split(max(1, BLOCK // len(f.centers))):
            if found is not None:
                part = Sample(sample.points[some], weights[some], sample.pairs.of(some))
                found += direct(self, f, part, diag)
        return found


@dataclass(frozen=True)
class Laplace(Radial):
    """exp(-r / L).

    >>> Laplace().value(torch.tensor([[2.0]]), 1.0)
    tensor([[0.1353]])
    """

    name = "laplace"

    def tile(self, pairs: Tensor, L: float, out: Tensor) -> None:
        """Put exp(-r / L) into `out`, in one pass less."""
        torch.mul(pairs, -inverse(L, pairs.dtype), out=out).exp_()  # dividing takes as long as all the rest

    def phi_(self, t: Tensor) -> Tensor:
        """Return exp(-t)."""
        return t.neg_().exp_()

    def slopes(self, r: Tensor, K: Tensor, out: Tensor | None = None) -> Tensor:
        """Return -K / r."""
        return torch.div(K, r, out=out).neg_().nan_to_num_(posinf=0.0, neginf=0.0)

    def slope_unit(self, L: float) -> float:
        """Return 1 / L."""
        return 1 / L


@dataclass(frozen=True)
class Gaussian(Radial):
    """exp(-r^2 / (2 L^2))."""

    name = "gaussian"

    def phi_(self, t: Tensor) -> Tensor:
        """Return exp(-t^2 / 2)."""
        return t.square_().mul_(-0.5).exp_()

    def slopes(self, r: Tensor, K: Tensor, out: Tensor | None = None) -> Tensor:
        """Return -K, and 0 at r = 0: beside a pair of equal rows all other slopes may be tiny."""
        return torch.sign(r, out=out).mul_(K).neg_()

    def slope_unit(self, L: float) -> float:
        """Return 1 / L^2."""
        return L**-2


@dataclass(frozen=True)
class ExponentialPower(Radial):
    """exp(-(r / L)^q), positive definite for 0 < q <= 2; q = 1 is the Laplace kernel.

    Args:
        q: The exponent.

    Raises:
        InputError: q is not in (0, 2].
    """

    q: float = 1.0
    name = "power"
    has_exponent = True

    def __post_init__(self) -> None:
        """Check q."""
        if not 0 < self.q <= 2:
            raise InputError("exponent", f"got {self.q}, expected a number above 0 and at most 2")

    @property
    def exponent(self) -> float:
        """The exponent, as given."""
        return self.q

    def phi_(self, t: Tensor) -> Tensor:
        """Return exp(-t^q)."""
        return t.pow_(self.q).neg_().exp_()

    def slopes(self, r: Tensor, K: Tensor, out: Tensor | None = None) -> Tensor:
        """Return -q r^(q-2) K."""
        if self.q == 2:
            return torch.sign(r, out=out).mul_(K).mul_(-2)
        return torch.pow(r, self.q - 2, out=out).mul_(K).mul_(-self.q).nan_to_num_(posinf=0.0, neginf=0.0)

    def slope_unit(self, L: float) -> float:
        """Return L^-q."""
        return float(L**-self.q)


def direct_operations(m: int, n: int, d: int, c: int, diag: bool) -> float:
    """Return the multiply-adds of the direct form, which makes every gradient."""
    return m * n * c * d + (0 if diag else m * c * d * d)


def expanded_operations(m: int, n: int, d: int, c: int, diag: bool, same: bool) -> float:
    """Return the multiply-adds of the expanded form, which makes none: m n^2 by symmetry, and products n x n x d."""
    share = (TILES + 1) / (2 * TILES)
    if same:
        return share * (n**3 + 3 * n * n * c) + n * n * d + (0 if diag else n * d * d)
    return share * (m * n * n + n * n * c) + m * n * (2 * c + d) + n * n * d + (0 if diag else (2 * m + n) * d * d)


def _slopes(kernel: Radial, f: Expansion, sample: Sample, rows: slice) -> Tensor:
    """Return Q of some points, each row multiplied by the root of its weight."""
    pairs = sample.pairs
    assert pairs is not None
    r = pairs.values[rows]
    K = kernel.value(r, f.L) if pairs.kernel is None else pairs.kernel[rows]
    # The same memory for every block, which stays in the processor's cache.
    Q = kernel.slopes(r, K, None if pairs.space is None else pairs.space[: len(r)])
    return Q if sample.root is None else Q.mul_(sample.root[rows, None])


def direct(kernel: Radial, f: Expansion, sample: Sample, diag: bool) -> Moments:
    """Return the moments over `slope_unit` from the gradients themselves, in blocks of points and outputs."""
    X, d = sample.points.rows, sample.points.rows.shape[1]
    found = Moments(X.new_zeros(d if diag else (d, d)), X.new_empty(0, d))
    for columns in _columns(f):
        total = Moments(X.new_zeros(d if diag else (d, d)), X.new_zeros(f.a[:, columns].shape[1], d))
        for rows, G in made(kernel, f, sample, columns):
            total += Moments.of_gradients(G, None if sample.root is None else sample.root[rows], diag)
        found = found.beside(total)
    return found


def _columns(f: Expansion) -> list[slice]:
    """Return the outputs in parts, so many at once that a row's products with all centers are no large matrix."""
    c, step = f.a.shape[1], max(1, BLOCK // f.centers.rows.numel())
    return [slice(first, min(first + step, c)) for first in range(0, c, step)]


def made(kernel: Radial, f: Expansion, sample: Sample, columns: slice) -> Iterator[tuple[slice, Tensor]]:
    """Yield the gradients of some outputs over `slope_unit`, (rows, outputs, d), for some points after the other.

    Each is multiplied by the root of its point's weight.
    """
    X, Z, part = sample.points.rows, f.centers.rows, f.a[:, columns]
    (m, d), n, k = X.shape, len(Z), part.shape[1]
    assert sample.pairs is not None
    near_i, near_j = sample.pairs.near
    rows = max(1, min(m, BLOCK // max(n, k * d)))
    # Side by side, so that Q passes through the processor once.
    aZ = torch.cat([(part[:, :, None] * -Z[:, None, :]).reshape(n, k * d), part], 1)
    for start in range(0, m, rows):
        stop = min(start + rows, m)
        Q = _slopes(kernel, f, sample, slice(start, stop))
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
        yield slice(start, stop), G


def expanded(kernel: Radial, f: Expansion, sample: Sample, diag: bool) -> Moments | None:
    """Return the moments over `slope_unit` without making any gradient; None where that would cancel.

    sum g g' = X' diag(sum_j s_j^2) X - X' P Z - (X' P Z)' + Z' R Z, P = Q * (s a'), R = (Q'Q) * (a a').

    It sums products of two terms Q_xi a_ij z_i of the same gradient. Their roundings are independent, so together they
    are about eps times the sum of the terms' squares, tr diag(R) ZZ'. The trace of the result is the sum of the
    gradients' squares. If the first is `CANCELLATION` times the second, a gradient is a small difference of large
    terms, as where rows nearly agree and their targets do not. Then the direct form is needed: its rounding comes
    before the gradient is squared, and its result is positive semidefinite in any case.
    """
    X, Z, a = sample.points.rows, f.centers.rows, f.a
    assert sample.pairs is not None
    Q = _slopes(kernel, f, sample, slice(None))
    s = Q @ a
    own = (s * s).sum(1, keepdim=True) * X
    if sample.points is f.centers:
        # Z'HZ with H = diag(sum_j s_j^2) - P - P' + R.
        HZ, R = _symmetric_times(Q, s, a, Z)
        HZ += own
        outer = (Z * HZ).sum(0) if diag else Z.T @ HZ
    else:
        PZ = torch.cat([(part @ a.T).mul_(q) @ Z for part, q in _blocks(s, Q)])
        RZ, R = _symmetric_times(Q, None, a, Z)
        XY = (X * (own - 2 * PZ)).sum(0) if diag else X.T @ (own - PZ) - PZ.T @ X
        outer = XY + ((Z * RZ).sum(0) if diag else Z.T @ RZ)
    terms, trace = float(R @ f.centers.squares), float(outer.sum() if diag else outer.trace())
    if not (terms <= CANCELLATION * trace and SAFE**-2 < trace < SAFE**2) and bool(Q.any()):
        return None
    weight = X if sample.root is None else X * sample.root[:, None]
    ones = Q.sum(0) if sample.root is None else sample.root @ Q
    return Moments(outer, s.T @ weight - (ones[:, None] * a).T @ Z)


def _blocks(s: Tensor, Q: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield rows of s and Q together, as many as a temporary matrix of `BLOCK` entries allows."""
    rows = max(1, BLOCK // Q.shape[1])
    yield from zip(s.split(rows), Q.split(rows), strict=True)


def _symmetric_times(Q: Tensor, s: Tensor | None, a: Tensor, Z: Tensor) -> tuple[Tensor, Tensor]:
    """Return RZ and R's diagonal, R = (Q'Q) * (a a'), from the upper triangle's tiles.

    With s, the first is (R - P - P') Z, P = Q * (s a').
    """
    n = len(Z)
    product, diagonal = torch.zeros_like(Z), Z.new_empty(n)
    bounds = [round(n * k / TILES) for k in range(TILES + 1)]
    slices = [slice(*pair) for pair in itertools.pairwise(bounds) if pair[0] < pair[1]]
    for number, rows in enumerate(slices):
        for columns in slices[number:]:
            tile = (Q[:, rows].T @ Q[:, columns]).mul_(a[rows] @ a[columns].T)
            if rows == columns:
                diagonal[rows] = tile.diagonal()
            if s is not None:
                tile -= (s[rows] @ a[columns].T).mul_(Q[rows, columns])
                tile -= (a[rows] @ s[columns].T).mul_(Q[columns, rows].T)
            product[rows] += tile @ Z[columns]
            if rows != columns:
                product[columns] += tile.T @ Z[rows]
    return product, diagonal
