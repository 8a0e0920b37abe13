"""The deep estimators: recursive feature machines in a row, with random features between them."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from nfa.common.checks import positive
from nfa.common.errors import InputError
from nfa.probe import activations
from nfa.rfm.deep.base import TRANSPORTS, DeepRFM, Request
from nfa.rfm.deep.feature_maps import FEATURE_MAPS, unit_rows
from nfa.rfm.deep.stack import DeepLayer, FirstMatrix, stacked
from nfa.rfm.deep.transport import Carried
from nfa.rfm.estimators.base import BaseRFM
from nfa.rfm.estimators.classifier import ClassifierRFM
from nfa.rfm.estimators.fitting import Fitted
from nfa.rfm.estimators.parameters import Constraint, among, anything, checked, whole
from nfa.rfm.estimators.regressor import RegressorRFM
from nfa.rfm.network import check_chain, unusual_layers
from nfa.rfm.start import weight_starts


class DeepEstimator(BaseRFM, DeepRFM):
    """A deep machine that is fitted to rows and targets; see `DeepRFMRegressor` and `DeepRFMClassifier`."""

    layers_: list[DeepLayer]
    carried_: pd.DataFrame
    _constraints: ClassVar[dict[str, Constraint]] = BaseRFM._constraints | {
        "depth": whole(1),
        "width": anything,  # one number, or as many as the depth wants
        "feature_map": among(FEATURE_MAPS),
    }

    def __init__(
        self,
        depth: int = 3,
        width: int | Sequence[int] = 1024,
        feature_map: str = "relu",
        *,
        kernel: str = "laplace",
        exponent: float = 1.0,
        bandwidth: float = 1.0,
        bandwidth_scale: str | None = "median",
        ridge: float | str = 1e-3,
        fit_intercept: bool = True,
        n_iters: int = 1,
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
        super().__init__(
            kernel,
            exponent=exponent,
            bandwidth=bandwidth,
            bandwidth_scale=bandwidth_scale,
            ridge=ridge,
            scale=None,
            fit_intercept=fit_intercept,
            n_iters=n_iters,
            M_init=M_init,
            M_scale=M_scale,
            diag=diag,
            center_grads=center_grads,
            agop_power=agop_power,
            agop_samples=agop_samples,
            memory_budget=memory_budget,
            device=device,
            dtype=dtype,
            random_state=random_state,
            progress=progress,
        )
        self.depth = depth
        self.width = width
        self.feature_map = feature_map

    def staged_fit(self, X: Any, y: Any, sample_weight: Any = None) -> None:
        """Refuse: a machine's rows are made with the last M of the one before it, so there are no stages of the whole.

        Raises:
            InputError: always.
        """
        raise InputError(
            "staged_fit", f"a {type(self).__name__} has no stages; fit it with other n_iters, or a flat RFM"
        )

    def _fit(self, X: Tensor, Y: Tensor, weights: Tensor | None) -> None:
        """Fit the machines, each started from its entry of `M_init`."""
        for name in ("carried_", "notes_"):  # `from_network` sets these for its own rows
            if hasattr(self, name):
                delattr(self, name)
        starts = self.M_init
        if starts is not None and (not isinstance(starts, Sequence) or len(starts) != self.depth):
            got = f"{len(starts)} of them" if isinstance(starts, Sequence) else type(starts).__name__
            raise InputError("M_init", f"got {got}, expected a list with one for each of the {self.depth} machines")
        self._fit_from(X, Y, weights, lambda number, rows: None if starts is None else starts[number])

    def _fit_from(self, X: Tensor, Y: Tensor, weights: Tensor | None, first: FirstMatrix) -> None:
        """Fit the machines, each started from the first M for its rows."""
        found, settings = checked(self, self._constraints), self._settings()
        Y = Y.to(X.device)
        classes = Y.argmax(1) if is_classifier(self) else None
        self.layers_, self.collapse_ = stacked(
            X, Y, weights, settings, self._widths(found["depth"]), found["feature_map"], first, classes
        )

    def _widths(self, depth: int) -> list[int]:
        """Return the width of every map, checked."""
        if not isinstance(self.width, Sequence):
            return [positive("width", self.width)] * (depth - 1)
        if len(self.width) != depth - 1:
            expected = f"a number, or one for each of the {depth - 1} maps between machines"
            raise InputError("width", f"got {self.width!r}, expected {expected}")
        return [positive("width", width) for width in self.width]

    def _rows(self, X: Any) -> Tensor:
        """Return the last machine's rows for new rows, which are checked against the columns that `fit` saw."""
        rows = unit_rows(super()._rows(X))
        for layer in self.layers_[:-1]:
            rows = layer.mapped(rows)
        return rows

    @property
    def _output_machine(self) -> Fitted:
        check_is_fitted(self, "layers_")
        return self.layers_[-1].fitted

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """Those of the first machine, on rows of norm 1, for each column of X, (n_features_in_,)."""
        check_is_fitted(self, "layers_")
        return self._shares(self.layers_[0].fitted.importances)


