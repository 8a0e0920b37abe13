"""The door from a network of any source: its layers, its audit, and the rows that reach its layers."""

import copy
import os
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from nfa.audits.audit import Audit, LayerAudit
from nfa.audits.run import audit
from nfa.common.checks import one_of
from nfa.common.errors import InputError
from nfa.common.progress import bars
from nfa.common.shown import few
from nfa.common.warned import SharedNetworkWarning
from nfa.data.labels import Answers, Targets, read_targets
from nfa.data.samples import as_samples
from nfa.data.targets import label_name
from nfa.formats.loading import load, load_init
from nfa.network.forward import Forward
from nfa.network.model import Model
from nfa.network.preparing import prepare
from nfa.probe import Activations, Layer, Probe, activations, untouched

FEW = 8
"""Samples by which a network is checked to be a plain chain."""


class Network:
    """A network that machines start from.

    Inputs are prepared once, by `prepared`; all other methods take what it returns.

    Args:
        net: Anything that `nfa.load` takes or returns.
        bars: Whether progress may be shown.

    Attributes:
        model: The network, and what is known of its data.

    Raises:
        InputError: as `nfa.load`.

    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    >>> network = Network(net)
    >>> network.run(network.prepared(torch.ones(5, 3)), ["2"]).rows["2"].shape
    torch.Size([5, 1, 4])
    """

    def __init__(self, net: Any, bars: bool = True) -> None:
        self.model: Model = load(net, argument="net")
        self.bars = bars
        self._forward = Forward(self.model.bare())

    def copied(self) -> "Network":
        """Return the network with a copy of its module, which stays as it is now.

        Raises:
            InputError: it cannot be copied.
        """
        found = copy.copy(self)
        found.model = self.model.copied()
        found._forward = Forward(found.model.bare())
        return found

    def prepared(self, X: Any) -> Any:
        """Return inputs as the network takes them: columns by name, transformed, scaled.

        Args:
            X: An array, a tensor or a table.

        Raises:
            InputError: a tuple, or data that are read in batches; or as `nfa.network.preparing.prepare`.
        """
        if isinstance(X, tuple):
            raise InputError("X", "a tuple; hand over rows as X and targets as y")
        if isinstance(X, (DataLoader, TorchDataset)):
            raise InputError("X", f"got {type(X).__name__}, expected an array, a tensor or a table")
        return prepare(self.model, X)[0]

    @contextmanager
    def probe(self, inputs: Any) -> Iterator[Probe]:
        """Enter a probe of the network on prepared inputs.

        Raises:
            InputError: the network cannot take them, or has no hidden layer.
        """
        with bars(self.bars), Probe(self._forward, inputs) as probe:
            if len(probe.layers) < 2:
                raise InputError(
                    "net",
                    "it has no hidden layer, so that its only layer's inputs are X itself; fit an RFM to X instead",
                )
            yield probe

    def run(
        self, inputs: Any, layers: Collection[str] = (), weights: Mapping[str, Tensor] | None = None
    ) -> Activations:
        """Return outputs and the rows that reach some layers, from one pass over prepared inputs.

        Args:
            inputs: Prepared inputs.
            layers: Names.
            weights: By layer, a weight to compute with in place of its own.
        """
        with self.probe(inputs) as probe:
            return activations(probe, layers, weights)

    def audit(self, inputs: Any, init: Any, outputs: str, layers: str | None, seed: int) -> Audit:
        """Return the audit of prepared inputs; see `nfa.audit`.

        Raises:
            InputError: as `probe` and `nfa.audit`.
        """
        with self.probe(inputs):  # checks the network
            pass
        before = None if init is None else load_init(init, self.model)
        with bars(self.bars):
            return audit(self.model.bare(), inputs, before, outputs, layers=layers, seed=seed, name=self.model.name)

    def answers(self, inputs: Any) -> Answers:
        """Return what is known of the network's outputs, which are counted on a few prepared inputs.

        Raises:
            InputError: the network cannot take them.
        """
        with untouched(self._forward.net):
            return self.model.answers(self._forward.width(as_samples(inputs).first(2)))

    def read_targets(self, y: Any, inputs: Any) -> Targets:
        """Return targets as they are read beside the network's outputs.

        Args:
            y: Labels or numbers.
            inputs: Prepared inputs.

        Raises:
            InputError: another number of targets than inputs; or as `read_targets`.
        """
        found, n = read_targets(y, self.answers(inputs)), as_samples(inputs).n
        if len(found.values) != n:
            raise InputError("y", f"{len(found.values)} targets, but X has {n} rows")
        return found

    def targets(self, y: Any, inputs: Any) -> tuple[Targets, list[str]]:
        """Return targets as they are read beside the network's outputs, and sentences on them.

        Labels that the network does not know are allowed, unless they are text, each of which must have its output.

        Args:
            y: Labels or numbers.
            inputs: Prepared inputs.

        Raises:
            InputError: another number of targets than samples; text without an output; or as `read_targets`.
        """
        found = self.read_targets(y, inputs)
        if found.order is None:
            return found, []
        if found.refusal is not None and found.values.dtype.kind == "U" and self.model.classes is None:
            raise found.refusal
        present = np.unique(found.values)
        notes = [*found.notes]
        if set(present.tolist()) != set(found.order.tolist()):
            had, known = (few([label_name(each) for each in some], 10) for some in (present, found.order))
            notes.append(f"y has the classes {had}, unlike the network's outputs {known}.")
        return found, notes


