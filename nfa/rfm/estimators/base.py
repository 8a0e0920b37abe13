"""The base of all estimators: parameters, tables in and arrays out, and the attributes of the fitted machine."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils import Tags, check_array, check_random_state, check_X_y
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from nfa.common.budget import GIB
from nfa.common.checks import check_finite, truth
from nfa.common.errors import InputError
from nfa.rfm.estimators.fitting import FitSettings, Fitted
from nfa.rfm.estimators.frames import (
    categorical_columns,
    column_encoder,
    encoded_columns,
    encoded_from,
    plain_frame,
    warn_of_unseen,
)
from nfa.rfm.estimators.parameters import (
    Constraint,
    above_zero,
    among_or_none,
    anything,
    checked,
    either,
    not_negative,
    optional,
    whole,
)
from nfa.rfm.estimators.showing import shown_parameters
from nfa.rfm.estimators.support import Support, dense
from nfa.rfm.estimators.tables import as_host, as_targets, as_tensor, computing_dtype, device_of
from nfa.rfm.estimators.training import TrainingData, weights_of
from nfa.rfm.kernels import kernel_named
from nfa.rfm.machine import KernelMachine
from nfa.rfm.recursion import Recipe
from nfa.rfm.saving.mixin import SavedMixin
from nfa.rfm.targets import Standardisation

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer

IN_RECIPE = ("bandwidth", "bandwidth_scale", "M_scale", "diag", "center_grads", "agop_power", "agop_samples")
"""Parameters that a `Recipe` has under the same name."""
IN_SETTINGS = ("n_iters", "M_init", "memory_budget", "random_state", "progress")
"""Parameters that `FitSettings` have under the same name."""
RIDGES = tuple(10 ** (k / 2) for k in range(-6, 3))
"""The ridges that "auto" chooses among."""


class BaseRFM(SavedMixin, BaseEstimator):
    """An estimator made of recursive feature machines; see `RFMRegressor` for the parameters."""

    _constraints: ClassVar[dict[str, Constraint]] = {
        "kernel": anything,  # checked together with its exponent
        "exponent": not_negative,
        "bandwidth": above_zero,
        "bandwidth_scale": among_or_none(["median"]),
        "ridge": either("auto", not_negative),
        "scale": among_or_none(["auto", "std"]),
        "fit_intercept": truth,
        "scale_targets": truth,
        "n_iters": whole(0),
        "M_init": anything,
        "M_scale": among_or_none(["max", "trace"]),
        "diag": truth,
        "center_grads": truth,
        "agop_power": above_zero,
        "agop_samples": optional(whole(1)),
        "memory_budget": above_zero,
        "random_state": anything,
        "progress": truth,
    }
    _y_checks: ClassVar[dict[str, bool]] = {}
    encoder_: "ColumnTransformer | None"
    _takes_short_rows: bool = False
    """Whether the machine may be fitted to sparse rows' used columns alone."""
    _support: Support | None = None

    def __init__(
        self,
        kernel: str = "laplace",
        *,
        exponent: float = 1.0,
        bandwidth: float = 1.0,
        bandwidth_scale: str | None = "median",
        ridge: float | str = "auto",
        scale: str | None = "auto",
        fit_intercept: bool = True,
        scale_targets: bool = True,
        n_iters: int = 3,
        M_init: Any = None,
        M_scale: str | None = "max",
        diag: bool = False,
        center_grads: bool = False,
        agop_power: float = 0.5,
        agop_samples: int | None = None,
        n_components: int | None = None,
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
        self.scale = scale
        self.fit_intercept = fit_intercept
        self.scale_targets = scale_targets
        self.n_iters = n_iters
        self.M_init = M_init
        self.M_scale = M_scale
        self.diag = diag
        self.center_grads = center_grads
        self.agop_power = agop_power
        self.agop_samples = agop_samples
        self.n_components = n_components
        self.memory_budget = memory_budget
        self.device = device
        self.dtype = dtype
        self.random_state = random_state
        self.progress = progress

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """Show the parameters and, once fitted, the solver."""
        shown = shown_parameters(self, N_CHAR_MAX)
        return f"{shown}: {self.solver_}" if hasattr(self, "solver_") else shown

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to rows X (n x d) and targets y.

        Args:
            X: Array, tensor, data frame or sparse matrix.
            y: Numbers, (n,) or (n, c), for a regressor; labels that can be sorted, (n,), for a classifier.
            sample_weight: Shape (n,), at least 0. A row of weight 2 counts as two equal rows, one of weight 0 as none.

        Raises:
            ValueError: what scikit-learn's checks refuse.
            InputError: a parameter out of range, a column of dates, or a memory budget too small.
        """
        training = self._training(X, y, sample_weight).present()
        self._fit(training.rows, self._targets(training.targets, learn=True), training.weights)
        return self

    def agop(self, X: Any = None, *, centered: bool = False) -> NDArray[np.float64]:
        """Return the average gradient outer product of the fitted machine, of M's shape, float64.

        AGOP = mean over rows of J'J with J = df/dx; where a row is a training row, that pair counts 0.

        Args:
            X: The rows to average over; None for the training rows, each by its weight.
            centered: Subtract from J its mean over rows.
        """
        fitted = self._output_machine
        self._check_size("agop", fitted.width, "gradients(X) are of a row each")
        return fitted.agop(None if X is None else self._rows(X), centered)

    @abstractmethod
    def _targets(self, y: NDArray[Any], learn: bool) -> Tensor:
        """Return targets as numbers, (n, c), float64; `learn` their kind, or else check that they are of it."""

    @abstractmethod
    def _answered(self, outputs: NDArray[Any], temperature: float | None) -> NDArray[Any]:
        """Return what is predicted, from outputs (m, c) and the temperature of their probabilities."""

    @abstractmethod
    def _fit(self, X: Tensor, Y: Tensor, weights: Tensor | None) -> None:
        """Fit the machines to rows, targets and weights."""

    def predict(self, X: Any) -> NDArray[Any]:
        """Return predictions for rows X (m x d): labels, or numbers of y's shape in the dtype of the computation."""
        return self._answered(self._outputs(X), getattr(self, "temperature_", None))

    def _weighted(self, y: NDArray[Any], weights: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        """Return the rows' weights, those of classes among them."""
        return weights

    @property
    @abstractmethod
    def _output_machine(self) -> Fitted:
        """The machine whose outputs are the estimator's; raises `NotFittedError` where there is none yet."""

    @property
    def machine_(self) -> KernelMachine:
        """The fitted kernel machine."""
        return self._output_machine.machine

    @property
    def M_(self) -> NDArray[np.float64]:
        """Its feature matrix, (d, d), or (d,) where M is kept diagonal; made when it is asked for.

        Raises:
            InputError: beyond `memory_budget`; `M_factor_` takes less where there are more columns than rows.
        """
        fitted = self._output_machine
        self._check_size("M_", fitted.width, "M_factor_ is R (r x d) with M = R'R")
        return fitted.M

    @property
    def M_factor_(self) -> NDArray[np.float64]:
        """R (r, d) with M = R'R; r is at most n where there are more columns than rows, once M is not the identity.

        Raises:
            InputError: beyond `memory_budget`.
        """
        fitted = self._output_machine
        self._check_size("M_factor_", fitted.rank, "M is a multiple of the identity, or diagonal")
        return fitted.factor

    @property
    def bandwidth_(self) -> float:
        """Its bandwidth L, in the units of its rows."""
        return self._output_machine.machine.bandwidth

    @property
    def history_(self) -> pd.DataFrame:
        """A row per iteration."""
        return self._output_machine.history

    @property
    def solver_(self) -> str:
        """How it was fitted, in words."""
        return self._output_machine.solver

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """Shares of M_ii var_i, how much f varies by each column of X, whatever its unit; (n_features_in_,).

        var_i is the variance of the column. Columns that one categorical column became count together.
        """
        return self._shares(self._output_machine.importances)

    def _settings(self) -> FitSettings:
        """Return the settings of a fit by these parameters, checked."""
        found = checked(self, self._constraints)
        kernel = kernel_named(found["kernel"], found["exponent"])
        recipe = Recipe(kernel, **{name: found[name] for name in IN_RECIPE})
        # The one-hot rows of classes are of one unit.
        scaled = not is_classifier(self) and found["scale_targets"]
        standardisation = Standardisation(found["fit_intercept"], scaled)
        ridges = RIDGES if found["ridge"] == "auto" else (found["ridge"],)
        scalings: tuple[str | None, ...] = (found["scale"],)
        if found["scale"] == "auto":
            # A first M says what the columns' units are worth.
            scalings = (None, "std") if found["M_init"] is None else (None,)
        given = {name: found[name] for name in IN_SETTINGS}
        return FitSettings(recipe, standardisation, ridges=ridges, scalings=scalings, **given)

    def _training(self, X: Any, y: Any, sample_weight: Any) -> TrainingData:
        """Return rows, targets and weights, checked; learns the columns."""
        self._device = device_of(X, self.device)
        X, y, numbers = as_host("X", X), as_targets("y", y), [np.float64, np.float32]
        self.encoder_, self._support, categories = None, None, list[int]()
        if isinstance(X, pd.DataFrame):
            categories = categorical_columns(X)
            X = plain_frame(X, categories)
        if not categories:
            X, y = validate_data(self, X, y, dtype=numbers, accept_sparse="csr", **self._y_checks)
            short = sparse.issparse(X) and self._takes_short_rows and self.M_init is None
            if short and X.shape[1] > X.shape[0]:
                self._support = Support.of(X, absolute=self.kernel == "l1")
            X = self._dense(X, fitting=True)
            weights = self._weighted(y, weights_of(sample_weight, X))
        else:
            # The estimator's columns are the frame's; the encoded ones are M's.
            validate_data(self, X, y, skip_check_array=True)
            weights = weights_of(sample_weight, X)
            _, y = check_X_y(np.zeros((len(X), 1)), y, estimator=self, **self._y_checks)
            weights = self._weighted(y, weights)
            X = check_array(self._encoded(X, y, weights, categories), dtype=numbers, estimator=self)
        self._dtype = computing_dtype(X, self.dtype)
        shares = None if weights is None else as_tensor(weights).to(self._device, self._dtype)
        return TrainingData(self._tensor(X), y, shares)

    def _rows(self, X: Any) -> Tensor:
        """Return new rows, checked against the columns that `fit` saw."""
        check_is_fitted(self)
        X = as_host("X", X)
        encoder = self.encoder_
        if encoder is not None:
            validate_data(self, X, reset=False, skip_check_array=True)
            frame = X if isinstance(X, pd.DataFrame) else self._as_frame(X)
            frame = plain_frame(frame, list(encoded_columns(encoder)))
            warn_of_unseen(encoder, frame)
            return self._tensor(check_array(encoder.transform(frame), estimator=self))
        return self._tensor(self._dense(self._numbers(X), fitting=False))

    def _numbers(self, X: Any) -> Any:
        """Return new rows of numbers, an array or CSR, checked against the columns that `fit` saw."""
        if isinstance(X, pd.DataFrame):
            X = plain_frame(X, [])
        return validate_data(self, X, dtype=[np.float64, np.float32], accept_sparse="csr", reset=False)

    def _encoded(self, X: pd.DataFrame, y: NDArray[Any], weights: NDArray[Any] | None, categories: list[int]) -> Any:
        """Return a frame's rows as numbers; learns the categories of the rows that count."""
        counted = np.ones(len(X), dtype=bool) if weights is None else weights > 0
        some, seed = X[counted], int(check_random_state(self.random_state).randint(2**31))
        weighted = weights is not None and np.ptp(weights[counted]) > 0
        encoder = self.encoder_ = column_encoder(some, categories, seed, bool(weighted))
        targets = self._targets(y[counted], learn=True)
        if is_classifier(self):
            targets = targets[:, -1:] if targets.shape[1] <= 2 else targets
        else:  # in no units, as the other encoded columns are
            deviations = targets.std(0, correction=0)
            targets = (targets - targets.mean(0)) / deviations.where(deviations > 0, 1)
        # What is made of targets is cross-fitted: a row is not told its own.
        found = encoder.fit_transform(some, targets.numpy())
        if counted.all():
            return found
        rows = encoder.transform(X)
        rows[counted] = found
        return rows

    def _dense(self, X: Any, fitting: bool) -> NDArray[Any]:
        """Return rows as an array, also sparse ones; of wide ones those of the columns in use."""
        (n, d), support = X.shape, self._support
        wide = (d if support is None else support.size) > n
        spanned = wide and kernel_named(self.kernel, self.exponent).radial and self.M_init is None
        budget = checked(self, {"memory_budget": above_zero})["memory_budget"]
        return dense(X, support, budget, square=fitting and not self.diag and not spanned)

    def _check_size(self, name: str, rows: int, instead: str) -> None:
        """Raise if a matrix (rows, d) that is not there yet is beyond the memory budget."""
        fitted, budget = self._output_machine, checked(self, {"memory_budget": above_zero})["memory_budget"]
        d = fitted.width
        if not fitted.whole and rows * d * 8 > budget * GIB:
            raise InputError(name, f"{rows:,} x {d:,} is beyond memory_budget={budget:g} GiB; {instead}")

    def _as_frame(self, X: Any) -> pd.DataFrame:
        """Return an array's rows as a frame, for a machine that was fitted to one."""
        return pd.DataFrame(np.asarray(X), columns=getattr(self, "feature_names_in_", None))

    def _outputs(self, X: Any) -> NDArray[Any]:
        """Return f(x) for each row, (m, c)."""
        machine = self.machine_
        return machine.predict(self._rows(X)).cpu().numpy()

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        found = as_tensor(values).to(self._device, self._dtype)
        check_finite("X", found)  # also what float32 cannot hold
        return found

    def _shares(self, M: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the diagonal of an M on the (encoded) columns of X as shares of its trace."""
        diagonal: NDArray[Any] = M if M.ndim == 1 else M.diagonal()
        if self.encoder_ is not None:
            diagonal = np.bincount(encoded_from(self.encoder_), weights=diagonal, minlength=self.n_features_in_)
        total = diagonal.sum()
        return np.asarray(diagonal / total if total > 0 else diagonal, dtype=np.float64)

    def __sklearn_tags__(self) -> Tags:
        """Numbers, also in sparse rows."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
