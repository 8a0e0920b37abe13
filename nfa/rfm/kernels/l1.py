"""The Laplace kernel of l1 distances: its values, and the moments of its gradients."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from nfa.rfm.kernels.base import Expansion, Kernel, Sample, inverse
from nfa.rfm.moments import BLOCK, Moments
from nfa.rfm.pairs import Pairs, manhattan
from nfa.rfm.points import Points


@dataclass(frozen=True)
class ProductLaplace(Kernel):
    """exp(-sum_k |x_k - z_k| / L): a product of Laplace kernels, one for each coordinate of M^(1/2) x."""

    name = "l1"
    radial = False

    def pairs(self, X: Points, Z: Points | None = None, out: Tensor | None = None) -> Pairs:
        """Return the l1 distances."""
        return manhattan(X, Z)

    def tile(self, pairs: Tensor, L: float, out: Tensor) -> None:
        """Put exp(-r / L) into `out`."""
        torch.mul(pairs, -inverse(L, pairs.dtype), out=out).exp_()

    def moments(self, f: Expansion, sample: Sample, diag: bool) -> Moments:
        """Return the gradients' moments."""
        X, c = sample.points.rows, f.a.shape[1]
        d = X.shape[1]
        found = Moments(X.new_zeros(d if diag else (d, d)), X.new_zeros(c, d))
        for rows, G in self._made(f, sample):
            found += Moments.of_gradients(G, None if sample.root is None else sample.root[rows], diag)
        return found.times(1 / f.L)

    def gradients(self, f: Expansion, points: Points) -> tuple[Tensor, float]:
        """Return the gradients at points, (m, c, d), times L, and 1 / L."""
        return torch.cat([G for _, G in self._made(f, Sample(points))]), 1 / f.L

    def _made(self, f: Expansion, sample: Sample) -> Iterator[tuple[slice, Tensor]]:
        """Yield g_jk(x) L = -sum_i a_ij K_xi sign(x_k - z_ik), (rows, c, d), for some points after the other.

        No single matrix product serves all coordinates, so they are taken one by one. Each gradient is multiplied by
        the root of its point's weight.
        """
        X, Z, a = sample.points.rows, f.centers.rows, f.a
        (m, d), n, c = X.shape, len(Z), a.shape[1]
        # The derivative of |u| at 0 counts 0, not +1 or -1, also where rounding has moved u from 0.
        near_zero = f.centers.last_digits * Z.abs().median(0).values
        rounding = f.centers.rounding
        equal = (near_zero if rounding is None else near_zero + rounding).tolist()
        rows = max(1, min(m, BLOCK // (4 * max(n, c * d))))
        for start in range(0, m, rows):
            some = slice(start, start + rows)
            x = X[some]
            r = sample.pairs.values[some] if sample.pairs else torch.cdist(x, Z, p=1)
            K = (r * -inverse(f.L, r.dtype)).exp_().neg_()
            if sample.root is not None:
                K *= sample.root[some, None]
            G = X.new_empty(len(x), c, d)
            for k in range(d):
                apart = torch.nn.functional.hardshrink(x[:, k, None] - Z[:, k], equal[k])
                G[:, :, k] = apart.sign_().mul_(K) @ a
            yield some, G
