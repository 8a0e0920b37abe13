"""Choose kernel, bandwidth, ridge and the number of updates of M by rows that the machine has not seen.

Leave-one-out is exact while M is fixed, so it can rank bandwidths and ridges under the first M. After an update, M has
seen every label, and leave-one-out is no estimate any more. So the whole path, from the first M on, is fitted again
without the rows that judge it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfa.common.budget import GIB
from nfa.rfm.bandwidth import check_bandwidth, median_distance
from nfa.rfm.recursion import Problem, Recipe, recursion
from nfa.rfm.solving.choosing import plan
from nfa.rfm.solving.leave_one_out import leave_one_out

LEFT_OUT_ROWS = 2000
"""At most this many rows are left out one by one; of more, as many are drawn with the seed. Leave-one-out takes an
eigendecomposition, many times the work of a fit, and the shortlist is judged on all rows anyway."""
LEFT_OUT_MATRICES = 8
"""Matrices of n x n in float64 that leave-one-out holds at once, including those of the eigendecomposition."""
FIRST_UPDATES = 1
"""Updates of M that every shortlisted recipe is tried with. Only the best of them is tried with more."""

Split = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Numbers of the rows to fit and of the rows to judge by."""

Loss = Callable[[Tensor, Tensor, Tensor | None], float]
"""The mean loss of outputs (n x c) for targets (n x c) with weights (n,) or None."""


@dataclass(frozen=True)
class Ranked:
    """A recipe and its leave-one-out loss under the first M."""

    recipe: Recipe
    loss: float


def leave_one_out_rows(memory_budget: float) -> int:
    """Return how many rows are left out one by one: `LEFT_OUT_ROWS`, or as many as the budget in GiB allows.

    >>> leave_one_out_rows(4.0), leave_one_out_rows(0.125)
    (2000, 1448)
    """
    return max(2, min(LEFT_OUT_ROWS, math.isqrt(int(memory_budget * GIB) // (LEFT_OUT_MATRICES * 8))))


def ranked(
    problem: Problem, M: Tensor, recipes: Sequence[Recipe], ridges: Sequence[float], loss: Loss, seed: int, most: int
) -> list[Ranked]:
    """Return every recipe with every ridge, by leave-one-out loss under a fixed M, best first.

    Args:
        problem: Rows and targets.
        M: The feature matrix.
        recipes: Of one kernel.
        ridges: Each above 0.
        loss: Of outputs and targets as they were given.
        seed: Draws `most` of more rows, and the median's rows.
        most: Rows to leave out; see `leave_one_out_rows`.

    Raises:
        InputError: a bandwidth that the kernel cannot be computed with.
    """
    generator = torch.Generator().manual_seed(seed)
    if len(problem.X) > most:
        problem = problem.fitted(torch.randperm(len(problem.X), generator=generator)[:most].to(problem.X.device))
    metric, kernel = problem.metric(M), recipes[0].kernel
    points, centered = metric.points(problem.X), problem.standardisation.centered
    pairs = kernel.pairs(points).values
    median = median_distance(kernel, points, problem.weights, generator)
    found = []
    for recipe in recipes:
        L = recipe.bandwidth * (median if recipe.bandwidth_scale == "median" else 1 / metric.length)
        check_bandwidth(kernel, points, L, metric.length)
        outputs = leave_one_out(kernel.value(pairs, L), problem.Y, problem.weights, ridges, centered)
        for ridge, each in zip(ridges, outputs, strict=True):
            found.append(Ranked(replace(recipe, ridge=ridge), loss(problem.given(each), problem.y, problem.weights)))
    return sorted(found, key=lambda each: each.loss)


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Cross-validation: how well the machines of a path predict rows that they were not fitted on.

    Args:
        problem: All rows.
        splits: Numbers of the rows to fit and of the rows to judge by, in turn.
        loss: The loss to minimise.
        memory_budget: GiB.
        seed: Of all that a path draws.
        advance: Called with 1 when a path has been followed on one split.
    """

    problem: Problem
    splits: Sequence[Split]
    loss: Loss
    memory_budget: float
    seed: int
    advance: Callable[[int], None]

    @cached_property
    def judged(self) -> Tensor:
        """Numbers of the rows to judge by, split after split; a row is there once for each split that judges by it."""
        return torch.from_numpy(np.concatenate([test for _, test in self.splits])).to(self.problem.X.device)

    def path(self, M: Tensor, recipe: Recipe, n_iters: int) -> list["Tried"]:
        """Try a recipe with 0, 1, ..., n_iters updates; its path is fitted again for each split."""
        problem, device = self.problem, self.problem.X.device
        outputs: list[list[Tensor]] = [[] for _ in range(n_iters + 1)]
        for train, test in self.splits:
            part = problem.fitted(torch.from_numpy(train).to(device))
            rows = problem.X[torch.from_numpy(test).to(device)]
            solver = plan(len(part.X), part.X.element_size(), self.memory_budget)
            generator = torch.Generator().manual_seed(self.seed)
            for step in recursion(part, M, recipe, solver, n_iters, generator):
                outputs[step.iteration].append(step.machine.outputs(rows))
            self.advance(1)
        targets, weights = problem.y[self.judged], None if problem.weights is None else problem.weights[self.judged]
        found = [torch.cat(parts) for parts in outputs]
        return [Tried(recipe, number, self.loss(each, targets, weights), each) for number, each in enumerate(found)]


@dataclass(frozen=True, eq=False)
class Tried:
    """A recipe after some updates of M: its loss on the judged rows, and its outputs for them, (len(judged), c)."""

    recipe: Recipe
    n_iters: int
    loss: float
    outputs: Tensor


def tried_paths(validation: CrossValidation, M: Tensor, ranking: Sequence[Ranked], max_iters: int) -> list[Tried]:
    """Try shortlisted recipes: each with `FIRST_UPDATES` updates of M, and the best of them with `max_iters`."""
    found = [one for each in ranking for one in validation.path(M, each.recipe, min(FIRST_UPDATES, max_iters))]
    if max_iters > FIRST_UPDATES:
        leader = min(found, key=lambda one: one.loss).recipe
        found += validation.path(M, leader, max_iters)[FIRST_UPDATES + 1 :]
    return found
