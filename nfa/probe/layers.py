"""Find the layers of a network on a few samples, and see that their rows come sample by sample."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from nfa.common.errors import InputError
from nfa.data.inputs import Inputs, map_inputs, taken
from nfa.probe.gradients import cut_off, gradients, reached, strays
from nfa.probe.layout import SAMPLES_FIRST, Layout, others
from nfa.probe.runner import Runner
from nfa.probe.uses import Use

FEW = 2
"""Samples that show, before anything is measured, which layers there are and how their rows come."""

MORE = 16
"""Samples that are looked at if the gradients of only one of the few reach a layer whose samples do not come first."""

NOT_FIRST = "samples not first"
CUT_OFF = "no gradient"
"""Why a layer of the network is not measured."""


@dataclass(frozen=True)
class Layer:
    """A layer as the probe found it.

    Args:
        name: Of its weight, without ".weight".
        weight: W, k x d, detached, in the network's own memory.
        to_output: Linear layers from this one to the output, both counted.
        groups: Diagonal blocks of W, each a map of its own with rows of its own: groups of a convolution's channels.
        row_shape: The shape in which the d entries of a row lie in the network.
    """

    name: str
    weight: Tensor
    to_output: int
    groups: int = 1
    row_shape: tuple[int, ...] = ()


class Layers:
    """The layers of a network, where samples lie among their rows, and which layers cannot be measured.

    Args:
        uses: Every use of a weight in a run of a few samples.
        n: The samples.
        reaching: By sample and use, the rows that a gradient of the sample's outputs reaches; empty for one sample.

    Raises:
        InputError: the rows of no layer come sample by sample.
    """

    def __init__(self, uses: Sequence[Use], n: int, reaching: Sequence[Sequence[Tensor | None]]) -> None:
        self.dropped: dict[str, str] = {}  # layers that cannot be measured, and why
        self.rows_per_sample = 1  # at the layer with the most
        self._layouts: dict[str, Layout] = {}
        self._leading: dict[str, set[int]] = {}  # by name, rows of one sample along the axis of z on which samples lie
        self._unseen: set[str] = set()  # layers that no gradient has reached so far
        self.unclear: set[str] = set()  # layers whose samples do not come first, and of which one sample shows no row
        by_name = {use.name: use for use in uses}
        self._layers = [Layer(use.name, use.weight, 0, use.groups, use.row_shape) for use in by_name.values()]
        self._operations = {name: use.operation for name, use in by_name.items()}
        for name in by_name:
            self._find_layout(name, uses, reaching, n)
        for use in uses:
            along = self._layouts[use.name].rows_along(use.shape, n)
            self._leading.setdefault(use.name, set()).add(along or 1)
            self.rows_per_sample = max(self.rows_per_sample, math.prod(use.shape[:-1]) // n)

    def measurable(self) -> list[Layer]:
        """Return the layers that are not dropped, in forward order; `to_output` counts these alone."""
        left = [layer for layer in self._layers if layer.name not in self.dropped]
        # Layers side by side are equally far from the output.
        steps = list(dict.fromkeys(self._operations[layer.name] for layer in left))
        return [replace(layer, to_output=len(steps) - steps.index(self._operations[layer.name])) for layer in left]

    def by_sample(self, use: Use, values: Tensor, n: int) -> Tensor:
        """Return values of a use's rows (... x k) as n x (rows of a sample) x k."""
        return self._layouts[use.name].arranged(values, n)

    def deltas(self, f: Tensor, uses: Sequence[Use], found: Sequence[Tensor | None]) -> list[tuple[str, Tensor]]:
        """Return each use's name and delta (n x rows of a sample x k), from the gradients with respect to z.

        A layer whose rows come in another number than in the first run is dropped.

        Args:
            f: The chosen outputs, n x c.
            uses: The uses.
            found: The gradient at each; None where there is none, which is a zero.
        """
        deltas = []
        for use, gradient in zip(uses, found, strict=True):
            if self._layouts[use.name].rows_along(use.shape, len(f)) not in self._leading[use.name]:
                self._drop(use.name, NOT_FIRST)
            if use.name in self.dropped:
                continue
            delta = f.new_zeros(use.shape) if gradient is None else use.delta(gradient)
            deltas.append((use.name, self.by_sample(use, delta, len(f))))
        # A layer may have been dropped at its second use.
        return [(name, delta) for name, delta in deltas if name not in self.dropped]

    def has_unseen(self, wanted: frozenset[str]) -> bool:
        """Return whether no gradient has reached one of these layers so far."""
        return bool(self._unseen & wanted)

    def check_unseen(self, f: Tensor, uses: Sequence[Use], deltas: Sequence[tuple[str, Tensor]]) -> None:
        """Drop layers that a gradient reaches for the first time if their rows do not come sample by sample."""
        for name, delta in deltas:
            reaching = delta.flatten(1).nan_to_num().any(1)
            if name in self._unseen and bool(reaching.any()):
                sample, own = int(reaching.nonzero()[0]), [use for use in uses if use.name == name]
                marks = [rows for rows in reached(f, own, sample) if rows is not None and bool(rows.any())]
                self._unseen.discard(name)
                if not marks or any(strays(self._layouts[name], rows, len(f), sample) for rows in marks):
                    self._drop(name, NOT_FIRST)

    def check_cut_off(
        self,
        f: Tensor,
        uses: Sequence[Use],
        found: Sequence[Tensor | None],
        nudged: Callable[[frozenset[int]], Tensor],
    ) -> bool:
        """Drop layers without a gradient on whose z the outputs do depend.

        Args:
            f: The chosen outputs, n x c.
            uses: The uses.
            found: The gradient at each; None where torch gives none.
            nudged: Computes the outputs again with z moved at the uses with these numbers.

        Returns:
            Whether that took further runs.
        """
        missing = [number for number, gradient in enumerate(found) if gradient is None]
        for number in cut_off(f.detach(), missing, nudged):
            self._drop(uses[number].name, CUT_OFF)
        return bool(missing)

    def drop_cut_off(self, names: Iterable[str]) -> None:
        """Drop layers that no gradient reaches although outputs depend on them."""
        for name in names:
            self._drop(name, CUT_OFF)

    def _find_layout(self, name: str, uses: Sequence[Use], reaching: Sequence[Sequence[Tensor | None]], n: int) -> None:
        """Find where samples lie among a layer's rows: first, or else where the gradients of each sample show it."""
        own = [number for number, use in enumerate(uses) if use.name == name]
        marks = [(sample, rows[i]) for sample, rows in enumerate(reaching) for i in own if rows[i] is not None]
        marked = [(sample, rows) for sample, rows in marks if rows is not None and bool(rows.any())]
        # Gradients of a single sample cannot confirm another layout than samples first.
        known = len({sample for sample, _ in marked}) > 1
        axes = min(len(uses[i].shape) for i in own)
        if n > 1 and not marked:
            self._unseen.add(name)
        for layout in (SAMPLES_FIRST, *(others(axes) if known else ())):
            if all(layout.rows_along(uses[i].shape, n) for i in own) and not any(
                strays(layout, rows, n, sample) for sample, rows in marked
            ):
                self._layouts[name] = layout
                return
        self._layouts[name] = SAMPLES_FIRST
        if known:
            self._drop(name, NOT_FIRST)
        else:
            self.unclear.add(name)

    def drop_unclear(self) -> None:
        """Drop the layers of which too few samples show where they lie."""
        for name in self.unclear:
            self._drop(name, NOT_FIRST)

    def drop(self, kinds: Mapping[str, str]) -> None:
        """Leave out layers, by name with the reason.

        Raises:
            InputError: no layer is left.
        """
        for name, kind in kinds.items():
            self._drop(name, kind)

    def _drop(self, name: str, kind: str) -> None:
        """Leave out a layer from now on.

        Raises:
            InputError: it was the last one.
        """
        self.dropped.setdefault(name, kind)
        if all(layer.name in self.dropped for layer in self._layers):
            first = self._layers[0].name
            raise InputError(
                "net",
                f"in layer {first} rows do not come sample by sample; samples must come first"
                if self.dropped[first] == NOT_FIRST
                else f"no gradient reaches layer {first}, on which its outputs depend (is it detached?)",
            )


