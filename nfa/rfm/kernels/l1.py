"""The Laplace kernel of l1 distances: its values, and the moments of its gradients."""

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
        """Return the gradients' moments: g_jk(x) = -(1/L) sum_i a_ij K_xi sign(x_k - z_ik).

        No single matrix product serves all coordinates, so they are taken one by one, in blocks of points.
        """
        X, Z, a = sample.points.rows, f.centers.rows, f.a
        (m, d), n, c = X.shape, len(Z), a.shape[1]
        # The derivative of |u| at 0 counts 0, not +1 or -1, also where rounding has moved u from 0.
        near_zero = f.centers.last_digits * Z.abs().median(0).values
        rounding = f.centers.rounding
        equal = (near_zero if rounding is None else near_zero + rounding).tolist()
        rows = max(1, min(m, BLOCK // (4 * max(n, c * d))))
        found = Moments(X.new_zeros(d if diag else (d, d)), X.new_zeros(c, d))
        for start in range(0, m, rows):
            x = X[start : start + rows]
            r = sample.pairs.values[start : start + rows] if sample.pairs else torch.cdist(x, Z, p=1)
            K = (r * -inverse(f.L, r.dtype)).exp_().neg_()
            root = None if sample.root is None else sample.root[start : start + rows]
            if root is not None:
                K *= root[:, None]
            G = X.new_empty(len(x), c, d)
            for k in range(d):
                apart = torch.nn.functional.hardshrink(x[:, k, None] - Z[:, k], equal[k])
                G[:, :, k] = apart.sign_().mul_(K) @ a
            found += Moments.of_gradients(G, root, diag)
        return found.times(1 / f.L)