def kept_network(net: Any, bars: bool) -> Network:
    """Return a copy of the network; with a warning the network itself where it cannot be copied."""
    network = Network(net, bars)
    if isinstance(net, (str, os.PathLike)):
        return network
    try:
        return network.copied()
    except InputError as error:
        warnings.warn(f"{error}; predictions will follow the network if it changes", SharedNetworkWarning, stacklevel=3)
        return network


def chosen_layers(found: Audit, pattern: str | None) -> list[LayerAudit]:
    """Return the layers of an audit whose name matches a shell pattern (None: all).

    Raises:
        InputError: no name matches.
    """
    chosen = [layer for layer in found if pattern is None or fnmatchcase(layer["name"], pattern)]
    if not chosen:
        one_of("layers", str(pattern), [layer["name"] for layer in found])
    return chosen


def check_audit(found: Audit, names: Iterable[str], layers: Iterable[Layer]) -> None:
    """Check that some layers of an audit are those of a network.

    Args:
        found: The audit.
        names: Of the layers.
        layers: The network's.

    Raises:
        InputError: the audit or the network has no such layer, or its weight is another.
    """
    audited, own = {layer["name"]: layer for layer in found}, {layer.name: layer for layer in layers}
    for name in names:
        if name not in audited:
            raise InputError("audit", f"it has no layer {name!r}, which the network has")
        if not audited[name].is_of(own[one_of("audit", name, own)].weight):
            raise InputError("audit", f"layer {name!r} has another weight than the network's; audit this network")


def check_chain(probe: Probe) -> None:
    """Check that each layer's rows, and the output, come from the layer before and from nothing else.

    If they do, they are the same for all samples once that layer's weight is set to 0.

    Raises:
        InputError: they do not, or a layer has several rows for each sample.
    """
    x, names = probe.samples.first(FEW), [layer.name for layer in probe.layers]
    for layer, after in zip(probe.layers, [*names[1:], None], strict=True):
        wanted = frozenset() if after is None else frozenset([after])
        zero = {layer.name: torch.zeros_like(layer.weight)}
        f, uses = probe.runner.run(x, wanted, keep_rows=True, replaced=zero)
        kept = uses[0].kept if len(uses) == 1 else None
        rows = f.detach() if after is None else None if kept is None else kept.h()
        what = "the output" if after is None else f"layer {after}"
        if rows is None or rows.ndim != 2:
            raise InputError("net", f"{what} has several rows for each sample; transport='random' takes one")
        if float((rows - rows[0]).abs().max()) > 1e3 * torch.finfo(rows.dtype).eps * float(rows.abs().max()):
            raise InputError(
                "net",
                f"{what} depends on more than layer {layer.name} (a residual connection?); transport='random' "
                "needs a plain chain, transport='polar' takes any network",
            )


def single_rows(rows: Tensor, name: str) -> Tensor:
    """Return rows (n x 1 x d) as (n x d).

    Raises:
        InputError: there are several for each sample, which a kernel machine cannot take.
    """
    if rows.shape[1] != 1:
        raise InputError("net", f"layer {name} has {rows.shape[1]} rows for each sample; a kernel machine takes one")
    return rows[:, 0]


def unusual_rows(H: Tensor) -> list[str]:
    """Return what is unusual about a layer's rows: more entries than samples, or the same row for every sample.

    Args:
        H: The rows that reach it, (n, d), or (n, p, d) where each sample has several.

    >>> unusual_rows(torch.ones(2, 3))[0]
    'takes 3 entries, but there are 2 samples'
    """
    found = []
    n, d = len(H), H.shape[-1]
    if n < d:
        found.append(f"takes {d} entries, but there are {n} samples")
    if n > 1 and torch.equal(H, H[:1].expand_as(H)):
        found.append("sees the same for every sample: what comes before it is dead on X")
    return found


def unusual_layers(rows: Mapping[str, Tensor]) -> list[str]:
    """Return `unusual_rows` of all layers, by name, as sentences."""
    return [f"Layer {name} {what}." for name, H in rows.items() for what in unusual_rows(H)]
