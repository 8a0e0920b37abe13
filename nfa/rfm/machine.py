"""A fitted kernel machine: predictions, gradients' averages."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nfa.rfm.kernels import Kernel
from nfa.rfm.metric import Metric
from nfa.rfm.moments import BLOCK, Moments
from nfa.rfm.pairs import Pairs
from nfa.rfm.scale import relative
from nfa.rfm.solving.choosing import ROWS


@dataclass(frozen=True, eq=False)
class KernelMachine:
    """f_j(x) = unit sum_i a_ij k(x, z_i), with the kernel taken under a feature matrix M.

    Args:
        kernel: The kernel.
        metric: M.
        bandwidth: L, in the units of the data.
        centers: Rows z_i in the metric's coordinates, shape (n, d).
        a: Coefficients, shape (n, c).
        unit: What the targets were divided by.
    """

    kernel: Kernel
    metric: Metric
    bandwidth: float
    centers: Tensor
    a: Tensor
    unit: float = 1.0

    @property
    def L(self) -> float:
        """The bandwidth in the metric's coordinates."""
        return self.bandwidth / self.metric.length

    def predict(self, X: Tensor) -> Tensor:
        """Return f(x) for rows x, shape (m, c)."""
        rows, n = self.metric.rows(X), len(self.centers)
        outputs = rows.new_empty(len(rows), self.a.shape[1])
        step = min(len(rows), max(ROWS, BLOCK // n))
        # Outputs first, then a block's memory for all (l1 makes its own): pieces in between would keep what is freed
        # from use.
        space = rows.new_empty(step, n)
        for x, part in zip(rows.split(step), outputs.split(step), strict=True):
            distances = self.kernel.pairs(x, self.centers, space[: len(x)], self.metric.usual).values
            torch.mm(self.kernel.value(distances, self.L, out=distances), self.a, out=part)
        return outputs * self.unit

    def agop(
        self,
        X: Tensor | None = None,
        centered: bool = False,
        diag: bool = False,
        weights: Tensor | None = None,
        pairs: Pairs | None = None,
    ) -> Tensor:
        """Return the average over rows x of J'J, J = df/dx (c x d); where x is a center, that pair counts 0.

        Args: as `agop_in_units`.

        Returns:
            Float64, (d, d) or (d,).
        """
        # One at a time: the square of either unit may be no float64.
        found, x_unit = self.agop_in_units(X, centered, diag, weights, pairs), self.metric.unit
        return found * self.unit / x_unit * self.unit / x_unit

    def agop_in_units(
        self,
        X: Tensor | None = None,
        centered: bool = False,
        diag: bool = False,
        weights: Tensor | None = None,
        pairs: Pairs | None = None,
    ) -> Tensor:
        """Return the AGOP of f / unit with respect to x / `metric.unit`, neither very large nor very small.

        Args:
            X: Shape (m, d); None for the rows the machine was fitted on.
            centered: Subtract from J its mean over rows.
            diag: Return only the diagonal, (d,).
            weights: Of the rows, shape (m,).
            pairs: The pairs of X and centers, where they are at hand.

        Returns:
            Float64, (d, d) or (d,).
        """
        rows = self.centers if X is None else self.metric.rows(X)
        only_diagonal = diag and (self.metric.root is None or self.metric.root.ndim == 1)
        # Weights around 1: their sum stays within the dtype's digits.
        shares = None if weights is None else relative(weights)
        root = None if shares is None else (shares / shares.mean()).sqrt().to(rows.dtype)
        step = len(rows) if pairs is not None else max(1, 8 * BLOCK // len(self.centers))
        d = rows.shape[1]
        outer = torch.zeros((d,) if only_diagonal else (d, d), dtype=torch.float64, device=rows.device)
        sums = torch.zeros(self.a.shape[1], d, dtype=torch.float64, device=rows.device)
        for start in range(0, len(rows), step):
            block = slice(start, start + step)
            x = rows if step >= len(rows) else rows[block]
            found = self.kernel.moments(
                x,
                self.centers,
                self.a,
                self.L,
                None if root is None else root[block],
                only_diagonal,
                pairs,
                self.metric.usual,
            )
            outer += found.outer
            sums += found.sums
        mean = Moments(outer / len(rows), sums / len(rows))
        if centered:
            mean = Moments(mean.centered(torch.finfo(rows.dtype).eps), mean.sums)
        outer, _ = self.metric.pull(mean)
        if diag and outer.ndim == 2:
            outer = outer.diagonal()
        return outer
