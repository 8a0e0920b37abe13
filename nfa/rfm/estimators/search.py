"""Estimators that choose their own kernel, bandwidth, ridge and number of updates."""

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, check_cv
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from torch import Tensor

from nfa.common.checks import check_finite, positive
from nfa.common.errors import InputError
from nfa.common.progress import progress
from nfa.rfm.estimators.base import BaseRFM
from nfa.rfm.estimators.choosing import chosen
from nfa.rfm.estimators.fitting import FitSettings, coordinates_for, first_scaled, scaled
from nfa.rfm.estimators.parameters import Constraints, above_zero, anything, checked, list_of, not_negative, whole
from nfa.rfm.estimators.showing import shown_parameters
from nfa.rfm.estimators.single import SingleRFM
from nfa.rfm.estimators.tables import as_host, as_targets
from nfa.rfm.estimators.training import TrainingData, weights_of
from nfa.rfm.kernels import kernel_named
from nfa.rfm.recursion import Problem, Recipe
from nfa.rfm.saving.mixin import SavedMixin
from nfa.rfm.selection import FIRST_UPDATES, CrossValidation, Loss, Split, leave_one_out_rows, ranked, tried_paths

DIAGONAL = ("l1", "power")
"""Kernels whose M is kept diagonal: "l1" for its cost, "power" since it then adds most to what the others find."""


PASSED_ON = (
    *(
        "scale",
        "fit_intercept",
        "M_init",
        "center_grads",
        "agop_power",
        "agop_samples",
        "n_components",
        "memory_budget",
    ),
    *("device", "dtype", "random_state", "progress"),
)
"""Parameters that every machine of a search gets as they are given."""


@dataclass(frozen=True)
class Criterion:
    """The loss and the score that a search reports.

    Args:
        shown: From the units and the loss: the loss as the tables show it.
        score: From outputs, targets and weights: what is reported.
    """

    shown: Callable[[Tensor, float], float]
    score: Callable[[NDArray[Any], NDArray[Any], NDArray[Any] | None], float]


def of_best(name: str, meaning: str) -> Any:
    """Return a property that reads an attribute of the chosen machine."""

    def get(search: "BaseSearch") -> Any:
        check_is_fitted(search)
        return getattr(search.best_estimator_, name)

    return property(get, doc=meaning)