def find_layers(runner: Runner, first: Callable[[int], Inputs]) -> Layers:
    """Return the layers that a few samples show.

    Args:
        runner: Runs the network.
        first: Returns the first samples, given how many; there may be fewer.

    Raises:
        InputError: there are none, or one sample's outputs depend on the others.
    """
    x = first(FEW)
    f, uses = runner.first_run(x)
    if not uses:
        raise InputError(
            "net", "it has no linear layer (no product of its inputs with a weight matrix, no convolution)"
        )
    layers, found = _shown(f, uses)
    if layers.unclear:
        x = first(MORE)
        f, uses = runner.run(map_inputs(torch.clone, x), None)
        layers, found = _shown(f, uses)
        layers.drop_unclear()
    if len(f) > 1:
        _check_alone(runner, x, f)
    layers.check_cut_off(f, uses, found, partial(runner.nudged, x, None, 0))
    return layers


def _shown(f: Tensor, uses: Sequence[Use]) -> tuple[Layers, tuple[Tensor | None, ...]]:
    """Return the layers of a run, and the gradients at every use."""
    reaching = [reached(f, uses, sample) for sample in range(len(f))] if len(f) > 1 else []
    return Layers(uses, len(f), reaching), gradients(f, uses, torch.ones_like(f))


def _check_alone(runner: Runner, x: Inputs, f: Tensor) -> None:
    """Check that the first sample's outputs are its own."""
    first = torch.zeros(len(f), dtype=torch.int64, device="cpu")
    alone, _ = runner.run(taken(x, first), frozenset())
    eps = torch.finfo(f.dtype).eps
    if not torch.allclose(alone[0], f[0].detach(), rtol=1e3 * eps, atol=1e3 * eps * float(f.detach().abs().max())):
        raise InputError(
            "net",
            "its answer to a sample changes with the other samples of the batch, or from call to call; where it is "
            "drawn, outputs= may take what is not, such as a distribution's mean",
        )
