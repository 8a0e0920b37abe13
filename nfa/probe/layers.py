"""The layers of a network: where samples lie among their rows, and which layers cannot be measured."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nfa.common.errors import InputError
from nfa.probe.gradients import alive, cut_off, sources, strays
from nfa.probe.known import tied_to
from nfa.probe.layout import SAMPLES_FIRST, Place, distinct
from nfa.probe.patches import Patches
from nfa.probe.uses import Use

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
        one_hot: Whether the rows are one-hot: a look-up in a table.
        patches: How rows are cut out of a sample's input, as under a convolution's kernel.
        tied: The names of later layers that have the same weight, as it is or transposed.
    """

    name: str
    weight: Tensor
    to_output: int
    groups: int = 1
    row_shape: tuple[int, ...] = ()
    one_hot: bool = False
    patches: Patches | None = None
    tied: tuple[str, ...] = ()


@dataclass(frozen=True)
class Route:
    """Whose the rows of one use are, where samples have different numbers of them, as at experts that rows go to.

    Args:
        order: The rows of the use in the order of the samples.
        places: For each of these, its sample's place in the batch.
    """

    order: Tensor
    places: Tensor


class Layers:
    """The layers of a network, where samples lie among their rows, and which layers cannot be measured.

    Args:
        uses: Every use of a weight in a run of a few samples.
        n: The samples.
        reaching: By sample and use, the rows that a gradient of the sample's outputs reaches; empty for one sample.
        traced: For each use, which sample's each row is (see `gradients.sources`); empty for one sample.
        late: Uses in a run of more samples, if the few do not go through every layer.

    Raises:
        InputError: the rows of no layer come sample by sample.
    """

    def __init__(
        self,
        uses: Sequence[Use],
        n: int,
        reaching: Sequence[Sequence[Tensor | None]],
        traced: Sequence[Tensor | None],
        late: Sequence[Use] = (),
    ) -> None:
        self.dropped: dict[str, str] = {}  # layers that cannot be measured, and why
        self.rows_per_sample = 1  # at the layer with the most
        by_name = {use.name: use for use in uses}
        every = {use.name: use for use in late} | by_name
        cuts: dict[str, set[Patches | None]] = {}
        for use in (*uses, *late):
            cuts.setdefault(use.name, set()).add(use.patches)
        # A kernel that slides over inputs of several sizes has patches of none in particular.
        patches = {name: next(iter(found)) if len(found) == 1 else None for name, found in cuts.items()}
        tied = tied_to({name: use.weight for name, use in every.items()})
        self._layers = [
            Layer(name, use.weight, 0, use.groups, use.row_shape, use.one_hot, patches[name], tied[name])
            for name, use in every.items()
        ]
        self._operations = {use.name: use.operation for use in (*uses, *late)}
        self._places = {name: Place(routed=name not in by_name) for name in every}
        for name in by_name:
            self._find_layout(name, uses, reaching, traced, n)
        for use in uses:
            place = self._places[use.name]
            place.along.add(place.layout.rows_along(use.shape, n) or 1)
            self.rows_per_sample = max(self.rows_per_sample, math.prod(use.shape[:-1]) // n)

    def measurable(self) -> list[Layer]:
        """Return the layers that are not dropped, in forward order; `to_output` counts these alone."""
        left = [layer for layer in self._layers if layer.name not in self.dropped]
        # Layers side by side are equally far from the output.
        steps = list(dict.fromkeys(self._operations[layer.name] for layer in left))
        return [replace(layer, to_output=len(steps) - steps.index(self._operations[layer.name])) for layer in left]

    @property
    def routed(self) -> frozenset[str]:
        """Names of the layers whose rows are told apart in each batch anew."""
        return frozenset(name for name, place in self._places.items() if place.routed)

    @property
    def unclear(self) -> bool:
        """Whether samples may lie in several ways among the rows of a layer."""
        return any(place.unclear for place in self._places.values())

    def by_sample(self, f: Tensor, use: Use, values: Tensor) -> Tensor:
        """Return values of a use's rows (... x k) as n x (rows of a sample) x k.

        Args:
            f: The chosen outputs, n x c.
            use: The use.
            values: Its rows, or what belongs to each.

        Raises:
            InputError: gradients do not show whose each row is, or samples have different numbers of rows.
        """
        n = len(f)
        if self._is_regular(use, n):
            return self._places[use.name].layout.arranged(values, n)
        (places,) = sources(f, [use])
        if places is None or bool((places < 0).any()) or len(places.bincount(minlength=n).unique()) > 1:
            raise InputError(
                "layers", f"{use.name} sees rows of some samples alone, or in an order that no gradient shows"
            )
        return values.reshape(len(places), -1)[places.argsort(stable=True)].reshape(n, -1, values.shape[-1])

    def routes(self, f: Tensor, uses: Sequence[Use]) -> list[Route | None]:
        """Return whose rows are whose, for each use where that is not told by their order; None for the others.

        A layer whose rows come in another number than before is looked at so from then on, and dropped where rows are
        of several samples.

        Args:
            f: The chosen outputs, n x c.
            uses: The uses.
        """
        n = len(f)
        for use in uses:
            self._lay_out_by_shape(use, n)
        odd = [i for i, use in enumerate(uses) if use.name not in self.dropped and not self._is_regular(use, n)]
        found: list[Route | None] = [None] * len(uses)
        for i, places in zip(odd, sources(f, [uses[i] for i in odd]) if odd else (), strict=True):
            name, rows = uses[i].name, math.prod(uses[i].shape[:-1])
            self._places[name].routed = True
            if places is None:
                self.drop(name, NOT_FIRST)
                continue
            # Rows that reach no output add nothing; they count for whichever sample.
            spread = torch.arange(rows, device=places.device) * n // max(1, rows)
            places = torch.where(places < 0, spread, places)
            order = places.argsort(stable=True)
            found[i] = Route(order, places[order].cpu())
        return found

    def _lay_out_by_shape(self, use: Use, n: int) -> None:
        """Take a layout that fits a use's shape where no gradient has shown one; the first gradient checks it."""
        place = self._places[use.name]
        if place.unseen and not self._is_regular(use, n):
            for layout in distinct(len(use.shape), [use.shape], n):
                place.layout, place.along = layout, {layout.rows_along(use.shape, n) or 1}
                return

    def deltas(
        self, f: Tensor, uses: Sequence[Use], found: Sequence[Tensor | None], routes: Sequence[Route | None]
    ) -> list[tuple[str, Tensor, Route | None]]:
        """Return name, delta and route for each use, of the gradients with respect to z.

        Delta has shape n x rows of a sample x k; with a route, rows x 1 x k in its order.

        Args:
            f: The chosen outputs, n x c.
            uses: The uses.
            found: The gradient at each; None where there is none, which is a zero.
            routes: Whose rows are whose.
        """
        deltas: list[tuple[str, Tensor, Route | None]] = []
        for use, gradient, route in zip(uses, found, routes, strict=True):
            if use.name in self.dropped:
                continue
            delta = f.new_zeros(use.shape) if gradient is None else use.delta(gradient)
            if route is None:
                deltas.append((use.name, self._places[use.name].layout.arranged(delta, len(f)), None))
            elif len(route.order):
                deltas.append((use.name, delta.reshape(-1, delta.shape[-1])[route.order][:, None], route))
        return deltas

    def regular(self, uses: Sequence[Use], n: int) -> list[Use]:
        """Return the uses whose rows come sample by sample."""
        return [use for use in uses if use.name not in self.dropped and self._is_regular(use, n)]

    def _is_regular(self, use: Use, n: int) -> bool:
        place = self._places[use.name]
        return not place.routed and place.layout.rows_along(use.shape, n) in place.along

    def has_unseen(self, wanted: frozenset[str]) -> bool:
        """Return whether no gradient has reached one of these layers so far."""
        return any(place.unseen for name, place in self._places.items() if name in wanted)

    def check_unseen(
        self, f: Tensor, uses: Sequence[Use], found: Sequence[Tensor | None], routes: Sequence[Route | None]
    ) -> None:
        """Lay out layers that a gradient reaches for the first time, or drop them if no layout fits.

        Until two samples have a gradient, which may be rounding, each batch is looked at. Nothing but zeros has come
        from a layer before, or rows of one sample that belong to it in every layout that fits.
        """
        own: dict[str, list[Use]] = {}
        reach = set()
        for use, gradient, route in zip(uses, found, routes, strict=True):
            if route is None and self._places[use.name].unseen and use.name not in self.dropped:
                own.setdefault(use.name, []).append(use)
                if gradient is not None and bool(use.delta(gradient).nan_to_num().any()):
                    reach.add(use.name)
        for name in own.keys() & reach:
            place, shapes = self._places[name], [use.shape for use in own[name]]
            for layout in (place.layout, *distinct(min(map(len, shapes)), shapes, len(f))):
                reached = alive(layout, f, own[name])
                if reached is not None:
                    along = {layout.rows_along(shape, len(f)) or 1 for shape in shapes}
                    place.along = place.along | along if layout == place.layout else along
                    place.layout, place.unseen = layout, len(reached) < 2
                    break
            else:
                self.drop(name, NOT_FIRST)

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
            self.drop(uses[number].name, CUT_OFF)
        return bool(missing)

    def _find_layout(
        self,
        name: str,
        uses: Sequence[Use],
        reaching: Sequence[Sequence[Tensor | None]],
        traced: Sequence[Tensor | None],
        n: int,
    ) -> None:
        """Find where samples lie among a layer's rows: first, or else where the gradients of each sample show it."""
        own = [number for number, use in enumerate(uses) if use.name == name]
        marks = [(sample, rows[i]) for sample, rows in enumerate(reaching) for i in own if rows[i] is not None]
        marked = [(sample, rows) for sample, rows in marks if rows is not None and bool(rows.any())]
        # Gradients of a single sample cannot confirm another layout than samples first.
        known = len({sample for sample, _ in marked}) > 1
        axes, place = min(len(uses[i].shape) for i in own), self._places[name]
        if n > 1 and not marked:
            place.unseen = True
            return
        shapes = [uses[i].shape for i in own]
        fitting = [
            layout
            for layout in distinct(axes, shapes, n)
            if not any(strays(layout, rows, n, sample) for sample, rows in marked)
        ]
        # Few rows with a gradient may fit several layouts, and samples first by luck.
        if len(fitting) == 1 and (known or fitting[0] == SAMPLES_FIRST):
            place.layout = fitting[0]
            return
        told = [traced[i] for i in own] if traced else [None]
        place.traceable = all(rows is not None and (not len(rows) or bool((rows >= 0).any())) for rows in told)
        if known and not fitting:
            self._trace_or_drop(name)
        else:
            place.unclear = True

    def check_order(self, uses: Sequence[Use], traced: Sequence[Tensor | None], n: int) -> None:
        """Trace rows batch by batch from now on where they come in another order than the one found.

        Args:
            uses: Every use of a weight in another run.
            traced: For each, which sample's each row is (see `gradients.sources`).
            n: The samples.
        """
        for use, places in zip(uses, traced, strict=True):
            if places is None or use.name in self.dropped or not self._is_regular(use, n):
                continue
            rows = torch.arange(len(places), device=places.device).reshape(*use.shape[:-1], 1)
            by_sample = places[self._places[use.name].layout.arranged(rows, n)].flatten(1)
            own = torch.arange(n, device=places.device)[:, None]
            if bool(((by_sample != own) & (by_sample >= 0)).any()):
                self._places[use.name].routed = True

    def settle_unclear(self) -> None:
        """Trace rows batch by batch where the samples do not show in which layout they lie, or drop their layers."""
        for name, place in self._places.items():
            if place.unclear:
                self._trace_or_drop(name)

    def _trace_or_drop(self, name: str) -> None:
        if self._places[name].traceable:
            self._places[name].routed = True
        else:
            self.drop(name, NOT_FIRST)

    def drop(self, name: str, kind: str) -> None:
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
