"""What a network gives to machines that start from it: its layers' feature matrices, rows and outputs."""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nfa.audits.audit import Audit
from nfa.common.checks import number, one_of
from nfa.common.errors import InputError
from nfa.common.shown import few
from nfa.data.labels import Targets, read_targets
from nfa.data.targets import label_name
from nfa.features.measuring import measure
from nfa.features.polar import Polar, Spectral
from nfa.formats.loading import load
from nfa.network.forward import Forward
from nfa.network.model import Model
from nfa.network.preparing import prepare
from nfa.probe import Activations, Layer, Probe, activations
from nfa.rfm.metric import Metric
from nfa.rfm.unusual import unusual_rows

FEATURES = ("agop", "nfm")
"""Which of a layer's feature matrices machines can start from."""
FEW = 8
"""Samples that tell whether a network is a plain chain."""


class Source:
    """A network and some rows.

    Args:
        net: Anything that `nfa.load` takes or returns.
        X: Its inputs: an array, a tensor or a table.

    Raises:
        InputError: the network cannot take the rows, or has no hidden layer.
    """

    def __init__(self, net: Any, X: Any) -> None:
        self.model: Model = load(net, argument="net")
        self.forward = Forward(self.model)
        with self.probe(X) as probe:
            self.layers: list[Layer] = list(probe.layers)
            n = probe.samples.n
        if n is None:
            raise InputError("X", f"got {type(X).__name__}, expected an array, a tensor or a table")
        self.n: int = n
        if len(self.layers) < 2:
            raise InputError("net", f"it has no hidden layer (only {self.layers[0].name}), expected at least one")

    def probe(self, X: Any) -> Probe:
        """Return the network, ready to be examined on rows."""
        return Probe(self.forward, prepare(self.model, X)[0])

    @property
    def names(self) -> list[str]:
        """The layers' names, in forward order."""
        return [layer.name for layer in self.layers]

    def copied(self) -> "Source":
        """Return the source with a network of its own, whatever becomes of the one that was handed in.

        Raises:
            InputError: the network cannot be copied.
        """
        found = copy.copy(self)
        found.model = self.model.copied()
        found.forward = Forward(found.model)
        return found

    def run(self, X: Any, layers: list[str], weights: Mapping[str, Tensor]) -> Activations:
        """Return outputs and rows, computed with other weights."""
        with self.probe(X) as probe:
            return activations(probe, layers, weights)

    def matrices(self, probe: Probe, features: str, power: float, audit: Audit | None) -> dict[str, "Seed"]:
        """Return M of every layer: NFM or AGOP, to a power, at the scale of the NFM.

        Args:
            probe: An entered probe of the rows.
            features: One of `FEATURES`.
            power: M is this power of it, above 0.
            audit: Where the AGOP is already known.

        Raises:
            InputError: an audit of another network; the AGOP of a layer is 0; the power is not above 0.
        """
        one_of("features", features, FEATURES)
        power = number("power", power, above_zero=True)
        if audit is not None:
            self._check(audit)
        found = {}
        if features == "nfm":
            S = dict.fromkeys(self.names)
        elif audit is not None:
            S = {name: audit[name].S for name in self.names}
        else:
            S = {each.layer.name: each.S for each in measure(probe, self.layers, grouped=False)}
        for layer in self.layers:
            polar, of_layer = Polar(layer.weight), S[layer.name]
            M = polar.nfm if of_layer is None else polar.agop(of_layer)
            if M.rank == 0:
                raise InputError("features", f"the {features.upper()} of layer {layer.name} is 0 on X (a dead layer)")
            found[layer.name] = Seed(polar, M.power(power).scaled(polar.nfm.size))
        return found

    def targets(self, y: Any, n_outputs: int) -> tuple[Targets, list[str]]:
        """Return targets as they are read beside the network's outputs, and sentences on them.

        Labels that the network does not know are allowed; text has to be told to outputs.

        Raises:
            InputError: another number of targets than rows; text that cannot be told; or as `read_targets`.
        """
        found = read_targets(y, self.model.answers(n_outputs))
        if len(found.values) != self.n:
            raise InputError("y", f"{len(found.values)} targets, but X has {self.n} rows")
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

    def unusual(self, rows: Mapping[str, Tensor]) -> list[str]:
        """Return sentences on layers that are wider than there are samples, or that see the same for every sample."""
        return [f"Layer {name} {what}." for name in self.names for what in unusual_rows(rows[name])]

    def _check(self, audit: Audit) -> None:
        known = {layer["name"]: layer for layer in audit}
        for layer in self.layers:
            if layer.name not in known:
                raise InputError("audit", f"it has no layer {layer.name!r}, which the network has")
            if not known[layer.name].is_of(layer.weight):
                raise InputError("audit", f"layer {layer.name!r} has another weight than the network's")

    def check_chain(self, probe: Probe) -> None:
        """See that each layer's rows, and the output, come from the layer before and from nothing else.

        Where they do, they are the same for all samples once that layer's weight is 0.

        Raises:
            InputError: they do not, or a layer has several rows for each sample.
        """
        x = probe.samples.first(FEW)
        for layer, after in zip(self.layers, [*self.names[1:], None], strict=True):
            wanted = frozenset() if after is None else frozenset([after])
            zero = {layer.name: torch.zeros_like(layer.weight)}
            f, uses = probe.run(x, wanted, keep_rows=True, replaced=zero)
            rows = f.detach() if after is None else uses[0].h if len(uses) == 1 else None
            what = "the output" if after is None else f"layer {after}"
            if rows is None or rows.ndim != 2:
                raise InputError("net", f"{what} has several rows for each sample; transport='random' takes one")
            if float((rows - rows[0]).abs().max()) > 1e3 * torch.finfo(rows.dtype).eps * float(rows.abs().max()):
                raise InputError(
                    "net",
                    f"{what} depends on more than layer {layer.name} (a residual connection?); transport='random' "
                    "needs a plain chain, transport='polar' takes any network",
                )


class Seed:
    """A layer's feature matrix M, and the one SVD of its weight.

    Args:
        polar: Of the weight.
        M: At the NFM's scale.
    """

    def __init__(self, polar: Polar, M: Spectral) -> None:
        self.polar, self.M = polar, M

    @property
    def factor(self) -> Tensor:
        """R (d x m) with M = RR'."""
        vectors = self.M.vectors if self.M.basis is None else self.M.basis @ self.M.vectors
        return vectors * self.M.roots

    @property
    def dense(self) -> Tensor:
        """M (d x d)."""
        R = self.factor
        return R @ R.T

    def replaced(self, metric: Metric) -> "Seed":
        """Return the seed with the M of a kernel machine, at the NFM's scale."""
        root = torch.ones(self.polar.d) if metric.root is None else metric.root
        R = torch.diag(root) if root.ndim == 1 else root
        return Seed(self.polar, Spectral.of_factor(R).scaled(self.polar.nfm.size))

    def weight(self, like: Tensor) -> Tensor:
        """Return U_M M^(1/2), with dtype and device of the weight it is for."""
        return self.polar.weight(self.M).to(like.device, like.dtype)


def single_rows(rows: Tensor, name: str) -> Tensor:
    """Return rows (n x 1 x d) as (n x d).

    Raises:
        InputError: there are several for each sample, which a kernel machine cannot take.
    """
    if rows.shape[1] != 1:
        raise InputError("net", f"layer {name} has {rows.shape[1]} rows for each sample; a kernel machine takes one")
    return rows[:, 0]
