"""One kernel machine, fitted by the recursion to rows and targets: its settings, and the result."""

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from torch import Tensor

from nfa.common.progress import progress
from nfa.rfm.columns import means_and_deviations
from nfa.rfm.coordinates import Coordinates
from nfa.rfm.estimators.support import Support
from nfa.rfm.machine import KernelMachine
from nfa.rfm.metric import Metric
from nfa.rfm.plain import plain
from nfa.rfm.recursion import Problem, Recipe, recursion
from nfa.rfm.solving.choosing import plan
from nfa.rfm.solving.dense import warn_singular
from nfa.rfm.start import first_matrix
from nfa.rfm.targets import Standardisation


@dataclass(frozen=True, eq=False)
class FitSettings:
    """The settings of a fit; see `RFMRegressor` for the meaning of each.

    Args:
        recipe: What happens in an iteration.
        standardisation: What is taken off the targets.
        n_iters: Updates of M.
        M_init: The first M, as `nfa.rfm.start.first_matrix` takes it.
        memory_budget: GiB.
        random_state: A seed, or the `RandomState` to draw one from.
        progress: Whether a bar may be shown.
        ridges: The ridges to choose among, ascending.
        scalings: The scalings of columns to choose among: None, or "std".
        scales: What columns are divided by, (d,), once it is chosen; None for 1.
        said: What was chosen, in words.
        support: What the rows are short for, where they are.
    """

    recipe: Recipe
    standardisation: Standardisation
    n_iters: int
    M_init: Any
    memory_budget: float
    random_state: Any
    progress: bool
    ridges: tuple[float, ...]
    scalings: tuple[str | None, ...]
    scales: Tensor | None = None
    said: str = ""
    support: Support | None = None


