"""A network whose weights keep their directions and get other feature matrices."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.metrics import r2_score
from torch import Tensor

from nfa.common.errors import InputError
from nfa.data.label_words import several_positions
from nfa.data.labels import Targets, decoded, threshold_of
from nfa.network.model import with_ending
from nfa.probe import Activations, activations
from nfa.rfm.deep.base import TRANSPORTS, DeepRFM, Request
from nfa.rfm.deep.collapse import LAST, collapse_rows
from nfa.rfm.estimators.classifier import RFMClassifier
from nfa.rfm.estimators.regressor import RFMRegressor
from nfa.rfm.estimators.single import SingleRFM
from nfa.rfm.network import Network, single_rows, unusual_layers
from nfa.rfm.start import WeightStart, weight_starts

SEVERAL = "several rows for each sample"


@dataclass(frozen=True, eq=False)
class PolarLayer:
    """A layer of a `PolarRFM`.

    Args:
        name: As the network calls it.
        M: Its feature matrix, at the scale of the NFM, float64, (d, d).
        weight: The weight that is computed with, k x d; the network's own in the last layer.
        machine: The kernel machine that updated M; None without updates.
    """

    name: str
    M: NDArray[np.float64]
    weight: Tensor
    machine: SingleRFM | None


@dataclass(frozen=True, eq=False)
class NetworkHead:
    """A network's last linear layer, and what its outputs mean.

    Args:
        classes: The labels that outputs stand for; None for real targets.
        threshold: Above it, a single output means the second class.
        ending: The activation that was taken off the network, if any.
    """

    classes: NDArray[Any] | None
    threshold: float
    ending: str | None

    def answer(self, outputs: Tensor) -> NDArray[Any]:
        """Return labels or numbers from outputs (n, c)."""
        if self.classes is not None:
            return np.asarray(self.classes[decoded(outputs, self.threshold).cpu().numpy()])
        numbers = with_ending(outputs, self.ending).cpu().numpy()
        return numbers[:, 0] if numbers.shape[1] == 1 else numbers


class PolarRFM(DeepRFM):
    """A network with weights U_M M^(1/2) in its hidden layers; `from_network` returns it for "polar".

    U_M is the polar factor of W M^(1/2). So directions, biases, norms and activations stay the network's, and M = W'W
    gives the network back. It is made from a network, of which it keeps a copy, and not from parameters. So it has no
    `fit`; otherwise it is used like an estimator.

    Attributes:
        layers_: `PolarLayer`s: `name`, `M`, `weight`, `machine` of each.
        head_: What predicts from the last layer's rows: an `RFMClassifier` or `RFMRegressor`, or a `NetworkHead`.
        collapse_: Three rows per layer, as of `DeepRFMRegressor`: the layer's rows, M^(1/2) times them, and the rows
            that reach the next layer.
        notes_: What is unusual, in sentences.
    """

    def __init__(
        self,
        network: Network,
        targets: Targets,
        layers: list[PolarLayer],
        head: SingleRFM | NetworkHead,
        collapse: pd.DataFrame,
        notes: list[str],
    ) -> None:
        self._network, self._targets = network, targets
        self.layers_, self.head_, self.collapse_, self.notes_ = layers, head, collapse, notes

    def __repr__(self) -> str:
        """Show the network's name, the number of layers and the head."""
        head = "its own" if isinstance(self.head_, NetworkHead) else type(self.head_).__name__
        return f"PolarRFM({self._network.model.name}, {len(self.layers_)} layers, head: {head})"

    @property
    def classes_(self) -> NDArray[Any] | None:
        """The labels that `predict` chooses from; None for real targets."""
        return self.head_.classes if isinstance(self.head_, NetworkHead) else getattr(self.head_, "classes_", None)

    def outputs(self, X: Any) -> NDArray[Any]:
        """Return the outputs, (n, c), of the network or of the kernel machine, from which predictions are made."""
        if isinstance(self.head_, NetworkHead):
            return self._run(X, []).outputs.cpu().numpy()
        return self.head_._outputs(self._last_rows(X))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return a label, or numbers, for each row."""
        if isinstance(self.head_, NetworkHead):
            return self.head_.answer(self._run(X, []).outputs)
        machine: Any = self.head_
        return np.asarray(machine.predict(self._last_rows(X)))

    def score(self, X: Any, y: Any) -> float:
        """Return the share of right labels, or R^2 for real targets."""
        found = self.predict(X)
        expected = self._targets.alike(y, len(found), self._network.answers(self._network.prepared(X)))
        if self._targets.are_classes:
            return float((found == expected).mean())
        if expected.size != found.size:
            wide = expected[0].size
            raise InputError("y", f"{wide} real targets, but the network has {found[0].size} outputs")
        return float(r2_score(expected.reshape(found.shape), found))

    def _run(self, X: Any, layers: list[str]) -> Activations:
        weights = {layer.name: layer.weight for layer in self.layers_[:-1]}
        return self._network.run(self._network.prepared(X), layers, weights)

    def _last_rows(self, X: Any) -> Tensor:
        name = self.layers_[-1].name
        return single_rows(self._run(X, [name]).rows[name], name)


def polar_rfm(cls: type[DeepRFM], asked: Request) -> DeepRFM:
    """Return a network's `PolarRFM`, whatever the class that was asked.

    Raises:
        InputError: as `DeepRFM.from_network`.
    """
    for name, value in (("width", asked.width), ("feature_map", asked.feature_map)):
        if value is not None:
            raise InputError(name, "only for transport='random'; 'polar' keeps the network's own")
    model, n_iters = asked.network.model, asked.n_iters
    kept = asked.network.copied()
    with asked.network.probe(asked.inputs) as probe:
        starts = weight_starts(probe, asked.features, asked.power, asked.audit)
        targets, said = asked.network.targets(asked.y, asked.inputs)
        answers = asked.network.answers(asked.inputs)
        if asked.head != "kernel" and targets.are_classes and probe.n_outputs != answers.n_outputs:
            raise several_positions(probe.n_outputs // answers.n_outputs)
        kind = RFMClassifier if targets.are_classes else RFMRegressor
        weights: dict[str, Tensor] = {}
        rows: dict[str, Tensor] = {}
        machines: dict[str, SingleRFM] = {}
        if n_iters == 0:
            weights = {layer.name: starts[layer.name].weight(layer.weight) for layer in probe.layers[:-1]}
            found = activations(probe, list(starts), weights)
            rows = found.rows
        for layer in probe.layers:
            name, last = layer.name, layer is probe.layers[-1]
            if name not in rows:  # the layers before have changed, and so have these rows
                found = activations(probe, [name], weights)
                rows |= found.rows
            if asked.head == "kernel" if last else n_iters > 0:
                # A network's M has seen the targets, so that leave-one-out under it can choose no ridge.
                own = {"ridge": 1e-3, "scale": None, "agop_power": 1.0} | (
                    {"temperature": None} if targets.are_classes else {}
                )
                machine = kind(**own | asked.parameters | {"n_iters": n_iters, "M_init": starts[name].dense})
                machines[name] = machine.fit(single_rows(rows[name], name), targets.values)
                if n_iters > 0:
                    starts[name] = starts[name].replaced(machine.machine_.metric)
            if not last and name not in weights:
                weights[name] = starts[name].weight(layer.weight)
        layers = [
            PolarLayer(
                layer.name,
                starts[layer.name].dense.numpy(),
                weights.get(layer.name, layer.weight).clone(),
                machines.get(layer.name),
            )
            for layer in probe.layers
        ]
    numbers = torch.from_numpy(np.unique(targets.values, return_inverse=True)[1]) if targets.are_classes else None
    table = _collapse([rows[name] for name in starts], list(starts.values()), numbers)
    notes = [*model.notes, *said, *unusual_layers({name: rows[name] for name in starts})]
    head: SingleRFM | NetworkHead
    if asked.head == "kernel":
        head = machines[layers[-1].name]
    else:
        codes = None if targets.codes is None else torch.from_numpy(targets.codes)
        head = NetworkHead(targets.order, threshold_of(found.outputs.cpu(), codes, model.ending), model.ending)
    return PolarRFM(kept, targets, layers, head, table, notes)


TRANSPORTS["polar"] = polar_rfm


def _collapse(rows: list[Tensor], starts: list[WeightStart], classes: Tensor | None) -> pd.DataFrame:
    """Return `collapse_`; the rows that a layer makes are those that reach the next one."""
    table = []
    for number, (H, start) in enumerate(zip(rows, starts, strict=True)):
        # R'h is M^(1/2)h but for a rotation, which changes nothing.
        rooted = H.double() @ start.factor.to(H.device)
        following = LAST if number + 1 == len(rows) else rows[number + 1]
        places = [SEVERAL if isinstance(at, Tensor) and at.shape[1] > 1 else at for at in (H, rooted, following)]
        table += collapse_rows(number, [at[:, 0] if isinstance(at, Tensor) else at for at in places], classes)
    return pd.DataFrame(table)
