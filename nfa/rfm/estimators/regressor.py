"""Recursive feature machines for numbers."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import MultiOutputMixin, RegressorMixin
from torch import Tensor

from nfa.common.errors import InputError
from nfa.rfm.estimators.base import BaseRFM
from nfa.rfm.estimators.single import SingleRFM
from nfa.rfm.estimators.tables import as_tensor
from nfa.rfm.saving.registry import kept_in_files
from nfa.rfm.saving.single import machine_parts, restored_machine


class RegressorRFM(MultiOutputMixin, RegressorMixin, BaseRFM):
    """The base of machines for numbers: targets and predictions have y's shape, (n,) or (n, c)."""

    _target_shape: tuple[int, ...]
    _y_checks: ClassVar = {"multi_output": True, "y_numeric": True}

    def _targets(self, y: NDArray[Any], learn: bool) -> Tensor:
        """Return targets as (n, c)."""
        if learn:
            self._target_shape = y.shape[1:]
        elif y.shape[1:] != self._target_shape:
            raise InputError("validation", f"targets of shape {y.shape}, expected {('n', *self._target_shape)} as in y")
        return as_tensor(y.reshape(len(y), -1).astype(np.float64))

    def _answered(self, outputs: NDArray[Any], temperature: float | None) -> NDArray[Any]:
        """Return predictions of y's shape."""
        return outputs.reshape(len(outputs), *self._target_shape)


@kept_in_files(machine_parts, restored_machine)
class RFMRegressor(RegressorRFM, SingleRFM):
    """Kernel ridge regression that learns its features: a recursive feature machine for one or many targets.

    f(x) = b + sum_i a_i k(x, x_i) with (K + ridge I) a = y - b and b the mean of y. The kernel is a function of r / L,
    r^2 = (x - z)'M(x - z). M starts as the identity. After each fit it becomes the average gradient outer product,
    AGOP = mean over training rows of J'J with J = df/dx. This is done `n_iters` times; the last fit is the estimator's.

    Args:
        kernel: "laplace" exp(-t) with t = r / L; "gaussian" exp(-t^2 / 2); "power" exp(-t^exponent); "quadratic"
            (x'Mz / L^2)^2; "l1" exp(-sum_k |u_k| / L) with u = M^(1/2) (x - z).
        exponent: Of the kernel "power", above 0 and at most 2.
        bandwidth: L, in units of `bandwidth_scale`.
        bandwidth_scale: "median": the median distance between training rows that differ, under the current M (at
            more than 1,000 rows, of 1,000 drawn). None: the bandwidth is L itself.
        ridge: Added to the diagonal of the kernel matrix, divided by the row's weight if there are weights. "auto": of
            0.001 to 10, by half decades, the one with the least error when rows are left out one by one (exactly, all
            of them equal rows together) under the first M; of more than 1,000 rows, 1,000 are drawn for that.
        scale: What columns are divided by first: "std", their standard deviations (columns of 0 and 1 stay); None,
            nothing; "auto", what has the smaller leave-one-out error. M_init, M_ and all other matrices are in the
            units of X. With an M_init, "auto" is None, since it says what units are worth.
        fit_intercept: Take the targets' weighted mean b off, so that rows far from all others are predicted as b, and
            not as 0. Of classes it is the prior: the classes' weighted shares.
        scale_targets: Of several targets, make M with each divided by its standard deviation, so that their units do
            not matter. False: targets are of one unit, and larger ones count more. `gradients` and `agop` are of
            predictions, in the units of y, either way.
        n_iters: Updates of M; 0 is plain kernel ridge regression.
        M_init: The first M instead of the identity: a matrix (d, d), a diagonal (d,), a `FactoredMatrix`, or a layer of
            an `Audit` (its AGOP is taken; hand over `layer.nfm` for the NFM). A convolution's is one of patches: rows
            are patches, or the layer's whole inputs, flat with channels first, on which it is taken at every place.
        M_scale: The scale of M after an update: "max", its largest entry is 1 (as in the authors' package and xRFM);
            "trace", its trace is d; None, it is not scaled (as in the paper's tabular experiments). Predictions do not
            depend on it while the bandwidth is a multiple of the median.
        diag: Keep M diagonal.
        center_grads: Subtract the mean gradient, output by output, before the AGOP.
        agop_power: M is the AGOP to this power. The default, 0.5, is its root, in which directions of small gradients
            count for more; it did better on most of 36 tables. 1 is the paper's.
        agop_samples: Average gradients over this many training rows, drawn anew in each iteration; None for all.
        n_components: Rows of `components_`, and columns that `transform` returns; None for all that M determines.
        memory_budget: GiB. If three n x n matrices fit, the kernel matrix is factored whole, by Cholesky; otherwise
            conjugate gradients work on blocks of it.
        device: Of the computation; None for X's.
        dtype: "float32" or "float64"; None for X's (float64 for whole numbers, float32 for half precision).
        random_state: The seed of all that is drawn.
        progress: Show a bar on a terminal when fitting takes longer than two seconds.

    Attributes:
        M_: The feature matrix of the fitted machine, float64, (d, d), or (d,) with `diag`.
        M_factor_: R (r, d) with M = R'R. Where d is above n, M is made only when asked for, within `memory_budget`.
        components_: Its top eigenvectors, (n_components, d); `transform` returns X @ components_.T.
        feature_importances_: M_ii times the column's variance, as shares, for each column of X; the same in any units.
        ridge_, scale_: The ridge, and what each column is divided by, (d,).
        bandwidth_: L in the units of X.
        history_: A data frame, a row per iteration: bandwidth, train_mse, cosine of M to the one before, effective
            rank of M.
        solver_: How the machine was fitted, in words; also what was done where the system was singular.
        encoder_: The scikit-learn transformer of a data frame's columns that are not numbers, or None. They are
            one-hot. One of more than 50 categories, or nearly one for each row, is encoded by the targets, and a
            warning says so (`TargetEncoder`, cross-fitted). M's columns are `encoder_.get_feature_names_out()`.

    Source: arXiv:2212.13881, Algorithm 1.

    >>> X = np.random.default_rng(0).normal(size=(300, 5))
    >>> model = RFMRegressor().fit(X, X[:, 0] ** 2)
    >>> int(model.feature_importances_.argmax())
    0
    """

    def _by_output(self, J: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return gradients (m, c, d), of one target that is no column (m, d)."""
        return J if self._target_shape else J[:, 0]