@plain
@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted machine, and the record of its fit.

    Args:
        machine: The machine.
        history: A row per iteration; see `nfa.rfm.recursion.Iteration.row`.
        solver: How it was fitted, in words.
        weights: Of the training rows, (n,), each above 0; None for 1.
        diag: Whether M is kept as its diagonal.
        ridge: The ridge.
        deviations: Of the training rows' columns, float64, (d,); None where they are not known, as in older files.
        support: What the machine's rows are short for; None where they are the rows themselves.
    """

    machine: KernelMachine
    history: pd.DataFrame
    solver: str
    weights: Tensor | None
    diag: bool
    ridge: float
    deviations: Tensor | None
    support: Support | None = None

    @cached_property
    def M(self) -> NDArray[np.float64]:
        """The feature matrix in the units of the columns, (d, d), or (d,) with `diag`."""
        return self._spread(self.machine.metric.in_columns(self._dense))

    def _spread(self, M: Tensor) -> NDArray[np.float64]:
        """Return an M or a diagonal of the machine's rows as one of the estimator's."""
        found: NDArray[np.float64] = M.cpu().numpy()
        if self.support is None:
            return found
        return self.support.by_column(found) if found.ndim == 1 else self.support.matrix(found)

    @property
    def width(self) -> int:
        """The number of columns, d."""
        return len(self.machine.metric.center) if self.support is None else self.support.width

    @property
    def rank(self) -> int:
        """Rows of `factor`."""
        metric = self.machine.metric
        if metric.basis is not None:
            return metric.basis.shape[1]
        return self.width if metric.root is None or self.support is None else len(metric.center)

    @property
    def whole(self) -> bool:
        """Whether M is at hand as it is shown, so that no other matrix of its size matters."""
        metric = self.machine.metric
        return self.diag or (metric.M.ndim == 2 and metric.basis is None and self.support is None)

    @property
    def diagonal(self) -> NDArray[np.float64]:
        """The diagonal of M, (d,)."""
        return np.array(self._spread(self.machine.metric.in_columns(self._scaled_diagonal)))

    @property
    def scales(self) -> NDArray[np.float64]:
        """What columns are divided by, (d,)."""
        metric = self.machine.metric
        return np.array(self._spread(torch.ones_like(metric.center) if metric.scales is None else metric.scales))

    @property
    def _scaled_diagonal(self) -> Tensor:
        M, V = self.machine.metric.M, self.machine.metric.basis
        return (V @ M * V).sum(1) if V is not None else M if M.ndim == 1 else M.diagonal()

    @property
    def importances(self) -> NDArray[np.float64]:
        """M_ii var_i over a number, (d,): how much of the rows' squared distances each column makes up.

        M_ii where no column varies, or nothing is known of it.
        """
        if self.deviations is None or not bool(self.deviations.any()):
            return self.diagonal
        # Each factor in the units of the scaled rows: in those of the columns they may be beyond float64.
        M, s = self._scaled_diagonal, self.machine.metric.scales
        deviations = self.deviations if s is None else self.deviations / s
        return np.array(self._spread(M * (deviations / deviations.max()).square()))

    @property
    def factor(self) -> NDArray[np.float64]:
        """R (r, d) with M = R'R."""
        metric = self.machine.metric
        if self.support is not None and metric.root is None and metric.basis is None:
            return np.diag(np.sqrt(self.diagonal))
        root = torch.ones_like(metric.center) if metric.root is None else metric.root
        R = (torch.diag(root) if root.ndim == 1 else root) * math.sqrt(metric.size)
        R = R if metric.basis is None else R @ metric.basis.T
        found: NDArray[np.float64] = (R if metric.scales is None else R / metric.scales).cpu().numpy()
        return found if self.support is None else self.support.directions(found)

    @property
    def _dense(self) -> Tensor:
        M, V = self.machine.metric.M, self.machine.metric.basis
        if V is not None:
            found: Tensor = V @ M @ V.T
            return (found + found.T) / 2
        return torch.diag(M) if M.ndim == 1 and not self.diag else M

    @cached_property
    def eigenvalues(self) -> NDArray[np.float64]:
        """M's, largest first; those in the span of the rows, where M is known by a basis of it."""
        return np.array(self._spectrum[0].numpy())

    @cached_property
    def _spectrum(self) -> tuple[Tensor, Tensor]:
        """M's eigenvalues, largest first, and eigenvectors as rows; of a diagonal M the numbers of their entries."""
        metric = self.machine.metric
        if metric.basis is None and (metric.root is None or metric.root.ndim == 1):
            return torch.from_numpy(self.diagonal).sort(descending=True, stable=True)
        if metric.basis is not None and metric.scales is not None:
            _, roots, V = torch.linalg.svd(torch.from_numpy(self.factor), full_matrices=False)
            return roots.square(), V
        if metric.basis is None:
            values, V = torch.linalg.eigh(metric.in_columns(self._dense).cpu())
        else:
            values, V = torch.linalg.eigh(metric.M.cpu())
            V = metric.basis.cpu() @ V
        V = V.flip(-1).T
        return values.flip(-1), V if self.support is None else torch.from_numpy(self.support.directions(V.numpy()))

    def n_components(self, k: int | None) -> int:
        """Return how many eigenvectors there are of k; None for those that rounding does not turn.

        By rounding an eigenvector turns by eps / share, its eigenvalue's share of the largest.
        """
        values = self.eigenvalues
        if k is not None:
            return min(k, len(values))
        return max(1, int((values > math.sqrt(torch.finfo(self.machine.a.dtype).eps) * values[0]).sum()))

    def components(self, k: int | None) -> NDArray[np.float64]:
        """Return the top eigenvectors, (n_components(k), d); the largest entry of each is positive."""
        k = self.n_components(k)
        _, V = self._spectrum
        if V.ndim == 1:  # unit vectors
            V = torch.zeros(k, len(V), dtype=torch.float64).index_put_(
                (torch.arange(k), V[:k]), torch.ones(()).double()
            )
        V = V[:k]
        return np.array((V * V.gather(1, V.abs().argmax(1, keepdim=True)).sign()).numpy())

    def agop(self, rows: Tensor | None, centered: bool) -> NDArray[np.float64]:
        """Return the AGOP over some rows, or (None) over the training rows, each by its weight; of M's shape."""
        weights = self.weights if rows is None else None
        return self._spread(self.machine.agop(rows, centered, self.diag, weights))


