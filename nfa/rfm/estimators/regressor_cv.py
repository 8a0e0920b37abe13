"""The regressor that chooses its own parameters."""

from typing import Any, ClassVar

from numpy.typing import NDArray
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.metrics import r2_score

from nfa.rfm.estimators.regressor import RFMRegressor
from nfa.rfm.estimators.search import PASSED_ON, BaseSearch, Criterion
from nfa.rfm.losses import squared_loss
from nfa.rfm.recursion import Problem
from nfa.rfm.saving.registry import kept_in_files
from nfa.rfm.saving.search import restored_search, search_parts
from nfa.rfm.selection import Loss


def _r2(outputs: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any] | None) -> float:
    return float(r2_score(targets, outputs, sample_weight=weights)) if len(targets) > 1 else float("nan")


@kept_in_files(search_parts, restored_search)
class RFMRegressorCV(MultiOutputMixin, RegressorMixin, BaseSearch):
    """An `RFMRegressor` that chooses its kernel, bandwidth, ridge and number of updates from the training rows alone.

    For every kernel, exact leave-one-out under the first M ranks all bandwidths with all ridges (on up to 2,000 rows).
    Once M has seen the targets, leave-one-out is no estimate any more. So the `shortlist` best are fitted again from
    the first M on, on the training rows of each of `cv` folds, and judged on the other rows: all with 0 and 1 update,
    the best one also with up to `max_iters`. The least mean squared error wins, and its machine is fitted to all rows.

    Args:
        kernels: Names of kernels; see `RFMRegressor`. M is kept diagonal for "l1" and "power".
        exponent: Of the kernel "power", above 0 and at most 2.
        bandwidths: In units of the median distance.
        ridges: Each above 0.
        max_iters: The most updates of M.
        shortlist: How many pairs of bandwidth and ridge of each kernel are judged by cross-validation.
        cv: The number of folds (shuffled; stratified for classes; by groups where `fit` is given them), or a
            scikit-learn splitter or list of splits, which decides alone.
        fit_intercept: As for `RFMRegressor`; each fold has its own mean.
        scale_targets: As for `RFMRegressor`. Losses are then in units of each target's variance.
        M_init: As for `RFMRegressor`, like all that follow. An M that was measured on these rows has seen their
            targets: then `best_score_` means nothing, and only other rows, given as `validation`, can choose.
        diag: Keep M diagonal for all kernels.
        center_grads: Center gradients before the AGOP.
        agop_power: M is the AGOP to this power; 1, as in the paper, unlike `RFMRegressor`.
        agop_samples: Average gradients over this many training rows.
        n_components: Rows of `components_`, and columns that `transform` returns; None for all that M determines.
        memory_budget: GiB.
        device: Of the computation.
        dtype: "float32" or "float64".
        random_state: The seed of folds and of all that is drawn.
        progress: Show a bar on a terminal.

    Attributes:
        best_params_: The parameters that were chosen: kernel, exponent, diag, bandwidth, ridge, n_iters, scale; of
            classes also the temperature, where it is chosen.
        best_score_: R^2 of the chosen machine's predictions for rows it was not fitted on, all folds together. It is
            the best of all candidates, so slightly optimistic; on noise it stays at or below about 0.
        best_estimator_: The machine, fitted to all rows; `M_`, `feature_importances_`, `history_`, `agop` are its own.
        cv_results_: A data frame of the candidates: kernel, exponent, diag, bandwidth, ridge, n_iters, loss, score; of
            classes also the temperature, where it is chosen.
        loo_results_: A data frame of the ranking under the first M.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> model = RFMRegressorCV(kernels=["gaussian"], max_iters=2).fit(X, X[:, 0] ** 2)
    >>> int(model.feature_importances_.argmax()), model.best_score_ > 0.5
    (0, True)
    """

    searched = RFMRegressor
    _passed: ClassVar = (*PASSED_ON, "scale_targets")
    _criterion = Criterion(
        # In the units of a target it may be beyond float64.
        shown=lambda units, loss: loss * float(units[0]) * float(units[0]) if len(units) == 1 else loss,
        score=_r2,
    )

    def _loss(self, problem: Problem) -> Loss:
        """Return the mean squared error in the units of the targets."""
        units = problem.units
        return lambda outputs, targets, weights: squared_loss(outputs / units, targets / units, weights)