class BaseSearch(ClassNamePrefixFeaturesOutMixin, TransformerMixin, SavedMixin, BaseEstimator):
    """A search over kernels, bandwidths, ridges and numbers of updates; see `RFMClassifierCV` and `RFMRegressorCV`.

    It has the estimator that it chose, `best_estimator_`; all attributes but the tables of the search are read from it.
    """

    searched: ClassVar[type[SingleRFM]]
    """The class of the machines that it chooses from."""
    _criterion: ClassVar[Criterion]
    _passed: ClassVar[tuple[str, ...]] = PASSED_ON
    _constraints: ClassVar[Constraints] = {
        "kernels": list_of(anything),
        "exponent": not_negative,
        "bandwidths": list_of(anything),
        "ridges": list_of(above_zero),
        "max_iters": whole(0),
        "shortlist": whole(1),
    }
    best_estimator_: Any

    solver_ = of_best("solver_", "How the machine that was chosen was fitted, in words.")
    components_ = of_best("components_", "The top eigenvectors of `M_`, (n_components, d).")
    M_ = of_best("M_", "The feature matrix of the machine that was chosen.")
    feature_importances_ = of_best("feature_importances_", "Shares of M_ii var_i, by column; see `RFMRegressor`.")
    history_ = of_best("history_", "A row per iteration of the machine that was chosen.")
    scale_ = of_best("scale_", "What each column is divided by, (d,).")
    ridge_ = of_best("ridge_", "The ridge that was chosen.")
    n_features_in_ = of_best("n_features_in_", "The number of columns of X.")
    feature_names_in_ = of_best("feature_names_in_", "The columns' names, where X had names.")

    def __init__(
        self,
        kernels: Sequence[str] = ("laplace", "gaussian", "l1", "power"),
        *,
        exponent: float = 0.6,
        bandwidths: Sequence[float] = (1.0, 2.0, 4.0),
        ridges: Sequence[float] = (1e-3, 1e-2, 1e-1, 1.0, 10.0),
        max_iters: int = 4,
        shortlist: int = 3,
        cv: Any = 5,
        scale: str | None = "auto",
        fit_intercept: bool = True,
        scale_targets: bool = True,
        M_init: Any = None,
        diag: bool = False,
        center_grads: bool = False,
        agop_power: float = 1.0,
        agop_samples: int | None = None,
        n_components: int | None = None,
        memory_budget: float = 4.0,
        device: Any = None,
        dtype: Any = None,
        random_state: int = 0,
        progress: bool = True,
    ) -> None:
        self.kernels = kernels
        self.exponent = exponent
        self.bandwidths = bandwidths
        self.ridges = ridges
        self.max_iters = max_iters
        self.shortlist = shortlist
        self.cv = cv
        self.scale = scale
        self.fit_intercept = fit_intercept
        self.scale_targets = scale_targets
        self.M_init = M_init
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
        return f"{shown}: {self.solver_}" if hasattr(self, "best_estimator_") else shown

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        groups: Any = None,
        validation: tuple[Any, Any] | None = None,
    ) -> Self:
        """Choose a machine, then fit it to all rows of X.

        Args:
            X: Rows, n x d: array, tensor, data frame or sparse matrix.
            y: Targets, as for the estimator searched over.
            sample_weight: Shape (n,), at least 0; they count in fits and in losses.
            groups: Shape (n,): rows of one group are never on both sides of a split.
            validation: Held-out rows and targets (X, y) to choose by, instead of cross-validation. A row counts 1, or
                what its class does.

        Raises:
            ValueError: what scikit-learn's checks refuse.
            InputError: a parameter out of range, fewer than two rows or groups, held-out targets unlike y.
        """
        template = self.searched(**self._passed_on())
        # What held-out rows have besides is another number for each kernel.
        template._takes_short_rows = validation is None
        given = template._training(X, y, sample_weight)
        training = given.present()
        rows, weights, known = training.rows, training.weights, len(training.rows)
        Y = template._targets(training.targets, learn=True).to(rows.device)
        if known < 2:
            raise InputError("X", f"n_samples = {known}, expected at least 2 to choose by")
        if validation is None:
            splits = self._splits(given, groups)
        elif groups is not None:
            raise InputError("groups", "of no use where validation is given, expected one of both")
        else:
            held = self._held_out(template, validation, given.targets, weights_of(sample_weight, given.targets))
            numbers = template._targets(held.targets, learn=False).to(rows.device)
            check_finite("validation: targets", numbers)
            rows, Y = torch.cat([rows, held.rows]), torch.cat([Y, numbers])
            splits = [(np.arange(known), np.arange(known, len(rows)))]
            if weights is not None:
                shares = torch.ones(len(numbers)) if held.weights is None else held.weights
                weights = torch.cat([weights, shares.to(weights)])
        self._search(rows, Y, weights, known, splits)
        self.best_estimator_ = self.searched(**self._passed_on() | self.best_params_).fit(X, y, sample_weight)
        return self

    def agop(self, X: Any = None, *, centered: bool = False) -> NDArray[np.float64]:
        """Return the average gradient outer product of the machine that was chosen; see `RFMRegressor`."""
        check_is_fitted(self)
        return np.asarray(self.best_estimator_.agop(X, centered=centered))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return predictions of the machine that was chosen."""
        check_is_fitted(self)
        return np.asarray(self.best_estimator_.predict(X))

    def staged_predict(self, X: Any) -> Iterator[NDArray[Any]]:
        """Yield predictions of the machine that was chosen after each update of M; see `RFMRegressor`."""
        check_is_fitted(self)
        found: Iterator[NDArray[Any]] = self.best_estimator_.staged_predict(X)
        return found

    def gradients(self, X: Any) -> NDArray[np.float64]:
        """Return the gradients of the machine that was chosen; see `RFMRegressor`."""
        check_is_fitted(self)
        return np.asarray(self.best_estimator_.gradients(X))

    def transform(self, X: Any) -> NDArray[Any]:
        """Return X @ components_.T, (m, k); see `RFMRegressor`."""
        check_is_fitted(self)
        return np.asarray(self.best_estimator_.transform(X))

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def __sklearn_tags__(self) -> Tags:
        """Numbers, also in sparse rows."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _passed_on(self) -> dict[str, Any]:
        """Return the parameters that every machine of the search has."""
        return {name: getattr(self, name) for name in self._passed}

    def _held_out(
        self, template: BaseRFM, validation: Any, y: NDArray[Any], weights: NDArray[np.float64] | None
    ) -> TrainingData:
        """Return the held-out rows that count, beside all training targets y and the weights that were given."""
        if not isinstance(validation, (tuple, list)) or len(validation) != 2:
            raise InputError(
                "validation", f"got {type(validation).__name__}, expected rows and targets: validation=(X_val, y_val)"
            )
        rows, targets = template._rows(validation[0]), np.asarray(as_targets("validation", validation[1]))
        check_consistent_length(rows, targets)
        shares = self._held_out_weights(targets, y, weights)
        if shares is not None and not shares.any():
            raise InputError("validation", "every row is of a class of weight 0, expected rows that count")
        return TrainingData(rows, targets, None if shares is None else torch.from_numpy(shares)).present()

    def _held_out_weights(
        self, held: NDArray[Any], y: NDArray[Any], weights: NDArray[np.float64] | None
    ) -> NDArray[np.float64] | None:
        """Return the weights of held-out rows of targets `held`, beside training targets y; None for 1."""
        return None

    def _splits(self, given: TrainingData, groups: Any) -> list[Split]:
        """Return the splits: of the rows of weight above 0, those to fit and those to judge by."""
        classes, numbers, targets = issubclass(self.searched, ClassifierMixin), given.numbers, given.targets
        if classes:
            targets = np.unique(targets, return_inverse=True)[1]  # splitters do not take every type of label
        if groups is not None:
            groups = np.asarray(as_host("groups", groups))
            check_consistent_length(targets, groups)
        if not isinstance(self.cv, Integral):
            # Folds are of all rows as they were given; those of weight 0 are then left out.
            place = np.full(len(targets), -1)
            place[numbers] = np.arange(len(numbers))
            folds = check_cv(self.cv, targets, classifier=classes).split(targets, targets, groups)
            counted = ((place[train], place[test]) for train, test in folds)
            found = [(train[train >= 0], test[test >= 0]) for train, test in counted]
            if not found:
                raise InputError("cv", "makes no splits")
            return found
        targets, seed = targets[numbers], int(check_random_state(self.random_state).randint(2**31))
        most = min(positive("cv", self.cv, least=2), len(targets))
        if groups is not None:
            groups = groups[numbers]
            apart = len(np.unique(groups))
            if apart < 2:
                raise InputError("groups", "all rows are of one group, expected at least two")
            by_group = GroupKFold(min(most, apart), shuffle=True, random_state=seed)
            return list(by_group.split(targets, targets, groups))
        largest = int(np.unique(targets, return_counts=True)[1].max()) if classes else 0
        if largest < 2:
            return list(KFold(most, shuffle=True, random_state=seed).split(targets))
        with warnings.catch_warnings():
            # A class of fewer rows than folds is spread over as many folds as it has rows.
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            return list(StratifiedKFold(min(most, largest), shuffle=True, random_state=seed).split(targets, targets))

    def _search(self, rows: Tensor, Y: Tensor, weights: Tensor | None, known: int, splits: list[Split]) -> None:
        """Set the tables of all candidates, and the best one."""
        asked = checked(self, self._constraints)
        kernel_named("power", asked["exponent"])  # which checks it
        bandwidths, ridges, max_iters = asked["bandwidths"], asked["ridges"], asked["max_iters"]
        settings = {
            kernel: [self._machine(kernel, bandwidth)._settings() for bandwidth in bandwidths]
            for kernel in asked["kernels"]
        }
        # The deviations are those of all rows that are known: targets have no part in them.
        whole = chosen(
            rows[:known], Y[:known], None if weights is None else weights[:known], self._first(settings, ridges)
        )
        standardisation, scales = whole.standardisation, whole.scales
        recipes = {kernel: [each.recipe for each in some] for kernel, some in settings.items()}
        seed = int(check_random_state(self.random_state).randint(2**31))
        most = leave_one_out_rows(self.memory_budget)
        shortlist = min(asked["shortlist"], len(bandwidths) * len(ridges))
        criterion = self._criterion
        total = len(recipes) * len(splits) * (shortlist + (max_iters > FIRST_UPDATES))
        left_out, tried, losses = [], [], []
        with progress("choosing", total) if self.progress else nullcontext(lambda steps: None) as advance:
            for kernel, candidates in recipes.items():
                wide = scaled(rows, scales)
                coordinates = coordinates_for(wide[:known], candidates[0], self.M_init)
                X, inside = (rows, scales) if coordinates is None else (coordinates.rows(wide).to(rows.device), None)
                problem = Problem.of(X, Y, weights, candidates[0].kernel, standardisation, inside)
                M = first_scaled(self.M_init, X.shape[1], candidates[0].diag, inside).to(rows.device)
                train = problem.fitted(torch.arange(known, device=rows.device))
                loss = self._loss(train)
                ranking = ranked(train, M, candidates, ridges, loss, seed, most)
                held_out = CrossValidation(problem, splits, loss, self.memory_budget, seed, advance)
                paths = tried_paths(held_out, M, ranking[:shortlist], max_iters)
                # In these units squares are numbers.
                targets = (problem.y[held_out.judged] / train.units).cpu().numpy()
                judged_weights = None if weights is None else weights[held_out.judged]
                shares = None if judged_weights is None else judged_weights.cpu().numpy()
                shown = partial(criterion.shown, train.units)
                left_out += [named(kernel, each.recipe) | {"loss": shown(each.loss)} for each in ranking]
                for each in paths:
                    found = named(kernel, each.recipe) | {"n_iters": each.n_iters}
                    found |= self._calibration(train, each.outputs, problem.y[held_out.judged], judged_weights)
                    answers = self._answers(train, each.outputs, found.get("temperature")).cpu().numpy()
                    found["loss"], found["score"] = shown(each.loss), criterion.score(answers, targets, shares)
                    tried.append(found)
                losses += [each.loss for each in paths]
        self.loo_results_, self.cv_results_ = pd.DataFrame(left_out), pd.DataFrame(tried)
        best = tried[losses.index(min(losses))]
        self.best_score_ = best["score"]
        self.best_params_ = {name: value for name, value in best.items() if name not in ("loss", "score")}
        # So that a plain estimator with these parameters is the machine, whose own default is another power.
        self.best_params_ |= {"scale": whole.scalings[0], "agop_power": self.agop_power}

    @abstractmethod
    def _loss(self, problem: Problem) -> Loss:
        """Return the loss that is minimised, of outputs and targets as they were given."""

    def _calibration(
        self, problem: Problem, outputs: Tensor, targets: Tensor, weights: Tensor | None
    ) -> dict[str, float]:
        """Return what is chosen besides by the outputs of a candidate for the rows that judge it."""
        return {}

    def _answers(self, problem: Problem, outputs: Tensor, temperature: float | None) -> Tensor:
        """Return outputs as the score takes them, beside targets in the problem's units."""
        return outputs / problem.units

    def _first(self, settings: dict[str, list[FitSettings]], ridges: Sequence[float]) -> FitSettings:
        """Return the settings by which the scaling of columns is chosen, for all kernels: those of the first."""
        first = next(iter(settings.values()))[0]
        return replace(first, ridges=tuple(sorted(ridges)))

    def _machine(self, kernel: str, bandwidth: float) -> SingleRFM:
        return self.searched(
            kernel,
            **self._passed_on(),
            exponent=self.exponent if kernel == "power" else 1.0,
            diag=self.diag or kernel in DIAGONAL,
            bandwidth=bandwidth,
        )


def named(kernel: str, recipe: Recipe) -> dict[str, Any]:
    """Return the parameters by which a candidate differs from the others."""
    found = {"kernel": kernel, "exponent": recipe.kernel.exponent, "diag": recipe.diag}
    return found | {"bandwidth": recipe.bandwidth, "ridge": recipe.ridge}
