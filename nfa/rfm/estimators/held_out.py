"""A classifier's temperature, by predictions for rows that the machine and its M have not seen."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfa.rfm.calibration import best_temperature
from nfa.rfm.coordinates import Coordinates
from nfa.rfm.estimators.fitting import FitSettings, first_scaled, scaled
from nfa.rfm.recursion import Problem
from nfa.rfm.selection import CrossValidation, Split

FEWEST_FOLDS, MOST_FOLDS = 3, 10
"""Each judges a part of the rows by the whole path of machines fitted to the others."""
FITTED_ROWS = 2000
"""Folds times rows, about: so few rows are judged by machines that have seen nearly as many as the last one. Without a
third of 60 rows, machines are so much worse that the temperature is far too high."""
JUDGED_ROWS = 750
"""At most this many rows are judged and fitted for it; of more, as many are drawn."""
FEW_ROWS = 600
"""Up to this many rows every fold judges; of more, one fold is enough for one number, and takes a third of the time."""


def folds(n: int) -> list[Split]:
    """Return numbers of the rows, of n, to fit and to judge by; these do not depend on a seed.

    >>> [(len(train), len(test)) for train, test in folds(20)][:2], len(folds(600)), len(folds(601))
    ([(18, 2), (18, 2)], 3, 1)
    """
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0), device="cpu")[:JUDGED_ROWS].numpy()
    several = min(max(FEWEST_FOLDS, min(MOST_FOLDS, FITTED_ROWS // n)), n)
    number = np.arange(len(order)) % several
    return [(order[number != fold], order[number == fold]) for fold in range(several if n <= FEW_ROWS else 1)]


def outwards(X: Tensor) -> NDArray[np.int64]:
    """Return numbers of the rows (n x d), (n,), those nearest to the mean row first.

    So folds are the same whatever the order and the signs of columns. Of rows in the order of their entries, equally
    far ones keep it.

    >>> outwards(torch.tensor([[0.0, 9.0], [1.0, 1.0], [-2.0, 0.0]])).tolist()
    [1, 2, 0]
    """
    rows = X.double()
    found: NDArray[np.int64] = (rows - rows.mean(0)).square().sum(1).argsort(stable=True).cpu().numpy()
    return found


def temperatures(
    X: Tensor, Y: Tensor, weights: Tensor | None, settings: FitSettings, coordinates: Coordinates | None
) -> list[float]:
    """Return the temperature of the machine after 0, 1, ... updates of M; 1 where a single row tells nothing.

    Leave-one-out under an updated M would not do: M has seen all labels, so that on noise it is sure of itself. So the
    path is fitted again without the rows that judge it. Equal rows are in one fold.

    Args:
        X: Shape (n, d).
        Y: One-hot, (n, c).
        weights: Of the rows, above 0; None for 1.
        settings: Of the fit, with one ridge and one scaling.
        coordinates: Of the scaled rows, to compute in; None for these themselves.
    """
    recipe, scales, standardisation = settings.recipe, settings.scales, settings.standardisation
    problem = Problem.of(X, Y.to(X.device), weights, recipe.kernel, standardisation, scales).distinct()
    rows = scaled(problem.X, scales)
    order = outwards(rows)
    if coordinates is not None:
        rows, scales = coordinates.rows(rows).to(X.device), None
        problem = Problem.of(rows, problem.y, problem.weights, recipe.kernel, standardisation)
    if len(problem.X) == 1:
        return [1.0] * (settings.n_iters + 1)
    splits = [(order[train], order[test]) for train, test in folds(len(order))]
    judge = CrossValidation(problem, splits, lambda *given: 0.0, settings.memory_budget, 0, lambda steps: None)
    M = first_scaled(settings.M_init, problem.X.shape[1], recipe.diag, scales).to(X.device)
    targets, prior = problem.y[judge.judged], prior_of(problem)
    shares = None if problem.weights is None else problem.weights[judge.judged]
    paths = judge.path(M, recipe, settings.n_iters)
    return [best_temperature(each.outputs, targets, shares, prior)[0] for each in paths]


def prior_of(problem: Problem) -> Tensor | None:
    """Return the classes' shares, which is what an intercept takes off one-hot targets; None without one."""
    return problem.scaling.offset if problem.standardisation.centered else None
