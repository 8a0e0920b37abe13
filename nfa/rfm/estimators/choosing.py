"""What a plain estimator chooses by itself before it is fitted: the ridge, and whether columns are scaled."""

from dataclasses import replace

import torch
from torch import Tensor

from nfa.rfm.columns import column_scales
from nfa.rfm.estimators.fitting import FitSettings, first_scaled
from nfa.rfm.losses import squared_loss
from nfa.rfm.recursion import Problem
from nfa.rfm.selection import Ranked, leave_one_out_rows, ranked

CHOOSING_ROWS = 1000
"""At most this many rows are left out one by one; of more, as many are drawn. Which does not depend on the seed."""
LEAST_RIDGE = 1e-9
"""Leave-one-out needs a ridge above 0."""


def chosen(X: Tensor, Y: Tensor, weights: Tensor | None, settings: FitSettings) -> FitSettings:
    """Return settings with one ridge and one scaling of columns: those of the least leave-one-out error.

    Leave-one-out is exact under the first M, which has not seen the targets; the ridge is kept for all updates. Of
    scalings with the same error the first is taken, of ridges the smallest.

    Args:
        X: Shape (n, d), in the dtype of the computation.
        Y: Targets, (n, c).
        weights: Shape (n,), above 0; None for 1.
        settings: Of the fit; M_init is in the units of X.

    Raises:
        InputError: as `nfa.rfm.selection.ranked`.
    """
    found: list[tuple[Ranked, str | None, Tensor | None]] = []
    for scaling in settings.scalings:
        scales = None if scaling is None else column_scales(X, weights)
        if len(settings.scalings) == len(settings.ridges) == 1:
            recipe = replace(settings.recipe, ridge=settings.ridges[0])
            return replace(settings, recipe=recipe, scales=scales)
        found.append((_best(X, Y.to(X.device), weights, settings, scales), scaling, scales))
    best, scaling, scales = min(found, key=lambda each: each[0].loss)
    recipe, words = replace(best.recipe, ridge=best.recipe.ridge), []
    if len(settings.ridges) > 1:
        words.append(f"ridge {best.recipe.ridge:.3g}")
    else:
        recipe = replace(recipe, ridge=settings.ridges[0])
    if len(settings.scalings) > 1:
        words.append("columns as they are" if scaling is None else "columns in units of their standard deviations")
    said = f"{', '.join(words)} (by leave-one-out)"
    return replace(settings, recipe=recipe, scales=scales, scalings=(scaling,), ridges=(recipe.ridge,), said=said)


def _best(X: Tensor, Y: Tensor, weights: Tensor | None, settings: FitSettings, scales: Tensor | None) -> Ranked:
    """Return the ridge of the least error under a scaling."""
    recipe = settings.recipe
    problem = Problem.of(X, Y, weights, recipe.kernel, settings.standardisation, scales)

    def loss(outputs: Tensor, targets: Tensor, weights: Tensor | None) -> float:
        found = squared_loss(outputs / problem.units, targets / problem.units, weights)
        return found if found == found else float("inf")

    M = torch.ones(X.shape[1], dtype=torch.float64, device="cpu")
    if settings.M_init is not None:
        M = first_scaled(settings.M_init, X.shape[1], recipe.diag, scales)
    ridges = [max(ridge, LEAST_RIDGE) for ridge in settings.ridges]
    most = min(CHOOSING_ROWS, leave_one_out_rows(settings.memory_budget))
    # Equal rows are left out together, so that a weight of 2 is two rows here, too.
    return ranked(problem.distinct(), M.to(X.device), [recipe], ridges, loss, 0, most)[0]
