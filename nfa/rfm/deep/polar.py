"""A network whose weights keep their directions and take their feature matrices from elsewhere."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, r2_score
from torch import Tensor

from nfa.audits.audit import Audit
from nfa.network.model import with_ending
from nfa.probe import Activations, activations
from nfa.rfm.deep.collapse import LAST, collapse_rows
from nfa.rfm.deep.network import Seed, Source, single_rows
from nfa.rfm.deep.targets import targets_of
from nfa.rfm.estimators.base import BaseRFM
from nfa.rfm.estimators.classifier import RFMClassifier
from nfa.rfm.estimators.regressor import RFMRegressor
from nfa.rfm.estimators.tables import as_host

HEADS = ("network", "kernel")
"""What answers: the network's last linear layer, or a kernel machine on the rows that reach it."""

SEVERAL = "several rows for each sample"


@dataclass(frozen=True, eq=False)
class PolarLayer:
    """A layer of a `PolarRFM`.

    Args:
        name: As the network calls it.
        M: Its feature matrix, at the scale of the NFM, float64, (d, d).
        weight: What is computed with, k x d; the network's own in the last layer.
        machine: The kernel machine that updated M; None without updates.
    """

    name: str
    M: NDArray[np.float64]
    weight: Tensor
    machine: BaseRFM | None


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
            one = outputs.shape[1] == 1
            chosen = (outputs[:, 0] > self.threshold).long() if one else outputs.argmax(1)
            return np.asarray(self.classes[chosen.cpu().numpy()])
        numbers = with_ending(outputs, self.ending).cpu().numpy()
        return numbers[:, 0] if numbers.shape[1] == 1 else numbers


class PolarRFM:
    """A network computed with weights U_M M^(1/2) in its hidden layers; what `from_network` returns for "polar".

    U_M is the polar factor of W M^(1/2), so that directions, biases, norms and activations stay the network's, and M =
    W'W gives the network back. It is made from a network (of which it keeps a copy), not from parameters, and so has no
    `fit`; otherwise it is used as an estimator.

    Attributes:
        layers_: `PolarLayer`s: `name`, `M`, `weight`, `machine` of each.
        head_: What answers from the last layer's rows: an `RFMClassifier` or `RFMRegressor`, or a `NetworkHead`.
        collapse_: Three rows per layer, as of `DeepRFMRegressor`: the layer's rows, M^(1/2) times them, and the rows
            that reach the next layer.
        notes_: What is unusual, in sentences.
    """

    def __init__(
        self,
        source: Source,
        layers: list[PolarLayer],
        head: BaseRFM | NetworkHead,
        collapse: pd.DataFrame,
        notes: list[str],
    ) -> None:
        self._source = source
        self.layers_, self.head_, self.collapse_, self.notes_ = layers, head, collapse, notes

    def __repr__(self) -> str:
        """Say of what it is made."""
        head = "its own" if isinstance(self.head_, NetworkHead) else type(self.head_).__name__
        return f"PolarRFM({self._source.model.name}, {len(self.layers_)} layers, head: {head})"

    @property
    def classes_(self) -> NDArray[Any] | None:
        """The labels that `predict` chooses from; None for real targets."""
        return self.head_.classes if isinstance(self.head_, NetworkHead) else getattr(self.head_, "classes_", None)

    def outputs(self, X: Any) -> NDArray[Any]:
        """Return what answers are made of, (n, c): the network's outputs, or the kernel machine's."""
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
        if self.classes_ is None:
            return float(r2_score(as_host(y), found))
        labels = np.asarray(as_host(y))
        return float(accuracy_score(labels.argmax(1) if labels.ndim == 2 and labels.shape[1] > 1 else labels, found))

    def _run(self, X: Any, layers: list[str]) -> Activations:
        return self._source.run(X, layers, {layer.name: layer.weight for layer in self.layers_[:-1]})

    def _last_rows(self, X: Any) -> Tensor:
        name = self.layers_[-1].name
        return single_rows(self._run(X, [name]).rows[name], name)


def polar_rfm(
    source: Source,
    X: Any,
    y: Any,
    features: str,
    power: float,
    audit: Audit | None,
    head: str,
    n_iters: int,
    parameters: dict[str, Any],
) -> PolarRFM:
    """Return a network's `PolarRFM`; see `DeepRFM.from_network`."""
    kept = source.copied()
    with source.probe(X) as probe:
        seeds = source.matrices(probe, features, power, audit)
        targets = targets_of(source.model, y, source.n, probe.n_outputs)
        kind = RFMRegressor if targets.answers is None else RFMClassifier
        weights: dict[str, Tensor] = {}
        rows: dict[str, Tensor] = {}
        machines: dict[str, BaseRFM] = {}
        if n_iters == 0:
            weights = {layer.name: seeds[layer.name].weight(layer.weight) for layer in source.layers[:-1]}
            found = activations(probe, source.names, weights)
            rows = found.rows
        for layer in source.layers:
            name, last = layer.name, layer is source.layers[-1]
            if name not in rows:  # the layers before have changed, and with them these rows
                found = activations(probe, [name], weights)
                rows |= found.rows
            if head == "kernel" if last else n_iters > 0:
                machine = kind(**parameters | {"n_iters": n_iters, "M_init": seeds[name].dense})
                machines[name] = machine.fit(single_rows(rows[name], name), targets.values)
                if n_iters > 0:
                    seeds[name] = seeds[name].replaced(machine.machine_.metric)
            if not last and name not in weights:
                weights[name] = seeds[name].weight(layer.weight)
    layers = [
        PolarLayer(
            layer.name,
            seeds[layer.name].dense.numpy(),
            weights.get(layer.name, layer.weight).clone(),
            machines.get(layer.name),
        )
        for layer in source.layers
    ]
    numbers = None
    if targets.answers is not None:
        numbers = torch.from_numpy(np.unique(targets.values, return_inverse=True)[1])
    table = _collapse([rows[name] for name in source.names], [seeds[name] for name in source.names], numbers)
    notes = [*source.model.notes, *targets.notes, *source.unusual(rows)]
    answering = machines.get(source.names[-1]) or NetworkHead(
        targets.answers, _threshold(found.outputs, numbers, source.model.ending), source.model.ending
    )
    return PolarRFM(kept, layers, answering, table, notes)


def _threshold(f: Tensor, classes: Tensor | None, ending: str | None) -> float:
    """Return above what a single output means the second class: as a logit 0, as a probability 0.5."""
    if classes is None or f.shape[1] > 1 or ending is not None:
        return 0.0
    right = [int(((f[:, 0].cpu() > threshold) == (classes > 0)).sum()) for threshold in (0.0, 0.5)]
    return 0.0 if right[0] >= right[1] else 0.5


def _collapse(rows: list[Tensor], seeds: list[Seed], classes: Tensor | None) -> pd.DataFrame:
    """Return `collapse_`; the rows reaching the next layer are those that a layer makes."""
    table = []
    for number, (H, seed) in enumerate(zip(rows, seeds, strict=True)):
        # R'h is M^(1/2)h, turned, which changes nothing.
        rooted = H.double() @ seed.factor.to(H.device)
        following = LAST if number + 1 == len(rows) else rows[number + 1]
        places = [SEVERAL if isinstance(at, Tensor) and at.shape[1] > 1 else at for at in (H, rooted, following)]
        table += collapse_rows(number, [at[:, 0] if isinstance(at, Tensor) else at for at in places], classes)
    return pd.DataFrame(table)
