"""A fitted kernel machine: predictions, and averages of its gradients."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from nfa.common.scale import power_of_two, relative
from nfa.rfm.kernels import Expansion, Kernel, Sample
from nfa.rfm.metric import Metric, semidefinite
from nfa.rfm.moments import BLOCK, Moments
from nfa.rfm.pairs import Pairs
from nfa.rfm.plain import plain
from nfa.rfm.points import Points
from nfa.rfm.solving.choosing import BLOCK_ROWS
from nfa.rfm.targets import TargetScaling


@plain
@dataclass(frozen=True, eq=False)
class KernelMachine:
    """f_j(x) = offset_j + scale_j unit sum_i a_ij k(x, z_i), with the kernel taken under a feature matrix M.

    Args:
        kernel: The kernel.
        metric: M.
        bandwidth: L, in the units of the data.
        centers: Rows z_i in the metric's coordinates, shape (n, d).
        a: Coefficients, shape (n, c).
        unit: The number that the scaled targets were divided by.
        scaling: The targets' offset and scale; None for 0 and 1.
    """

    kernel: Kernel
    metric: Metric
    bandwidth: float
    centers: Tensor
    a: Tensor
    unit: float = 1.0
    scaling: TargetScaling | None = None

    @property
    def L(self) -> float:
        """The bandwidth in the metric's coordinates."""
        return self.bandwidth / self.metric.length

    @cached_property
    def points(self) -> Points:
        """The centers, with the sizes of the terms that they are sums of."""
        return Points(self.centers, self.metric.terms)

    def predict(self, X: Tensor) -> Tensor:
        """Return f(x) for rows x, shape (m, c)."""
        return self.outputs(X).to(X.dtype)

    def outputs(self, X: Tensor) -> Tensor:
        """Return f(x) for rows x in float64, shape (m, c): unit and scale may be beyond float32 where f is not."""
        found = self.learned(X).double() * self.unit
        return found if self.scaling is None else self.scaling.given(found)

    def learned(self, X: Tensor) -> Tensor:
        """Return sum_i a_ij k(x, z_i) for rows x, shape (m, c)."""
        points, n = self.metric.points(X), len(self.centers)
        outputs = points.rows.new_empty(len(points), self.a.shape[1])
        step = min(len(points), max(BLOCK_ROWS, BLOCK // n))
        # Outputs first, then one block's memory for all blocks (l1 makes its own). Pieces allocated in between would
        # keep freed memory from being used again.
        space = points.rows.new_empty(step, n)
        for x, part in zip(points.split(step), outputs.split(step), strict=True):
            values = self.kernel.pairs(x, self.points, space[: len(x)]).values
            torch.mm(self.kernel.value(values, self.L, out=values), self.a, out=part)
        return outputs

    def gradients(self, X: Tensor) -> Tensor:
        """Return df/dx of every output at rows x, float64, (m, c, d); where x is a center, that pair counts 0."""
        a_unit = power_of_two(self.a)
        f = Expansion(self.points, self.a / a_unit, self.L)
        G, unit = self.kernel.gradients(f, self.metric.points(X))
        # One at a time: no unit need be a number of the dtype, nor their product.
        found = self.metric.pulled(G.double()) * unit * a_unit * self.unit / self.metric.unit
        return found if self.scaling is None else found * self.scaling.scale[:, None]

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
            Float64, (d, d) or (d,), exactly symmetric, without eigenvalues below 0.
        """
        found, unit = self._unscaled().agop_in_units(X, centered, diag, weights, pairs)
        found = found.clamp(min=0) if found.ndim == 1 else semidefinite(found)
        # One at a time, since the square of the unit may be beyond float64.
        return self.metric.in_columns(found) * unit * unit

    def agop_in_units(
        self,
        X: Tensor | None = None,
        centered: bool = False,
        diag: bool = False,
        weights: Tensor | None = None,
        pairs: Pairs | None = None,
    ) -> tuple[Tensor, float]:
        """Return the AGOP divided by the square of a unit, so that it is neither huge nor tiny; and the unit.

        It is that of the scaled outputs, (f - offset) / scale, with respect to scaled rows: the next M is made of it.

        Args:
            X: Shape (m, d); None for the rows the machine was fitted on.
            centered: Subtract from J its mean over rows.
            diag: Return only the diagonal, (d,).
            weights: Of the rows, shape (m,).
            pairs: The pairs of X and centers, if they are known already.

        Returns:
            Float64, (d, d) or (d,), symmetric.
        """
        points = self.points if X is None else self.metric.points(X)
        only_diagonal = diag and (self.metric.root is None or self.metric.root.ndim == 1)
        # Weights near 1, so that their sum stays within the dtype's digits.
        shares = None if weights is None else relative(weights)
        root = None if shares is None else (shares / shares.mean()).sqrt().to(self.a.dtype)
        a_unit = power_of_two(self.a)
        f = Expansion(self.points, self.a / a_unit, self.L)
        step = len(points) if pairs is not None else max(1, 8 * BLOCK // len(self.centers))
        total = None
        for start in range(0, len(points), step):
            block = slice(start, start + step)
            some = points if step >= len(points) else points[block]
            sample = Sample(some, None if root is None else root[block], pairs)
            part = self.kernel.moments(f, sample, only_diagonal).double()
            total = part if total is None else total + part
        assert total is not None, "there are no rows to average over"
        mean = Moments(total.outer / len(points), total.sums / len(points))
        if centered:
            mean = Moments(mean.centered(torch.finfo(self.a.dtype).eps), mean.sums)
        outer, _ = self.metric.pull(mean)
        if diag and outer.ndim == 2:
            outer = outer.diagonal()
        return outer, total.unit * a_unit * self.unit / self.metric.unit

    def _unscaled(self) -> "KernelMachine":
        """Return the machine with the targets' scales in its coefficients."""
        if self.scaling is None:
            return self
        largest = float(self.scaling.scale.max())
        a = self.a * (self.scaling.scale / largest).to(self.a.dtype)
        return replace(self, a=a, unit=self.unit * largest, scaling=None)
