"""The quadratic kernel: its values, and the moments of its gradients."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nfa.rfm.kernels.base import Expansion, Kernel, Sample
from nfa.rfm.moments import Moments
from nfa.rfm.pairs import Pairs, euclidean
from nfa.rfm.points import Points


@dataclass(frozen=True)
class Quadratic(Kernel):
    """(x'z / L^2)^2: not radial, so the origin matters."""

    name = "quadratic"
    radial = False
    translation_invariant = False

    def pairs(self, X: Points, Z: Points | None = None, out: Tensor | None = None) -> Pairs:
        """Return the inner products."""
        return Pairs.without_near(torch.mm(X.rows, (X if Z is None else Z).rows.T, out=out))

    def distances(self, X: Points) -> Tensor:
        """Return Euclidean distances."""
        return euclidean(X).values

    def largest(self, X: Points, L: float) -> float:
        """Return max |x|^4 / L^4."""
        largest = float(X.squares.double().max()) / L**2
        return largest * largest

    def tile(self, pairs: Tensor, L: float, out: Tensor) -> None:
        """Put (x'z / L^2)^2 into `out`."""
        torch.div(pairs, L**2, out=out).square_()

    def moments(self, f: Expansion, sample: Sample, diag: bool) -> Moments:
        """Return the gradients' moments: g_j(x) = (2 / L^4) B_j x with B_j = sum_i a_ij z_i z_i' is linear in x.

        sum_x w g_j g_j' = (4 / L^8) (R B_j)'(R B_j) for any R with R'R = sum_x w x x': rows x themselves, or the
        triangular factor of their QR decomposition where there are more rows than columns.
        """
        X, Z, d = sample.points.rows, f.centers.rows, f.centers.rows.shape[1]
        weighted = X if sample.root is None else X * sample.root[:, None]
        first = X.sum(0) if sample.root is None else sample.root**2 @ X
        R = torch.linalg.qr(weighted, mode="r")[1] if len(X) > d else weighted
        outer, sums = X.new_zeros(d if diag else (d, d)), X.new_empty(f.a.shape[1], d)
        for j, weights in enumerate(f.a.T):
            B = (Z * weights[:, None]).T @ Z
            G = R @ B
            outer += (G * G).sum(0) if diag else G.T @ G
            sums[j] = B @ first
        return Moments(outer, sums, 2 / f.L**4)

    def gradients(self, f: Expansion, points: Points) -> tuple[Tensor, float]:
        """Return B_j x for each output j and point x."""
        X, Z = points.rows, f.centers.rows
        return torch.stack([X @ ((Z * weights[:, None]).T @ Z) for weights in f.a.T], 1), 2 / f.L**4
