"""The recursion: fit a kernel machine, set M to the average gradient outer product of its outputs, repeat."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nfa.common.errors import InputError
from nfa.common.scale import power_of_two
from nfa.rfm.bandwidth import check_bandwidth, median_distance
from nfa.rfm.kernels import Kernel
from nfa.rfm.losses import weighted_mean
from nfa.rfm.machine import KernelMachine
from nfa.rfm.metric import Metric, matrix_power
from nfa.rfm.pairs import Pairs
from nfa.rfm.solving.blocks import solve_in_blocks
from nfa.rfm.solving.choosing import SOLVER_MATRICES, Plan
from nfa.rfm.solving.dense import solve_dense
from nfa.rfm.targets import Standardisation, TargetScaling


@dataclass(frozen=True, eq=False)
class Problem:
    """Rows, targets and weights, scaled so that no square overflows.

    Args:
        X: Shape (n, d), in the dtype of the computation.
        y: Targets as they were given, float64, (n, c).
        weights: Shape (n,), at least 0; None for 1.
        standardisation: What is taken off the targets.
        scaling: The targets' scaling.
        unit: The power of two that the scaled targets were divided by.
        Y: Shape (n, c), in X's dtype: what is learned.
        center: Float64, (d,).
        scales: What columns are divided by, float64, (d,); None for 1.
        x_unit: Power of two near the largest entry of (X - center) / scales; of X / scales where all rows are equal.
        spread: Mean squares of the columns of (X - center) / scales / x_unit, float64, (d,).
        basis: Where X are `Coordinates` of wider rows, theirs; None otherwise.
        columns: The number of columns of the wider rows that X stand for, where they do.
    """

    X: Tensor
    y: Tensor
    weights: Tensor | None
    standardisation: Standardisation
    scaling: TargetScaling
    unit: float
    Y: Tensor
    center: Tensor
    scales: Tensor | None
    x_unit: float
    spread: Tensor
    basis: Tensor | None = None
    columns: int | None = None

    @classmethod
    def of(
        cls,
        X: Tensor,
        y: Tensor,
        weights: Tensor | None,
        kernel: Kernel,
        standardisation: Standardisation = Standardisation(),  # noqa: B008 (it cannot change)
        scales: Tensor | None = None,
    ) -> "Problem":
        """Return the problem; the origin is moved to the mean row where the kernel does not depend on it.

        Raises:
            InputError: the rows are so large that their mean is no float64.
        """
        center = X.double().mean(0) if kernel.translation_invariant else X.new_zeros(X.shape[1], dtype=torch.float64)
        around = X - center
        if not bool(torch.isfinite(around).all()):
            raise InputError("X", "so large that the mean row is beyond float64; expected smaller numbers")
        scaled = X
        if scales is not None:
            around, scaled = around.div_(scales), X / scales
        # If all rows are equal, their own size is the better guess at distances to other rows.
        x_unit = power_of_two(around if bool(around.any()) else scaled)
        spread = around.div_(x_unit).square_().mean(0)
        scaling, unit, Y = _learned(y, weights, standardisation, X.dtype)
        return cls(X, y.double(), weights, standardisation, scaling, unit, Y, center, scales, x_unit, spread)

    def fitted(self, rows: Tensor | None = None) -> "Problem":
        """Return those of some rows (None: of all) that a machine is fitted to, the ones of weight above 0.

        Means and deviations of their targets are their own.

        Raises:
            InputError: there are none.
        """
        rows = torch.arange(len(self.X), device=self.X.device) if rows is None else rows
        weights = None if self.weights is None else self.weights[rows]
        if weights is not None:
            rows, weights = rows[weights > 0], weights[weights > 0]
        if not len(rows):
            raise InputError("sample_weight", "0 for all the rows to fit, expected at least one above")
        X, y = self.X[rows], self.y[rows]
        scaling, unit, Y = _learned(y, weights, self.standardisation, X.dtype)
        return replace(self, X=X, y=y, weights=weights, scaling=scaling, unit=unit, Y=Y)

    def distinct(self) -> "Problem":
        """Return the problem with equal rows as one, of their weights' sum and their targets' mean.

        A machine fitted to it is the same. Rows are in ascending order.
        """
        X, place = torch.unique(self.X, dim=0, return_inverse=True)
        if self.weights is None and len(X) == len(self.X):
            order = place.argsort()
            return replace(self, X=X, y=self.y[order], Y=self.Y[order])
        w = torch.ones_like(self.y[:, 0]) if self.weights is None else self.weights.double()
        total = w.new_zeros(len(X)).index_add_(0, place, w)
        y = self.y.new_zeros(len(X), self.y.shape[1]).index_add_(0, place, (w / total[place])[:, None] * self.y)
        weights = total.clamp(max=torch.finfo(X.dtype).max).to(X.dtype)
        Y = (self.scaling.learned(y) / self.unit).to(X.dtype)
        return replace(self, X=X, y=y, weights=weights, Y=Y)

    @property
    def units(self) -> Tensor:
        """What `y` is divided by, column by column, (c,)."""
        return self.scaling.scale * self.unit

    def given(self, outputs: Tensor) -> Tensor:
        """Return outputs for `Y` as outputs for `y`, float64."""
        return self.scaling.given(outputs.double() * self.unit)

    def largest(self, M: Tensor) -> Tensor:
        """Return the largest entry of a feature matrix of the rows, or of the wider rows that they stand for."""
        if self.basis is None:
            return M.abs().max()
        q = self.basis.shape[1]
        return ((self.basis @ M[:q, :q]) * self.basis).sum(1).max()

    @property
    def width(self) -> int:
        """The number of columns of the rows, or of the wider rows that they stand for."""
        return self.X.shape[1] if self.columns is None else self.columns

    def metric(self, M: Tensor) -> Metric:
        """Return the metric of a feature matrix."""
        return Metric.of(M, self.center, self.x_unit, self.spread, self.scales)


def _learned(
    y: Tensor, weights: Tensor | None, standardisation: Standardisation, dtype: torch.dtype
) -> tuple[TargetScaling, float, Tensor]:
    """Return the targets' scaling, the unit of what is learned, and what is learned in this unit."""
    scaling = standardisation.of(y, weights)
    learned = scaling.learned(y)
    unit = power_of_two(learned)
    return scaling, unit, (learned / unit).to(dtype)


