"""What the regressor and the classifier share: parameters, fitting, what is known afterwards."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_array, check_random_state, check_X_y
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from nfa.common.checks import check_finite, number, one_of, positive
from nfa.common.progress import progress
from nfa.rfm.estimators.tables import as_host, as_tensor, column_encoder, computing_dtype, device_of, encoded_from
from nfa.rfm.estimators.training import Training, weights_of
from nfa.rfm.kernels import kernel_named
from nfa.rfm.machine import KernelMachine
from nfa.rfm.recursion import Problem, Recipe, recursion
from nfa.rfm.saving.saved import Saved
from nfa.rfm.seeds import first_matrix
from nfa.rfm.solving.choosing import plan

SCALES = ("max", "trace")


class BaseRFM(Saved, BaseEstimator):
    """A recursive feature machine; see `RFMRegressor` and `RFMClassifier`."""

    machine_: KernelMachine
    _y_checks: ClassVar[dict[str, bool]] = {}

    def __init__(
        self,
        kernel: str = "laplace",
        *,
        exponent: float = 1.0,
        bandwidth: float = 1.0,
        bandwidth_scale: str | None = "median",
        ridge: float = 1e-3,
        n_iters: int = 3,
        M_init: Any = None,
        M_scale: str | None = "max",
        diag: bool = False,
        center_grads: bool = False,
        agop_power: float = 1.0,
        agop_samples: int | None = None,
        memory_budget: float = 4.0,
        device: Any = None,
        dtype: Any = None,
        random_state: int = 0,
        progress: bool = True,
    ) -> None:
        self.kernel = kernel
        self.exponent = exponent
        self.bandwidth = bandwidth
        self.bandwidth_scale = bandwidth_scale
        self.ridge = ridge
        self.n_iters = n_iters
        self.M_init = M_init
        self.M_scale = M_scale
        self.diag = diag
        self.center_grads = center_grads
        self.agop_power = agop_power
        self.agop_samples = agop_samples
        self.memory_budget = memory_budget
        self.device = device
        self.dtype = dtype
        self.random_state = random_state
        self.progress = progress

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """Show the parameters and, once fitted, the solver."""
        shown = str(super().__repr__(N_CHAR_MAX))
        return f"{shown}: {self.solver_}" if hasattr(self, "solver_") else shown

    def _recipe(self) -> Recipe:
        """Return the parameters of an iteration, checked."""
        bandwidth, agop_power = (number(name, getattr(self, name), True) for name in ("bandwidth", "agop_power"))
        number("memory_budget", self.memory_budget, above_zero=True)
        if self.M_scale is not None:
            one_of("M_scale", self.M_scale, SCALES)
        if self.bandwidth_scale is not None:
            one_of("bandwidth_scale", self.bandwidth_scale, ["median"])
        if self.agop_samples is not None:
            positive("agop_samples", self.agop_samples)
        return Recipe(
            kernel_named(self.kernel, number("exponent", self.exponent)),
            bandwidth,
            self.bandwidth_scale,
            number("ridge", self.ridge),
            self.M_scale,
            self.diag,
            self.center_grads,
            agop_power,
            self.agop_samples,
        )

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to rows X (n x d) and targets y.

        Args:
            X: Array, tensor or data frame.
            y: Numbers, (n,) or (n, c), for a regressor; labels that can be sorted, (n,), for a classifier.
            sample_weight: Shape (n,), at least 0: a row of weight 2 is as two equal rows, one of weight 0 as none.

        Raises:
            ValueError: what scikit-learn's checks refuse.
            InputError: a parameter out of range, a column of dates, or a memory budget too small.
        """
        training = self._training(X, y, sample_weight).present()
        return self._fit(training.rows, self._targets(training.targets, learn=True), training.weights)

    def staged_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Iterator[Self]:
        """Fit as `fit` does, and yield the estimator itself after 0, 1, ..., n_iters updates of M.

        Args:
            X: As for `fit`, as are the others.
            y: Targets.
            sample_weight: Weights.

        >>> from nfa.rfm import RFMRegressor
        >>> X = np.random.default_rng(0).normal(size=(30, 2))
        >>> [one.machine_.metric.root is None for one in RFMRegressor(n_iters=1).staged_fit(X, X[:, 1])]
        [True, False]
        """
        training = self._training(X, y, sample_weight).present()
        yield from self._stages(training.rows, self._targets(training.targets, learn=True), training.weights)

    @abstractmethod
    def _targets(self, y: NDArray[Any], learn: bool) -> Tensor:
        """Return targets as numbers, (n, c), float64; `learn` what kind they are, otherwise hold them to it."""

    def _training(self, X: Any, y: Any, sample_weight: Any) -> Training:
        """Return rows, targets and weights, checked; learns the columns."""
        self._device = device_of(X, self.device)
        X, y, numbers = as_host(X), as_host(y), [np.float64, np.float32]
        self.encoder_ = column_encoder(X)
        if self.encoder_ is None:
            X, y = validate_data(self, X, y, dtype=numbers, **self._y_checks)
            weights = weights_of(sample_weight, X)
        else:
            # The estimator's columns are the frame's; the encoded ones are M's.
            validate_data(self, X, y, skip_check_array=True)
            weights = weights_of(sample_weight, X)
            # Categories of rows that count nothing are not learned.
            self.encoder_.fit(X if weights is None else X[weights > 0])
            X, y = check_X_y(self.encoder_.transform(X), y, dtype=numbers, estimator=self, **self._y_checks)
        self._dtype = computing_dtype(X, self.dtype)
        shares = None if weights is None else as_tensor(weights).to(self._device, self._dtype)
        return Training(self._tensor(X), y, shares)

    def _rows(self, X: Any) -> Tensor:
        """Return rows to predict, checked against the columns that `fit` saw."""
        check_is_fitted(self)
        X = as_host(X)
        if self.encoder_ is not None:
            validate_data(self, X, reset=False, skip_check_array=True)
            return self._tensor(check_array(self.encoder_.transform(X), estimator=self))
        return self._tensor(validate_data(self, X, dtype=[np.float64, np.float32], reset=False))

    def _outputs(self, X: Any) -> NDArray[Any]:
        """Return f(x) for each row, (m, c)."""
        rows = self._rows(X)  # which checks that there is a machine
        return self.machine_.predict(rows).cpu().numpy()

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        found = as_tensor(values).to(self._device, self._dtype)
        check_finite("X", found)  # also what float32 cannot hold
        return found

    def _fit(self, X: Tensor, Y: Tensor, weights: Tensor | None) -> Self:
        """Run the recursion, and keep its last machine."""
        for _ in self._stages(X, Y, weights):
            pass
        return self

    def _stages(self, X: Tensor, Y: Tensor, weights: Tensor | None) -> Iterator[Self]:
        """Run the recursion; keep each of its machines in turn, and yield the estimator."""
        recipe, n_iters = self._recipe(), positive("n_iters", self.n_iters, least=0)
        problem = Problem.of(X, Y.to(X.device), weights, recipe.kernel).fitted()
        solver = plan(len(problem.X), X.element_size(), self.memory_budget)
        self.solver_, self._weights = str(solver), problem.weights
        M = first_matrix(self.M_init, X.shape[1], self.diag).to(X.device)
        generator = torch.Generator().manual_seed(int(check_random_state(self.random_state).randint(2**31)))
        rows = []
        with progress("fitting", n_iters + 1) if self.progress else nullcontext(lambda steps: None) as advance:
            for step in recursion(problem, M, recipe, solver, n_iters, generator):
                rows.append(step.row(M))
                M = step.machine.metric.M
                advance(1)
                yield self._keep(step.machine, pd.DataFrame(rows))

    def _keep(self, machine: KernelMachine, history: pd.DataFrame) -> Self:
        """Set what is known after fitting."""
        self.machine_, self.history_ = machine, history
        self.M_ = machine.metric.M.cpu().numpy()
        self.bandwidth_ = machine.bandwidth
        return self

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """The diagonal of M as shares of its trace: how much f varies along each column of X, (n_features_in_,).

        Columns that one categorical column became count together.
        """
        check_is_fitted(self)
        return self._shares(self.M_)

    def _shares(self, M: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the diagonal of an M on the (encoded) columns of X as shares of its trace."""
        diagonal: NDArray[Any] = M if M.ndim == 1 else M.diagonal()
        if self.encoder_ is not None:
            diagonal = np.bincount(encoded_from(self.encoder_), weights=diagonal, minlength=self.n_features_in_)
        total = diagonal.sum()
        return np.asarray(diagonal / total if total > 0 else diagonal, dtype=np.float64)

    def agop(self, X: Any = None, *, centered: bool = False) -> NDArray[np.float64]:
        """Return the average gradient outer product of the fitted machine, of M's shape, float64.

        AGOP = mean over rows of J'J with J = df/dx; where a row is a training row, that pair counts 0.

        Args:
            X: The rows to average over; None for the training rows, each by its weight.
            centered: Subtract from J its mean over rows.
        """
        check_is_fitted(self)
        rows, weights = (None, self._weights) if X is None else (self._rows(X), None)
        return self.machine_.agop(rows, centered, self.M_.ndim == 1, weights).cpu().numpy()

    def __sklearn_tags__(self) -> Tags:
        """Dense numbers only."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        return tags