def unfolded(machine: KernelMachine, coordinates: Coordinates, X: Tensor, scales: Tensor | None) -> KernelMachine:
    """Return a machine fitted to coordinates of (scaled) rows X (n x d) as one that takes the rows themselves."""
    metric, center, basis = machine.metric, coordinates.center.to(X.device), coordinates.basis
    unscaled = 1.0 if scales is None else scales
    assert basis is not None, "rows wider than there are rows have a basis"
    if metric.root is None:  # the identity, under which what lies outside of the span counts too
        plain = Metric(torch.ones_like(center), center * unscaled, metric.unit, None, 1.0, scales=scales)
        return replace(machine, metric=plain, centers=plain.rows(X))
    basis, q = basis.to(X.device), basis.shape[1]
    root = metric.root[:q] if metric.root.ndim == 1 else metric.root[:q, :q]
    terms = None if metric.terms is None else metric.terms[:q]
    center = (center + basis @ metric.center[:q]) * unscaled
    spanned = Metric(metric.M[:q, :q].clone(), center, metric.unit, root.clone(), metric.size, terms, basis, scales)
    # Centers by this metric, not those of the fit: its center is rounded anew, and equal rows must stay equal.
    return replace(machine, metric=spanned, centers=spanned.rows(X))


def first_scaled(M_init: Any, d: int, diag: bool, scales: Tensor | None) -> Tensor:
    """Return the first M of scaled rows: the identity, or `M_init`, which is in the units of the columns."""
    M = first_matrix(M_init, d, diag)
    if M_init is None or scales is None:
        return M
    scales = scales.cpu()
    return M * (scales.square() if diag else scales[:, None] * scales)


def coordinates_for(X: Tensor, recipe: Recipe, M_init: Any) -> Coordinates | None:
    """Return the coordinates that a fit is as well done in: of rows wider than there are rows, from the identity.

    Only kernels of distances do not depend on the axes, and only a whole M may be turned.
    """
    if X.shape[1] <= len(X) or not recipe.kernel.radial or recipe.diag or M_init is not None:
        return None
    found = Coordinates.of(X, None)
    return found if found.basis is not None and found.basis.shape[1] else None


def scaled(X: Tensor, scales: Tensor | None) -> Tensor:
    """Return rows X over the scales of their columns, in X's dtype."""
    return X if scales is None else (X.double() / scales).to(X.dtype)


def stages(
    X: Tensor, Y: Tensor, weights: Tensor | None, settings: FitSettings, coordinates: Coordinates | None = None
) -> Iterator[Fitted]:
    """Yield the machine after 0, 1, ..., n_iters updates of M.

    Args:
        X: Shape (n, d), on the device and in the dtype of the computation.
        Y: Shape (n, c).
        weights: Shape (n,), at least 0; None for 1.
        settings: Of the fit, with one ridge and one scaling.
        coordinates: Of the scaled rows, to compute in; None for these themselves.

    Raises:
        InputError: a first M that is not possible, or a memory budget that is too small.
    """
    recipe = settings.recipe
    scales = settings.scales
    rows = X if coordinates is None else coordinates.rows(scaled(X, scales)).to(X.device)
    inside = scales if coordinates is None else None
    problem = Problem.of(rows, Y.to(X.device), weights, recipe.kernel, settings.standardisation, inside).fitted()
    if coordinates is not None and coordinates.basis is not None:
        problem = replace(problem, basis=coordinates.basis.to(X.device), columns=X.shape[1])
    if settings.support is not None:
        problem = replace(problem, columns=settings.support.width)
    solver = plan(len(problem.X), X.element_size(), settings.memory_budget)
    M = first_scaled(settings.M_init, rows.shape[1], recipe.diag, inside).to(X.device)
    _, spread = means_and_deviations(X, weights)
    generator = torch.Generator().manual_seed(int(check_random_state(settings.random_state).randint(2**31)))
    table, singular, n_iters = [], list[str](), settings.n_iters
    with progress("fitting", n_iters + 1) if settings.progress else nullcontext(lambda steps: None) as advance:
        for step in recursion(problem, M, recipe, solver, n_iters, generator):
            table.append(step.row(M))
            M = step.machine.metric.M
            advance(1)
            if step.singular:
                if not singular:
                    warn_singular(step.singular)
                singular.append(f"after {step.iteration} updates of M {step.singular}")
            words = "; ".join(filter(None, [str(solver), settings.said, *singular]))
            machine = step.machine if coordinates is None else unfolded(step.machine, coordinates, X, scales)
            about = (problem.weights, recipe.diag, recipe.ridge, spread, settings.support)
            yield Fitted(machine, pd.DataFrame(table), words, *about)


def fitted(X: Tensor, Y: Tensor, weights: Tensor | None, settings: FitSettings) -> Fitted:
    """Return the machine after all updates; see `stages`."""
    *_, last = stages(X, Y, weights, settings)
    return last