@dataclass(frozen=True)
class Recipe:
    """The choices for every iteration of a recursion; see `RFMRegressor` for the meaning of each."""

    kernel: Kernel
    bandwidth: float = 1.0
    bandwidth_scale: str | None = "median"
    ridge: float = 1e-3
    M_scale: str | None = "max"
    diag: bool = False
    center_grads: bool = False
    agop_power: float = 1.0
    agop_samples: int | None = None


@dataclass(frozen=True, eq=False)
class Iteration:
    """One iteration: the machine under the current M.

    Args:
        iteration: How often M was updated.
        problem: What the machine is fitted to.
        machine: The fitted machine.
        ridge: The ridge on the kernel matrix's diagonal, (n,).
        pairs: The pairs of its centers, if the solver holds them; overwritten by the next iteration.
        singular: What was done if the system was singular to rounding; empty if it was not.
    """

    iteration: int
    problem: Problem
    machine: KernelMachine
    ridge: Tensor
    pairs: Pairs | None
    singular: str

    def train_mse(self) -> float:
        """Return the mean squared error on the rows fitted, over all targets.

        It is computed from predictions, since not every system is solved to its last digit.

        Raises:
            InputError: a prediction is beyond the largest number of the dtype.
        """
        problem, a = self.problem, self.machine.a
        if self.pairs is None or self.pairs.kernel is None:
            outputs = self.machine.learned(problem.X)
            residual = problem.Y - outputs
        else:  # the ridge is on the diagonal of the solver's matrix
            residual = problem.Y - self.pairs.kernel @ a + self.ridge[:, None] * a
            outputs = problem.Y - residual
        largest = float(torch.linalg.vector_norm(problem.given(outputs), math.inf))
        if not largest <= torch.finfo(a.dtype).max:
            name = str(a.dtype).removeprefix("torch.")
            raise InputError("y", f"predictions are as large as {largest:.3g}, beyond {name}; expected smaller targets")
        square = ((residual.double() * problem.scaling.scale) ** 2).mean(1)
        return weighted_mean(square, problem.weights) * problem.unit * problem.unit

    def row(self, previous: Tensor) -> dict[str, float]:
        """Return a row of an estimator's `history_`.

        Args:
            previous: M of the iteration before.
        """
        # Neither number depends on the size of M, whose square may leave float64.
        M, previous = self.machine.metric.shape, previous / previous.abs().max()
        trace, square = float(M.sum() if M.ndim == 1 else M.trace()), float((M * M).sum())
        change = math.nan if self.iteration == 0 else float((M * previous).sum() / (M.norm() * previous.norm()))
        rank = trace**2 / square
        # In coordinates the identity has fewer entries than on the rows.
        share = len(M) / self.problem.width
        if share < 1 and self.machine.metric.root is None:
            rank /= share
        elif share < 1 and torch.equal(previous, torch.eye(len(M)).to(M) if M.ndim == 2 else torch.ones_like(M)):
            change *= math.sqrt(share)
        return {
            "iteration": self.iteration,
            "bandwidth": self.machine.bandwidth,
            "train_mse": self.train_mse(),
            "cosine_to_previous_M": change,
            "effective_rank": rank,
        }


