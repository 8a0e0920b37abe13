"""The base of estimators with one machine, a regressor and a classifier."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from nfa.common.errors import InputError
from nfa.rfm.coordinates import Coordinates
from nfa.rfm.estimators.base import BaseRFM
from nfa.rfm.estimators.choosing import chosen
from nfa.rfm.estimators.fitting import FitSettings, Fitted, coordinates_for, scaled, stages
from nfa.rfm.estimators.parameters import Constraint, optional, whole
from nfa.rfm.machine import KernelMachine
from nfa.rfm.metric import Metric
from nfa.rfm.plain import plain


@plain
@dataclass(frozen=True, eq=False)
class Path:
    """The machines before the last update of M: what is needed to make them again.

    Args:
        rows: The training rows, n x d.
        stages: Metric, bandwidth and coefficients of each machine.
    """

    rows: Tensor
    stages: tuple[tuple[Metric, float, Tensor], ...] = ()

    def followed_by(self, machine: KernelMachine) -> "Path":
        """Return the path with one more machine."""
        return Path(self.rows, (*self.stages, (machine.metric, machine.bandwidth, machine.a)))

    def machines(self, last: KernelMachine) -> Iterator[KernelMachine]:
        """Yield the machines, the last of which is known."""
        for metric, bandwidth, a in self.stages:
            yield KernelMachine(last.kernel, metric, bandwidth, metric.rows(self.rows), a, last.unit, last.scaling)
        yield last


class SingleRFM(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseRFM):
    """An estimator that has one machine, `fitted_`."""

    _constraints: ClassVar[dict[str, Constraint]] = BaseRFM._constraints | {"n_components": optional(whole(1))}
    fitted_: Fitted
    _path: Path | None = None
    _temperatures: tuple[float | None, ...]
    _takes_short_rows = True

    def staged_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Iterator[Self]:
        """Fit as `fit` does, and yield the estimator itself after 0, 1, ..., n_iters updates of M.

        Args:
            X: As for `fit`, like the others.
            y: Targets.
            sample_weight: Weights.

        >>> import numpy as np
        >>> from nfa.rfm import RFMRegressor
        >>> X = np.random.default_rng(0).normal(size=(30, 2))
        >>> [one.machine_.metric.root is None for one in RFMRegressor(n_iters=1).staged_fit(X, X[:, 1])]
        [True, False]
        """
        training = self._training(X, y, sample_weight).present()
        targets = self._targets(training.targets, learn=True)
        yield from self._stages(training.rows, targets, training.weights)

    def staged_predict(self, X: Any) -> Iterator[NDArray[Any]]:
        """Yield the predictions after 0, 1, ..., n_iters updates of M; the last are those of `predict`.

        Args:
            X: Rows, m x d.

        Raises:
            InputError: the machine was read from a file, which keeps the last stage alone.

        >>> import numpy as np
        >>> from nfa.rfm import RFMRegressor
        >>> X = np.random.default_rng(0).normal(size=(30, 2))
        >>> [len(each) for each in RFMRegressor(n_iters=1).fit(X, X[:, 1]).staged_predict(X[:5])]
        [5, 5]
        """
        check_is_fitted(self)
        if self._path is None:
            raise InputError("staged_predict", "a machine from a file has its last stage alone; fit it again")
        rows = self._rows(X)
        machines = zip(self._path.machines(self.machine_), self._temperatures, strict=False)
        return (self._answered(each.predict(rows).cpu().numpy(), temperature) for each, temperature in machines)

    def gradients(self, X: Any) -> NDArray[np.float64]:
        """Return the gradient of each output at each row of X, float64, (m, c, d); (m, d) where y is (n,) of numbers.

        Of a classifier they are of `outputs`, not of probabilities or decisions.
        For d columns as M has them (the encoded ones of a data frame). The mean over rows and the sum over outputs of
        their outer products is `agop(X)`; where a row is a training row, that pair counts 0.

        Args:
            X: Rows, m x d.

        >>> import numpy as np
        >>> from nfa.rfm import RFMRegressor
        >>> X = np.random.default_rng(0).normal(size=(30, 2))
        >>> model = RFMRegressor(n_iters=1).fit(X, X[:, 1])
        >>> J = model.gradients(X[:5])
        >>> bool(np.allclose(J.T @ J / 5, model.agop(X[:5])))
        True
        """
        return self._by_output(self._gradients(X))

    @property
    def ridge_(self) -> float:
        """The ridge: the one that was given, or chosen."""
        return self._output_machine.ridge

    @property
    def scale_(self) -> NDArray[np.float64]:
        """What each column is divided by, (d,): 1 where it is as it is."""
        return self._output_machine.scales

    @property
    def components_(self) -> NDArray[np.float64]:
        """The top `n_components` eigenvectors of M, (k, d), of norm 1; the largest entry of each is positive.

        Without a number, those that rounding does not turn: eigenvalues above the root of a rounding of the largest.

        Raises:
            InputError: beyond `memory_budget`.
        """
        fitted = self._output_machine
        self._check_size("components_", fitted.n_components(self.n_components), "n_components= takes fewer")
        return fitted.components(self.n_components)

    def transform(self, X: Any) -> NDArray[Any]:
        """Return X @ components_.T, (m, k), in the dtype of the computation.

        Args:
            X: Rows, m x d.
        """
        components = self.components_
        if self._support is not None:  # which a row's last entry is no column of
            rows = self._numbers(X)
            return np.asarray(rows @ components.T, dtype=rows.dtype)
        rows = self._rows(X)
        found: NDArray[Any] = (rows.double().cpu() @ torch.from_numpy(components).T).to(rows.dtype).numpy()
        return found

    @property
    def _n_features_out(self) -> int:
        return self._output_machine.n_components(self.n_components)

    def _fit(self, X: Tensor, Y: Tensor, weights: Tensor | None) -> None:
        for _ in self._stages(X, Y, weights):
            pass

    def _stages(self, X: Tensor, Y: Tensor, weights: Tensor | None) -> Iterator[Self]:
        """Fit, and yield the estimator after each update of M."""
        settings = chosen(X, Y, weights, self._settings())
        support = self._support
        settings, width = replace(settings, support=support), X.shape[1] if support is None else support.width
        if self.n_components is not None and self.n_components > width:
            raise InputError("n_components", f"got {self.n_components}, but M has {width} columns")
        # A copy: what is fitted does not change with the array that it was fitted to.
        path, coordinates = Path(X.clone()), None
        if X.shape[1] > len(X):
            coordinates = coordinates_for(scaled(X, settings.scales), settings.recipe, settings.M_init)
        self._temperatures = self._calibration(X, Y, weights, settings, coordinates)
        for number, found in enumerate(stages(X, Y, weights, settings, coordinates)):
            path = path if number == 0 else path.followed_by(self.fitted_.machine)
            self.fitted_, self._path = found, path
            if self._temperatures[number] is not None:
                self.temperature_ = self._temperatures[number]
            yield self

    def _calibration(
        self, X: Tensor, Y: Tensor, weights: Tensor | None, settings: FitSettings, coordinates: Coordinates | None
    ) -> tuple[float | None, ...]:
        """Return the temperature of probabilities after 0, 1, ... updates of M; None where there are none."""
        return (None,) * (settings.n_iters + 1)

    def _gradients(self, X: Any) -> NDArray[np.float64]:
        """Return the gradients, (m, c, d)."""
        G: NDArray[np.float64] = self.machine_.gradients(self._rows(X)).cpu().numpy()
        return G if self._support is None else self._support.gradients(G, self._numbers(X))

    def agop(self, X: Any = None, *, centered: bool = False) -> NDArray[np.float64]:
        """Return the average gradient outer product; see `RFMRegressor`."""
        if X is None or self._support is None:
            return super().agop(X, centered=centered)
        # New rows may have entries in columns that no training row uses.
        self._check_size("agop", self._output_machine.width, "gradients(X) are of a row each")
        J = self._gradients(X)
        J = J - J.mean(0) if centered else J
        J = J.reshape(-1, J.shape[-1])
        m = len(J) // len(self.machine_.a.T)
        return np.asarray((J * J).sum(0) / m if self._output_machine.diag else J.T @ J / m)

    def _by_output(self, J: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return gradients (m, c, d) in the shape of the targets."""
        return J

    @property
    def _output_machine(self) -> Fitted:
        check_is_fitted(self, "fitted_")
        return self.fitted_