class DeepRFMRegressor(RegressorRFM, DeepEstimator):
    """A network learned without backpropagation: recursive feature machines with random features between them.

    The rows X_1 are those of X scaled to norm 1. Layer l fits a recursive feature machine to X_l and the targets. Its
    feature matrix M_l makes the next rows: X_(l+1) = Phi_l(M_l^(1/2) X_l), scaled to norm 1. The last machine
    predicts. The machines have the parameters of `RFMRegressor`; further parameters are:

    Args:
        depth: Machines; with depth 1 it is an `RFMRegressor` on rows scaled to norm 1, to the last bit.
        width: Random features of every map, or a list of depth - 1 numbers.
        feature_map: Phi, drawn once: "relu" random ReLU features; "gaussian" or "laplace" random Fourier features of
            these kernels, at the bandwidth of the layer's machine.
        n_iters: Updates of M in each machine: 1 in the paper. With 0, M is the identity and the maps learn nothing.
        M_init: A list of the first M of each machine.

    Attributes:
        layers_: `DeepLayer`s: `machine`, `M`, `history`, `feature_map` of each.
        collapse_: A data frame, three rows per layer (`at`: X, M^(1/2) X, Phi(M^(1/2) X)): `nc1`, `nc2` (see
            `neural_collapse`; NaN for numbers as targets), and in `note` why one is NaN.
        feature_importances_: Those of the first machine, for each column of X.
        M_, bandwidth_, history_, solver_: Those of the last machine, on its own rows. So is `agop`.

    Source: arXiv:2402.13728, Deep RFM.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 5))
    >>> model = DeepRFMRegressor(depth=2, width=64).fit(X, X[:, 0])
    >>> [layer.M.shape for layer in model.layers_]
    [(5, 5), (64, 64)]
    """


class DeepRFMClassifier(ClassifierRFM, DeepEstimator):
    """A deep recursive feature machine for classes: regression on one-hot targets, the largest output wins.

    Parameters and attributes are those of `DeepRFMRegressor`. Besides, `classes_` holds the sorted labels, of any type,
    and `collapse_` says how far the classes have collapsed, layer by layer.

    No temperature is found: the outputs count as probabilities as they are (`nfa.rfm.losses.log_probabilities`), which
    are not sure enough with several classes. Around it, scikit-learn's `CalibratedClassifierCV` calibrates them.

    Source: arXiv:2402.13728, Deep RFM.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 5))
    >>> model = DeepRFMClassifier(depth=2, width=64).fit(X, np.where(X[:, 0] > 0, "yes", "no"))
    >>> model.predict([[3, 0, 0, 0, 0], [-3, 0, 0, 0, 0]]).tolist()
    ['yes', 'no']
    """


def random_rfm(cls: type[DeepRFM], asked: Request) -> DeepRFM:
    """Return a deep estimator that starts from a network's matrices, in the coordinates of its random features.

    Raises:
        InputError: as `DeepRFM.from_network`.
    """
    if asked.head == "network":
        raise InputError("head", "'network' cannot take random features; expected 'kernel' for transport='random'")
    network, model = asked.network, asked.network.model
    with network.probe(asked.inputs) as probe:
        check_chain(probe)
        starts = weight_starts(probe, asked.features, asked.power, asked.audit)
        targets, said = network.targets(asked.y, asked.inputs)
        rows = activations(probe, list(starts)).rows
        widths = [layer.weight.shape[1] for layer in probe.layers[1:]]
    kind = DeepRFMClassifier if targets.are_classes else DeepRFMRegressor
    if not issubclass(kind, cls):
        raise InputError("y", f"asks for a {kind.__name__}, not a {cls.__name__}; DeepRFM takes either")
    first = Carried(starts, rows, asked.transport_ridge)
    made = kind(
        depth=len(starts),
        width=widths if asked.width is None else asked.width,
        feature_map=asked.feature_map or "relu",
        n_iters=asked.n_iters,
        **asked.parameters,
    )
    training = made._training(asked.X, targets.values, None)
    made._fit_from(training.rows, made._targets(training.targets, learn=True), None, first)
    made.M_init = [M.cpu() for M in first.matrices]
    made.carried_, made.notes_ = first.table(), [*model.notes, *said, *unusual_layers(rows)]
    return made


TRANSPORTS["random"] = random_rfm