def recursion(
    problem: Problem, M: Tensor, recipe: Recipe, plan: Plan, n_iters: int, generator: torch.Generator
) -> Iterator[Iteration]:
    """Yield the machine under M, then under the AGOP of that machine, and so on, n_iters + 1 in all.

    A constant predictor has no features: where the AGOP is 0, the last M stays.

    Args:
        problem: Rows and targets, weights above 0.
        M: The first feature matrix, float64.
        recipe: What happens in an iteration.
        plan: Which solver.
        n_iters: Updates of M.
        generator: Draws rows for the median and for the AGOP.
    """
    n, space = len(problem.X), None
    if plan.dense:
        # Memory of distances, kernel and factor for all iterations: new memory costs as much as the computation in it.
        space = tuple(problem.X.new_empty(n, n) for _ in range(SOLVER_MATRICES))
    for iteration in range(n_iters + 1):
        step = fitted(problem, M, recipe, plan, iteration, generator, space)
        yield step
        if iteration < n_iters:
            M = updated(problem, step, recipe, generator)


def fitted(
    problem: Problem,
    M: Tensor,
    recipe: Recipe,
    plan: Plan,
    iteration: int,
    generator: torch.Generator,
    space: tuple[Tensor, ...] | None,
) -> Iteration:
    """Return the machine under one M; `space` is memory for the dense solver's `SOLVER_MATRICES`.

    Raises:
        InputError: the bandwidth is so far from the rows' distances that nothing can be computed, or the system so near
            to singular that its solution is not finite.
    """
    metric = problem.metric(M)
    points = metric.points(problem.X)
    L = recipe.bandwidth
    if recipe.bandwidth_scale == "median":
        L *= median_distance(recipe.kernel, points, problem.weights, generator)
    else:
        L /= metric.length
    check_bandwidth(recipe.kernel, points, L, metric.length)
    ridge = points.rows.new_full((len(points),), recipe.ridge)
    if problem.weights is not None:
        # An infinite ridge would be NaN in the solvers; one so large leaves nothing of a row, too.
        digits = torch.finfo(ridge.dtype)
        ridge = (ridge / problem.weights).clamp(max=digits.max * digits.eps)
    pairs, singular = None, list[str]()
    if space is not None:
        distances, K, factor = space
        pairs = replace(recipe.kernel.pairs(points, out=distances), kernel=K, space=factor)
        values = recipe.kernel.value(pairs.values, L, out=K)
        a = solve_dense(values, ridge, problem.Y, factor, problem.weights, singular.append)
    else:
        # A stream of its own: whichever solver is taken, the same rows are drawn for medians and averages.
        landmarks = torch.Generator().manual_seed(generator.initial_seed())
        a = solve_in_blocks(recipe.kernel, points, L, ridge, problem.Y, plan, landmarks, singular.append)
    if not bool(torch.isfinite(a).all()):
        raise InputError("ridge", f"got {recipe.ridge:g}, of which coefficients are not finite; expected a larger one")
    machine = KernelMachine(recipe.kernel, metric, L * metric.length, points.rows, a, problem.unit, problem.scaling)
    return Iteration(iteration, problem, machine, ridge, pairs, " ".join(singular))


def updated(problem: Problem, step: Iteration, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Return the next M: the AGOP, to a power, scaled.

    Raises:
        InputError: the AGOP is not finite; or it is not to be scaled, and too large or too small for float64.
    """
    X, weights, pairs = None, problem.weights, step.pairs
    if recipe.agop_samples is not None and recipe.agop_samples < len(problem.X):
        drawn = torch.randperm(len(problem.X), generator=generator)[: recipe.agop_samples].to(problem.X.device)
        X, weights, pairs = problem.X[drawn], None if weights is None else weights[drawn], None
    agop, unit = step.machine.agop_in_units(X, recipe.center_grads, recipe.diag, weights, pairs)
    largest = float(agop.abs().max())
    if not math.isfinite(largest):
        raise InputError("y", "so large that the AGOP of the fitted machine is not finite; expected smaller targets")
    if largest == 0:
        return step.machine.metric.M
    M = agop / largest
    if recipe.agop_power != 1:
        M = matrix_power(M, recipe.agop_power)
    if recipe.M_scale == "max":
        return M / problem.largest(M)
    if recipe.M_scale == "trace":
        return M * (problem.width / (M.sum() if M.ndim == 1 else M.trace()))
    size = float(torch.tensor(largest * unit * unit, dtype=torch.float64).pow(recipe.agop_power))
    if not torch.finfo(torch.float64).tiny < size < math.inf:
        raise InputError("M_scale", f"got None, but the AGOP's largest entry is {size:.3g}; expected 'max' or 'trace'")
    return M * size
