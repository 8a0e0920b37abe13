"""A kernel machine on every layer's inputs, started from the features that an audit measured there."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from nfa.audits.audit import Audit, LayerAudit
from nfa.common.checks import output_folder, truth
from nfa.common.errors import InputError
from nfa.common.progress import bars, progress
from nfa.data.labels import Targets
from nfa.rfm.estimators.classifier import RFMClassifier
from nfa.rfm.estimators.parameters import Constraints, above_zero, among, checked, whole
from nfa.rfm.estimators.regressor import RFMRegressor
from nfa.rfm.estimators.showing import shown_parameters
from nfa.rfm.layerwise.layer_machine import RFM, LayerMachine, staged
from nfa.rfm.layerwise.table import COLUMNS, Test, error_of, network_score
from nfa.rfm.network import check_audit, chosen_layers, kept_network, single_rows, unusual_rows
from nfa.rfm.start import LAYER_MATRICES, layer_matrix


class LayerwiseRFM(BaseEstimator):
    """A recursive feature machine for each layer of a network, on the layer's inputs, started from its features.

    A machine sees the rows h that reach a layer z = Wh + b. It starts from a power of that layer's NFM, W'W, or AGOP,
    W'SW, measured on the training rows. Then M is updated `n_iters` times, as in any RFM. Bandwidths are multiples of
    the median distance under M, so that the size of M does not matter. For classes it predicts labels alone: there is
    no `predict_proba`, so that scores by AUC or log loss do not apply.

    Args:
        net: The network: anything that `nfa.load` takes. `fit` keeps a copy; with a warning, the network itself where
            it cannot be copied.
        init: The same network before training, for `features="init_nfm"`.
        features: The first M: "identity", "nfm", "agop", "agop_centered", "init_nfm", or "random", which has the AGOP's
            spectrum and random eigenvectors.
        power: The matrix is taken to this power.
        n_iters: Updates of each machine's M.
        layers: A shell pattern of layer names; all by default.
        layer: Name or number of the layer whose machine predicts; by default the last one that has a machine.
        outputs: Which outputs the AGOP is of; see `nfa.audit`.
        audit: An audit of the network on the training rows, instead of a new one.
        kernel: As for `RFMRegressor`, like all that follow.
        exponent: Of the kernel "power".
        bandwidth: In units of the median distance under M.
        ridge: Added to the diagonal of the kernel matrix.
        fit_intercept: Take the targets' mean, or the classes' prior, off.
        memory_budget: GiB.
        random_state: The seed of all that is drawn.
        progress: Show bars on a terminal for what takes longer than two seconds.

    Attributes:
        machines_: By layer, its `RFMClassifier` (for classes, as `nfa.network.score` decides) or `RFMRegressor`. If a
            layer has more inputs than there are rows and the kernel is radial, it takes `coordinates_[NAME].rows(h)`.
        coordinates_: The `Coordinates` of such layers, by layer.
        notes_: By layer, why it has no machine, or what is unusual.
        audit_: The audit.
        classes_: The labels, for classes.

    Source: arXiv:2212.13881, which trains an RFM from the identity; the layers' features are those of its ansatz.

    >>> from nfa.network import MLP
    >>> X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    >>> model = LayerwiseRFM.from_network(MLP(4, 8, 1, 1), X, X[:, 0], features="nfm")
    >>> {name: machine.M_.shape for name, machine in model.machines_.items()}
    {'layers.0': (4, 4), 'layers.1': (8, 8)}
    """

    _constraints: ClassVar[Constraints] = {
        "features": among(LAYER_MATRICES),
        "power": above_zero,
        "n_iters": whole(0),
        "random_state": whole(0),
        "progress": truth,
    }

    def __init__(
        self,
        net: Any,
        *,
        init: Any = None,
        features: str = "agop",
        power: float = 1.0,
        n_iters: int = 0,
        layers: str | None = None,
        layer: str | int | None = None,
        outputs: str = "logits",
        audit: Audit | None = None,
        kernel: str = "laplace",
        exponent: float = 1.0,
        bandwidth: float = 1.0,
        ridge: float = 1e-3,
        fit_intercept: bool = True,
        memory_budget: float = 4.0,
        random_state: int = 0,
        progress: bool = True,
    ) -> None:
        self.net = net
        self.init = init
        self.features = features
        self.power = power
        self.n_iters = n_iters
        self.layers = layers
        self.layer = layer
        self.outputs = outputs
        self.audit = audit
        self.kernel = kernel
        self.exponent = exponent
        self.bandwidth = bandwidth
        self.ridge = ridge
        self.fit_intercept = fit_intercept
        self.memory_budget = memory_budget
        self.random_state = random_state
        self.progress = progress

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """Show the parameters."""
        return shown_parameters(self, N_CHAR_MAX)

    @classmethod
    def from_network(cls, net: Any, X: Any, y: Any, init: Any = None, **parameters: Any) -> Self:
        """Audit a network on X, and fit a machine to every layer's inputs.

        Args:
            net: Anything that `nfa.load` takes.
            X: Training rows, as the network's file knows them: before its scaling or pipeline.
            y: Targets, (n,) or (n, c).
            init: The network before training.
            **parameters: Further parameters of the constructor.

        Raises:
            InputError: no hidden layer, no layer of that name, rows the network cannot take, a parameter out of range.
        """
        return cls(net, init=init, **parameters).fit(X, y)

    @classmethod
    def from_audit(cls, audit: Audit, net: Any, X: Any, y: Any, **parameters: Any) -> Self:
        """Fit a machine to every layer's inputs, from an existing audit.

        Args:
            audit: Of the network on X.
            net: The network.
            X: Training rows.
            y: Targets.
            **parameters: Further parameters of the constructor.

        Raises:
            InputError: an audit of another network; or as `from_network`.
        """
        return cls(net, audit=audit, **parameters).fit(X, y)

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to rows X and targets y.

        Args:
            X: As for `from_network`.
            y: Targets: classes or numbers.

        Raises:
            InputError: as `from_network`.
        """
        checked(self, self._constraints)
        self._network = network = kept_network(self.net, self.progress)
        inputs = network.prepared(X)
        found = self.audit
        if found is not None and not isinstance(found, Audit):
            raise InputError("audit", f"got {type(found).__name__}, expected what nfa.audit returns")
        if found is None:
            found = network.audit(inputs, self.init, self.outputs, self.layers, self.random_state)
        self.audit_: Audit = found
        self._layers = chosen_layers(found, self.layers)
        if self.audit is not None:
            with network.probe(inputs) as probe:
                check_audit(found, [layer["name"] for layer in self._layers], probe.layers)
        # Several rows for each sample have no target each.
        single = [layer["name"] for layer in self._layers if layer["rows"] == found.about.n_samples]
        ran = network.run(inputs, single)
        self._answers = network.answers(inputs)
        self.targets_: Targets = network.read_targets(y, inputs)
        self.classes_: NDArray[Any] | None = np.unique(self.targets_.values) if self.targets_.are_classes else None
        values = self.targets_.values
        self._y = values if self.targets_.are_classes else values.astype(np.float64)
        self._H = {name: single_rows(rows, name) for name, rows in ran.rows.items()}
        self.notes_: dict[str, str] = {}
        self._fitted: dict[str, list[LayerMachine]] = {}
        with bars(self.progress), progress("fitting layers", len(self._layers)) as advance:
            for layer in self._layers:
                self._fit_layer(layer)
                advance(1)
        last = {name: stages[-1] for name, stages in self._fitted.items()}
        self.machines_: dict[str, RFM] = {name: each.machine for name, each in last.items()}
        self.coordinates_ = {name: each.coordinates for name, each in last.items() if each.coordinates is not None}
        if not self.machines_:
            raise InputError("features", f"no layer has a machine ({'; '.join(dict.fromkeys(self.notes_.values()))})")
        self._predicting_layer()
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Return predictions of the machine of `layer`: labels, or numbers of y's shape."""
        check_is_fitted(self)
        name = self._predicting_layer()
        rows = self._network.run(self._network.prepared(X), [name]).rows[name]
        return self._fitted[name][-1].predict(single_rows(rows, name))

    def score(self, X: Any, y: Any) -> float:
        """Return the accuracy of `predict`, or R^2 pooled over targets."""
        found = self.predict(X)
        expected = self.targets_.alike(y, len(found), self._answers)
        return 1 - error_of(found, expected, self.targets_.are_classes)

    def score_frame(self, X: Any, y: Any) -> pd.DataFrame:
        """Compare all first matrices on test rows: a row per layer, features and number of updates.

        Machines are fitted from the identity, NFM, AGOP, init's NFM and a random matrix of the AGOP's spectrum, all
        with the same kernel, ridge, bandwidth (a multiple of the median distance under each M) and `power`.

        Args:
            X: Test rows.
            y: Their targets.

        Returns:
            Columns: `layer`, `name`, `d_in`; `features`, `n_iters` (updates of M); `metric`, "error rate" or
            "1 - R^2" (pooled over targets); `error`, that of the machine; `network_error`; `constant_error`, that of
            the best constant answer; `cosine_nfm`, `cosine_agop` of M with what was measured; `n` test rows; `note`.
            What is undefined is NaN, with its reason in `note`.

        Raises:
            InputError: rows the network cannot take, or other targets than in `fit`.
        """
        check_is_fitted(self)
        ran = self._network.run(self._network.prepared(X), list(self._H))
        H = {name: single_rows(rows, name) for name, rows in ran.rows.items()}
        targets = self.targets_.alike(y, len(ran.outputs), self._answers)
        kinds = [kind for kind in LAYER_MATRICES if kind != "agop_centered" or self.features == kind]
        # A network that answers at several positions is scored at each of them.
        outputs = ran.outputs.unflatten(1, (-1, self._answers.n_outputs))
        score, why = network_score(self._network.model, outputs, targets, self.targets_)
        test = Test(targets, self.classes_ is not None, self._y, score, why)
        found: list[dict[str, Any]] = []
        with bars(self.progress), progress("fitting layers", len(self._layers) * len(kinds)) as advance:
            for layer in self._layers:
                for kind in kinds:
                    found += test.rows(layer, kind, self.n_iters, self._stages(layer, kind), H)
                    advance(1)
        return pd.DataFrame(found, columns=COLUMNS)

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write each layer's machine to DIR/LAYER-NAME.safetensors, for `nfa.rfm.load`; it takes that layer's inputs.

        LAYER is the layer's number. In NAME every character but letters, digits and `_.#-` becomes `_`. The machine of
        a layer in `coordinates_` takes these coordinates; they are written to
        DIR/LAYER-NAME.coordinates.safetensors.

        Returns:
            The machines' files.
        """
        check_is_fitted(self)
        out = output_folder("folder", folder)
        # A name from a file could be a path to anywhere.
        safe = {name: re.sub(r"[^\w.#-]", "_", name) for name in self.machines_}
        stems = {name: f"{self.audit_[name]['layer']}-{safe[name]}" for name in safe}
        files = {name: out / f"{stem}.safetensors" for name, stem in stems.items()}
        for name, machine in self.machines_.items():
            machine.save(files[name])
        for name, coordinates in self.coordinates_.items():
            coordinates.save(out / f"{stems[name]}.coordinates.safetensors")
        return list(files.values())

    def _fit_layer(self, layer: LayerAudit) -> None:
        """Fit one layer's machines, and note what is unusual."""
        name, notes = layer["name"], []
        stages = self._stages(layer, self.features)
        if isinstance(stages, str):
            notes.append(stages)
        else:
            self._fitted[name] = list(stages)
        if name in self._H:
            notes += unusual_rows(self._H[name])
            if layer["trivial"] and self.features == "agop":
                notes.append("trivial: delta is the same for every row, so the AGOP tells little that W does not")
        if notes:
            self.notes_[name] = "; ".join(notes)

    def _stages(self, layer: LayerAudit, features: str) -> Iterable[LayerMachine] | str:
        """Return a layer's machines after 0, 1, ... updates, or why there are none."""
        name = layer["name"]
        if name not in self._H:
            return "left out: several rows for each sample"
        if features == self.features and name in self._fitted:
            return self._fitted[name]
        start = layer_matrix(layer, features, self.power, self.random_state)
        if start.undefined:
            return start.undefined
        kind = RFMRegressor if self.classes_ is None else RFMClassifier
        names = ("kernel", "exponent", "bandwidth", "ridge", "fit_intercept", "n_iters", "memory_budget")
        own = {each: getattr(self, each) for each in names} | {"random_state": self.random_state, "progress": False}
        if self.classes_ is not None:  # labels are all that is asked for
            own["temperature"] = None
        # Each layer's rows are in the units that the network gave them.
        machine = kind(scale=None, agop_power=1.0, **own)
        return staged(machine, self._H[name], self._y, start.M)

    def _predicting_layer(self) -> str:
        """Return the name of the layer whose machine predicts."""
        if self.layer is None:
            return list(self.machines_)[-1]
        name = str(self.audit_[self.layer]["name"])
        if name not in self.machines_:
            raise InputError("layer", f"{name} has no machine ({self.notes_.get(name, 'not among the layers chosen')})")
        return name
