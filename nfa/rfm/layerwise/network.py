"""What layerwise machines need of a network: its audit, and one pass for outputs and rows."""

import os
import warnings
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfa.audits.audit import Audit, LayerAudit
from nfa.audits.run import audit
from nfa.common.checks import one_of
from nfa.common.errors import InputError
from nfa.common.progress import bars
from nfa.data.labels import Targets
from nfa.formats.loading import load
from nfa.network.forward import Forward
from nfa.network.model import Model
from nfa.network.preparing import prepare
from nfa.network.scoring import Score, score_outputs
from nfa.probe import Probe, activations


@dataclass(frozen=True, eq=False)
class Seen:
    """What one pass of a network over X gave.

    Args:
        outputs: Its outputs, n x c.
        rows: By layer, the rows h that reach it, n x d.
    """

    outputs: Tensor
    rows: dict[str, Tensor]


class Network:
    """A loaded network, asked the same way whatever it came from.

    Args:
        source: Anything `nfa.load` takes. A network is copied, so that what becomes of it later changes nothing; one
            that cannot be copied is used as it is, with a warning.
        bars: Whether progress may be shown.

    Raises:
        InputError: as `nfa.load`.
    """

    def __init__(self, source: Any, bars: bool = True) -> None:
        self.model: Model = load(source, argument="net")
        if not isinstance(source, (str, os.PathLike)):
            try:
                self.model = self.model.copied()
            except InputError as error:
                warnings.warn(f"{error}; predictions will follow the network if it changes", stacklevel=2)
        self.bars = bars
        # The same network for inputs that are prepared already.
        self.bare = self.model.bare()
        self.forward = Forward(self.bare)
        self.n_outputs = 0

    def prepared(self, X: Any) -> Any:
        """Return inputs as the network wants them: columns by name, transformed, scaled."""
        if isinstance(X, tuple):
            raise InputError("X", "a tuple; hand over rows as X and targets as y")
        return prepare(self.model, X)[0]

    def audited(self, X: Any, init: Any, outputs: str, layers: str | None, seed: int) -> Audit:
        """Return the audit of prepared inputs.

        Raises:
            InputError: no hidden layer; or as `nfa.audit`.
        """
        with Probe(self.forward, X) as probe:
            if len(probe.layers) < 2:
                raise InputError(
                    "net",
                    "it has no hidden layer, so that its only layer's inputs are X itself; fit an RFM to X instead",
                )
        before = None if init is None else load(init, argument="init")
        with bars(self.bars):
            return audit(self.bare, X, before, outputs, layers=layers, seed=seed, name=self.model.name)

    def seen(self, X: Any, layers: list[str]) -> Seen:
        """Run the network over prepared inputs, once."""
        with bars(self.bars), Probe(self.forward, X) as probe:
            found = activations(probe, layers)
            self.n_outputs = probe.n_outputs
        return Seen(found.outputs, {name: rows.squeeze(1) for name, rows in found.rows.items()})

    def check_audit(self, layers: list[LayerAudit], X: Any) -> None:
        """See that the layers of an audit are this network's.

        Raises:
            InputError: there is no such layer, or its weight is another.
        """
        with Probe(self.forward, X) as probe:
            own = {each.name: each.weight for each in probe.layers}
        for layer in layers:
            if not layer.is_of(own[one_of("audit", layer["name"], own)]):
                raise InputError("audit", f"the weight of {layer['name']} is not the network's; audit this network")

    def score(self, outputs: Tensor, y: NDArray[Any], fitted: Targets) -> tuple[Score | None, str]:
        """Return the network's score, or None, and what is unusual about it, in words.

        Args:
            outputs: Shape (n, c).
            y: Their targets.
            fitted: The targets of the training rows, which say whether y is labels, and their order.
        """
        if not self.model.scored:
            return None, "the network's outputs cannot be compared with y"
        n_classes = self.model.answers(self.n_outputs).n_classes
        try:
            targets = torch.from_numpy(fitted.codes_of(y) if fitted.are_classes else y)
            found = score_outputs(outputs, targets, ending=self.model.ending)
        except InputError as error:
            # Machines need no network whose classes are those of y.
            return None, f"the network's own error is undefined ({error})"
        if (found.metric == "accuracy") != fitted.are_classes:
            return None, "the network's own error is of another kind than the machines'"
        known = len(np.unique(fitted.values)) if fitted.are_classes else n_classes
        if known != n_classes:
            return found, f"y has {known} classes, but the network tells {n_classes} apart"
        return found, "; ".join(fitted.notes)


def chosen_layers(found: Audit, pattern: str | None) -> list[LayerAudit]:
    """Return the layers of an audit whose name matches a shell pattern (None: all).

    Raises:
        InputError: none does.
    """
    chosen = [layer for layer in found if pattern is None or fnmatchcase(layer["name"], pattern)]
    if not chosen:
        one_of("layers", str(pattern), [layer["name"] for layer in found])
    return chosen
