"""Recursive feature machines for classes."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from torch import Tensor

from nfa.common.errors import InputError
from nfa.data.labels import codes_of
from nfa.rfm.calibration import calibrated
from nfa.rfm.coordinates import Coordinates
from nfa.rfm.estimators.base import BaseRFM
from nfa.rfm.estimators.fitting import FitSettings
from nfa.rfm.estimators.held_out import temperatures
from nfa.rfm.estimators.parameters import above_zero, either, optional
from nfa.rfm.estimators.single import SingleRFM
from nfa.rfm.estimators.training import class_factors, rows_weighed
from nfa.rfm.losses import log_probabilities
from nfa.rfm.saving.registry import kept_in_files
from nfa.rfm.saving.single import machine_parts, restored_machine

TEMPERATURE = optional(either("auto", above_zero))
"""The constraint on a temperature."""


class ClassifierRFM(ClassifierMixin, BaseRFM):
    """The base of machines for classes: targets are one-hot rows of sorted labels, and the likeliest class wins."""

    classes_: NDArray[Any]

    def _targets(self, y: NDArray[Any], learn: bool) -> Tensor:
        """Return labels as one-hot rows, (n, c)."""
        if learn:
            # scikit-learn takes objects for text; here any labels will do that can be sorted.
            if y.dtype.kind != "O":
                check_classification_targets(y)
            try:
                self.classes_ = np.unique(y)
            except TypeError as error:
                raise InputError("y", "labels of kinds that cannot be sorted, expected those of one kind") from error
        codes, unknown = codes_of(y, self.classes_.tolist())
        if unknown:
            raise InputError("validation", f"holds the label {unknown[0]!r}, which y does not")
        return torch.eye(len(self.classes_), dtype=torch.float64, device="cpu")[torch.from_numpy(codes)]

    def outputs(self, X: Any) -> NDArray[Any]:
        """Return f(x) for each row, (m, c): least-squares estimates of the probabilities, which may leave [0, 1].

        They add up to 1 with an intercept. `gradients` are their derivatives.
        """
        return self._outputs(X)

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Return logarithms of `predict_proba`, (m, c); of two classes the second one's log-odds, (m,).

        So the largest entry (of two classes, the sign) is the label that `predict` gives. It is no f, see `outputs`.

        >>> X = np.random.default_rng(0).normal(size=(90, 2))
        >>> model = RFMClassifier().fit(X, np.digitize(X[:, 0], [-0.5, 0.5]))
        >>> bool(np.allclose(model.decision_function(X), np.log(model.predict_proba(X))))
        True
        """
        logarithms = self._logarithms(self._outputs(X), getattr(self, "temperature_", None))
        return logarithms if len(self.classes_) != 2 else np.diff(logarithms, axis=1)[:, 0]

    def _answered(self, outputs: NDArray[Any], temperature: float | None) -> NDArray[Any]:
        """Return the likeliest label for each row."""
        return np.asarray(self.classes_[self._logarithms(outputs, temperature).argmax(1)])

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Return the outputs as probabilities, (n, c).

        With a temperature see `nfa.rfm.calibration.calibrated`, without one `nfa.rfm.losses.log_probabilities`.
        """
        return np.asarray(np.exp(self._logarithms(self._outputs(X), getattr(self, "temperature_", None))))

    def _logarithms(self, outputs: NDArray[Any], temperature: float | None) -> NDArray[Any]:
        """Return logarithms of probabilities, (m, c)."""
        f = torch.from_numpy(outputs)
        if temperature is None:
            return log_probabilities(f).numpy()
        scaling = self.machine_.scaling
        prior = None if scaling is None or not bool(scaling.offset.any()) else scaling.offset.cpu()
        return calibrated(f.double(), prior, temperature).to(f.dtype).numpy()


@kept_in_files(machine_parts, restored_machine)
class RFMClassifier(ClassifierRFM, SingleRFM):
    """A recursive feature machine for classes: regression on one-hot targets, the likeliest class wins.

    Parameters and attributes are those of `RFMRegressor`. Besides, `classes_` holds the sorted labels, of any type.

    Args:
        class_weight: What rows of each class weigh besides `sample_weight`: a dict from label to number (1 where it
            has none), or "balanced", so that every class weighs the same; None for 1.
        temperature: T of the probabilities, p_j proportional to prior_j (s(f_j) / s(prior_j))^(1 / T), with the
            classes' weighted shares as prior, and s(f) as in `nfa.rfm.calibration.calibrated`.
            "auto": the one with the least log loss when the path of machines is fitted again without the rows that
            judge it: ten times without a tenth of them, fewer times from 200 rows on (of more than 600 once, without a
            third of at most 750 drawn). None: p_j is about f_j where that is above 0, and never 0.

    Besides, `temperature_` is the temperature. `predict` gives the likeliest class, `decision_function` logarithms of
    probabilities, and `outputs` f itself, of which `gradients` and `agop` are.

    Source: arXiv:2212.13881, Algorithm 1 and its tabular experiments.

    >>> X = np.random.default_rng(0).normal(size=(200, 5))
    >>> model = RFMClassifier().fit(X, np.where(X[:, 0] > 0, "yes", "no"))
    >>> model.predict([[3, 0, 0, 0, 0], [-3, 0, 0, 0, 0]]).tolist()
    ['yes', 'no']
    """

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
        n_iters: int = 3,
        M_init: Any = None,
        M_scale: str | None = "max",
        diag: bool = False,
        center_grads: bool = False,
        agop_power: float = 0.5,
        agop_samples: int | None = None,
        n_components: int | None = None,
        class_weight: Any = None,
        temperature: float | str | None = "auto",
        memory_budget: float = 4.0,
        device: Any = None,
        dtype: Any = None,
        random_state: int = 0,
        progress: bool = True,
    ) -> None:
        super().__init__(
            kernel,
            exponent=exponent,
            bandwidth=bandwidth,
            bandwidth_scale=bandwidth_scale,
            ridge=ridge,
            scale=scale,
            fit_intercept=fit_intercept,
            n_iters=n_iters,
            M_init=M_init,
            M_scale=M_scale,
            diag=diag,
            center_grads=center_grads,
            agop_power=agop_power,
            agop_samples=agop_samples,
            n_components=n_components,
            memory_budget=memory_budget,
            device=device,
            dtype=dtype,
            random_state=random_state,
            progress=progress,
        )
        self.class_weight = class_weight
        self.temperature = temperature

    def _calibration(
        self, X: Tensor, Y: Tensor, weights: Tensor | None, settings: FitSettings, coordinates: Coordinates | None
    ) -> tuple[float | None, ...]:
        """Return the temperature after 0, 1, ... updates of M."""
        if hasattr(self, "temperature_"):  # of an earlier fit
            del self.temperature_
        given = TEMPERATURE("temperature", self.temperature)
        if given == "auto":
            return tuple(temperatures(X, Y, weights, settings, coordinates))
        return (given,) * (settings.n_iters + 1)

    def _weighted(self, y: NDArray[Any], weights: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        """Return the rows' weights, each times that of its class."""
        if self.class_weight is None:
            return weights
        by_class = rows_weighed(class_factors(self.class_weight, y, weights), y)
        return by_class if weights is None else weights * by_class
