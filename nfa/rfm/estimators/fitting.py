"""One kernel machine, fitted by the recursion to rows and targets: its settings, and the result."""

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from torch import Tensor

from nfa.common.progress import progress
from nfa.rfm.machine import KernelMachine
from nfa.rfm.plain import plain
from nfa.rfm.recursion import Problem, Recipe, recursion
from nfa.rfm.solving.choosing import plan
from nfa.rfm.solving.dense import warn_singular
from nfa.rfm.start import first_matrix


@dataclass(frozen=True, eq=False)
class FitSettings:
    """The settings of a fit; see `RFMRegressor` for the meaning of each.

    Args:
        recipe: What happens in an iteration.
        n_iters: Updates of M.
        M_init: The first M, as `nfa.rfm.start.first_matrix` takes it.
        memory_budget: GiB.
        random_state: A seed, or the `RandomState` to draw one from.
        progress: Whether a bar may be shown.
    """

    recipe: Recipe
    n_iters: int
    M_init: Any
    memory_budget: float
    random_state: Any
    progress: bool


@plain
@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted machine, and the record of its fit.

    Args:
        machine: The machine.
        history: A row per iteration; see `nfa.rfm.recursion.Iteration.row`.
        solver: How it was fitted, in words.
        weights: Of the training rows, (n,), each above 0; None for 1.
    """

    machine: KernelMachine
    history: pd.DataFrame
    solver: str
    weights: Tensor | None

    @cached_property
    def M(self) -> NDArray[np.float64]:
        """The feature matrix, (d, d) or (d,)."""
        return self.machine.metric.M.cpu().numpy()

    @cached_property
    def spectrum(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """M's eigenvalues, largest first, and eigenvectors as rows; the largest entry of each is positive."""
        M = self.machine.metric.M.cpu()
        if M.ndim == 1:
            values, order = M.sort(descending=True, stable=True)
            V = torch.eye(len(M), dtype=M.dtype)[order]
        else:
            values, V = (each.flip(-1) for each in torch.linalg.eigh(M))
            V = V.T
        signs = V.gather(1, V.abs().argmax(1, keepdim=True)).sign()
        return values.numpy(), (V * signs).numpy()

    def components(self, k: int | None) -> NDArray[np.float64]:
        """Return the k top eigenvectors, (k, d); None for those that rounding does not turn.

        By rounding an eigenvector turns by eps / share, its eigenvalue's share of the largest.
        """
        values, V = self.spectrum
        if k is None:
            k = max(1, int((values > math.sqrt(torch.finfo(self.machine.a.dtype).eps) * values[0]).sum()))
        return V[:k]

    def agop(self, rows: Tensor | None, centered: bool) -> NDArray[np.float64]:
        """Return the AGOP over some rows, or (None) over the training rows, each by its weight; of M's shape."""
        weights = self.weights if rows is None else None
        return self.machine.agop(rows, centered, self.M.ndim == 1, weights).cpu().numpy()


def stages(X: Tensor, Y: Tensor, weights: Tensor | None, settings: FitSettings) -> Iterator[Fitted]:
    """Yield the machine after 0, 1, ..., n_iters updates of M.

    Args:
        X: Shape (n, d), on the device and in the dtype of the computation.
        Y: Shape (n, c).
        weights: Shape (n,), at least 0; None for 1.
        settings: Of the fit.

    Raises:
        InputError: a first M that is not possible, or a memory budget that is too small.
    """
    recipe = settings.recipe
    problem = Problem.of(X, Y.to(X.device), weights, recipe.kernel).fitted()
    solver = plan(len(problem.X), X.element_size(), settings.memory_budget)
    M = first_matrix(settings.M_init, X.shape[1], recipe.diag).to(X.device)
    generator = torch.Generator().manual_seed(int(check_random_state(settings.random_state).randint(2**31)))
    rows, singular, n_iters = [], list[str](), settings.n_iters
    with progress("fitting", n_iters + 1) if settings.progress else nullcontext(lambda steps: None) as advance:
        for step in recursion(problem, M, recipe, solver, n_iters, generator):
            rows.append(step.row(M))
            M = step.machine.metric.M
            advance(1)
            if step.singular:
                if not singular:
                    warn_singular(step.singular)
                singular.append(f"after {step.iteration} updates of M {step.singular}")
            words = "; ".join([str(solver), *singular])
            yield Fitted(step.machine, pd.DataFrame(rows), words, problem.weights)


def fitted(X: Tensor, Y: Tensor, weights: Tensor | None, settings: FitSettings) -> Fitted:
    """Return the machine after all updates; see `stages`."""
    *_, last = stages(X, Y, weights, settings)
    return last
