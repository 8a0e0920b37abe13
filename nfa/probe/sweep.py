"""Backward sweeps: the gradients of chosen outputs with respect to every layer's z, batch by batch.

One forward pass for each batch, then one backward pass for each output (or each random probe), which
gives delta of all layers at once. Nothing of size samples x outputs x inputs is ever formed.
"""

import fnmatch
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.autograd.graph import allow_mutation_on_saved_tensors

from nfa.common.checks import check_finite, one_of, positive
from nfa.common.errors import InputError, Place, out_of_memory
from nfa.common.precision import stated_precision
from nfa.common.progress import progress
from nfa.data.inputs import Inputs, leaves, map_inputs, taken
from nfa.data.inputs import count as n_samples
from nfa.data.samples import Batch, Samples, as_samples
from nfa.network.forward import Forward
from nfa.probe.blocks import within_blocks
from nfa.probe.gradients import OverwrittenError, cut_off, gradients, reached, strays
from nfa.probe.guard import untouched
from nfa.probe.layout import FIRST, Layout, others
from nfa.probe.outputs import Select, select_outputs
from nfa.probe.signs import Along, Signs
from nfa.probe.uses import Use, UseRecorder
from nfa.probe.weights import Weights

BATCH_SIZE = 512
"""Samples at a time: enough for the processor's full matrix-product rate, little to keep."""

ATTACHED = 2
"""Samples that show, before anything is measured, which layers there are and how their rows come."""

NOT_FIRST = "samples not first"
CUT_OFF = "no gradient"
"""Why a layer of the network is not measured."""

SWEEPS = 64
"""Outputs of a sequence that are swept one by one; of more, random probes are asked for."""


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


@dataclass(frozen=True)
class Sweep:
    """What one backward pass found for one batch.

    Args:
        samples: The batch's sample numbers, sorted by group (number mod 10).
        column: Which chosen output, or which probe.
        signs: The probe's signs (batch x c), or None for exact sweeps.
        deltas: (layer's name, delta of shape batch x rows per sample x k), once for each use.
    """

    samples: Tensor
    column: int
    signs: Tensor | None
    deltas: list[tuple[str, Tensor]]


class Probe:
    """A network under examination; a context manager, on whose exit the network is as it was.

    Args:
        net: Any module that maps inputs (n x ...) to floating-point outputs (n x ...), or a `Forward` that says
            how to call it.
        data: Anything `as_samples` takes.
        outputs: Which outputs (see `select_outputs`).

    Raises:
        InputError: no linear layer, weights that are not finite, data the network cannot take, outputs
            that are not floating point, an unknown choice of outputs.

    >>> net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    >>> with Probe(net, torch.ones(5, 3)) as probe:
    ...     for sweep in probe.sweeps():
    ...         [(name, tuple(delta.shape)) for name, delta in sweep.deltas]
    [('0', (5, 1, 4)), ('2', (5, 1, 2))]
    [('0', (5, 1, 4)), ('2', (5, 1, 2))]
    """

    def __init__(self, net: nn.Module | Forward, data: Any, outputs: str | Select = "logits") -> None:
        self.forward = net if isinstance(net, Forward) else Forward(net)
        self.net = self.forward.net
        self.outputs = outputs
        self.select = select_outputs(outputs, self.forward.ending)
        self.samples: Samples = as_samples(data)
        self.layers: list[Layer] = []
        self.n_outputs = 0
        self.rows_per_sample = 1  # at the layer with the most
        self._positions = ""  # of a sequence's outputs, where every one of them counts, in words
        self._counts_all = isinstance(outputs, str) and not outputs.startswith("output:")
        self._stack = ExitStack()
        self._replaced: Mapping[str, Tensor] = {}
        self._layouts: dict[str, Layout] = {}  # by name, where the samples lie among its rows
        self._leading: dict[str, set[int]] = {}  # by name, rows of z along the samples' axis for one sample
        self._dropped: dict[str, str] = {}  # layers that cannot be measured, and why
        self._unseen: set[str] = set()  # layers at which no sample has shown yet that its rows are its own
        self._last: UseRecorder | None = None
        for name, parameter in self.net.named_parameters():
            check_finite(Place("net", f"weights {name}"), parameter)

    def __enter__(self) -> Self:
        """Attach: find the layers by running a few samples."""
        with ExitStack() as stack:
            stack.enter_context(stated_precision())
            stack.enter_context(torch.inference_mode(mode=False))
            stack.enter_context(torch.enable_grad())
            stack.enter_context(untouched(self.net))
            try:
                self._attach(stack)
            except OverwrittenError:
                # Torch then keeps copies of what is overwritten; not from the start, as it looks at every operation.
                stack.enter_context(allow_mutation_on_saved_tensors())
                self._attach(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Detach.

        Raises:
            InputError: memory ran out.
        """
        self._release()
        self._stack.close()
        if out_of_memory(error):
            raise InputError("batch_size", "memory ran out; measure fewer samples at a time") from error

    @contextmanager
    def replacing(self, weights: Mapping[str, Tensor]) -> Iterator[None]:
        """Compute with other weights (k x d, by layer) in place of the network's own in all that is run within."""
        before, self._replaced = self._replaced, weights
        try:
            yield
        finally:
            self._replaced = before

    def choose(self, pattern: str | None) -> list[Layer]:
        """Return the layers whose name matches a shell pattern such as "layers.*" (None: all).

        Raises:
            InputError: no layer matches; the nearest name is suggested.
        """
        if pattern is None:
            return list(self.layers)
        if not isinstance(pattern, str):
            raise InputError("layers", f"got {pattern!r}, expected a pattern such as 'layers.*'")
        chosen = [layer for layer in self.layers if fnmatch.fnmatchcase(layer.name, pattern)]
        if not chosen:
            one_of("layers", pattern, [layer.name for layer in self.layers])
        return chosen

    def skipped(self) -> list[dict[str, str]]:
        """Return name and kind of all that is not measured.

        Modules with weights (two axes or more) that no layer uses, or that another operation than a layer brings
        together with data; and layers whose rows do not come sample by sample, or that no gradient reaches although
        the outputs depend on them. What a pass over the data shows of these is known after it.
        """
        found = dict(self._dropped)
        for path, module in self.net.named_modules():
            for short, parameter in module.named_parameters(recurse=False):
                # What a parametrisation makes belongs to the module around it.
                around = path.partition("parametrizations")[0].rstrip(".")
                kind = type(self.net.get_submodule(around)).__name__
                kind_left = self._weights.unmeasured(f"{path}.{short}" if path else short, kind)
                if parameter.ndim >= 2 and kind_left is not None:
                    found.setdefault(around or short, kind_left)
        for name, kind in self._weights.made_unmeasured().items():
            found.setdefault(name, kind)
        return [{"name": name, "kind": kind} for name, kind in found.items()]

    @property
    def dropped(self) -> frozenset[str]:
        """Names of the layers that turned out, so far, not to be measurable."""
        return frozenset(self._dropped)

    def sweeps(
        self,
        layers: list[Layer] | None = None,
        batch_size: int = BATCH_SIZE,
        probes: int | None = None,
        seed: int = 0,
        label: str = "measuring",
    ) -> Iterator[Sweep]:
        """Yield, batch by batch, one sweep per chosen output, or `probes` random ones.

        A random probe is sum_j e_ij f_j(x_i) with signs e_ij drawn independently for each sample i.

        Args:
            layers: The layers to look at; all by default.
            batch_size: Samples at a time.
            probes: Random probes instead of outputs.
            seed: The probes' seed.
            label: What a progress bar calls the work.
        """
        positive("batch_size", batch_size)
        if self._positions and probes is None and self.n_outputs > SWEEPS:
            raise InputError(
                "probes",
                f"{self.n_outputs} outputs ({self._positions}) would take as many sweeps; "
                "give probes (16, say), or choose fewer outputs",
            )
        wanted = frozenset(layer.name for layer in (self.layers if layers is None else layers))
        signs = None if probes is None else Signs(seed, positive("probes", probes), self.n_outputs)
        with progress(label, self.samples.n) as advance:
            for batch in self.samples.batches(batch_size):
                yield from self.sweep(batch, wanted, signs)
                advance(len(batch.samples))

    def along(self, direction: Tensor, layers: list[Layer], batch_size: int = BATCH_SIZE) -> Iterator[Sweep]:
        """Yield, batch by batch, one sweep of the same combination sum_j direction_j f_j(x_i) for every sample i.

        Args:
            direction: Shape (outputs,).
            layers: The layers to look at.
            batch_size: Samples at a time.
        """
        wanted = frozenset(layer.name for layer in layers)
        for batch in self.samples.batches(batch_size):
            yield from self.sweep(batch, wanted, Along(direction))

    def first_deltas(self, layers: list[Layer], count: int) -> dict[str, Tensor]:
        """Return delta at the first row of the first few samples, for every output.

        Args:
            layers: The layers to look at.
            count: Samples; fewer come back where there are fewer.

        Returns:
            By name (for the first use of each weight), shape (samples, c, k); zeros where none of them reaches it.
        """
        found: dict[str, list[Tensor]] = {layer.name: [] for layer in layers}
        x = self.samples.first(count)
        n = n_samples(x)
        # Copies of the samples, one for each output, so that a single backward pass serves many outputs.
        for columns in torch.arange(self.n_outputs, device=self.forward.device).split(max(1, BATCH_SIZE // n)):
            copies = map_inputs(partial(torch.repeat_interleave, repeats=len(columns), dim=0), x)
            f, uses = self.run(copies, frozenset(found))
            directions = torch.zeros_like(f).scatter_(1, columns.repeat(n)[:, None], 1.0)
            seen = set()
            for name, delta in self._deltas(f, uses, gradients(f, uses, directions)):
                if name not in seen:
                    seen.add(name)
                    found[name].append(delta[:, 0].reshape(n, len(columns), -1))
        return {
            layer.name: torch.cat(parts, 1)
            if (parts := found[layer.name])
            else layer.weight.new_zeros(n, self.n_outputs, len(layer.weight))
            for layer in layers
        }

    def loss_gradients(self, loss: Callable[[Tensor, Tensor], Tensor]) -> dict[str, Tensor]:
        """Return dL/dW of every layer (k x d), L the mean loss over all samples.

        Args:
            loss: Maps outputs and targets of a batch to their mean loss.

        Raises:
            InputError: the data have no targets.
        """
        totals = {layer.name: torch.zeros_like(layer.weight, dtype=torch.float64) for layer in self.layers}
        count = 0
        for batch in self.samples.batches(BATCH_SIZE):
            if batch.y is None:
                raise InputError("loss", "the data have no targets")
            f, uses = self.run(batch.x, frozenset(totals), int(batch.samples.min()), keep_rows=True)
            total = loss(f, batch.y.to(f.device)) * len(f)
            for use, gradient in zip(uses, gradients(total, uses), strict=True):
                if gradient is not None and use.h is not None:
                    wide = torch.promote_types(gradient.dtype, torch.float32)
                    g, h = (rows.reshape(-1, rows.shape[-1]).to(wide) for rows in (use.delta(gradient), use.h))
                    totals[use.name] += within_blocks(g.T @ h, use.groups)
            count += len(f)
        return {name: total / count for name, total in totals.items()}

    def _release(self) -> None:
        """Take out of the graph what a network that keeps its results has of the run before."""
        if self._last is not None:
            self._last.release()
        self._last = None

    def sweep(self, batch: Batch, wanted: frozenset[str], signs: Signs | Along | None = None) -> Iterator[Sweep]:
        """Yield the sweeps of one batch, for layers by name: one per chosen output, or per random probe."""
        start = int(batch.samples.min())
        # A copy, since the network may write to its inputs, which may be asked for again.
        f, uses = self.run(map_inputs(torch.clone, batch.x), wanted, start)
        if len(f) == 1 and (missing := wanted - self.dropped - {use.name for use in uses}):
            raise InputError("net", f"layer {min(missing)} saw no rows in sample {start}, alone in its batch")
        drawn = None if signs is None else signs.draw(batch.samples).to(f.device, f.dtype)
        columns = self.n_outputs if drawn is None else drawn.shape[1]
        for column in range(columns):
            if drawn is None:
                directions = torch.zeros_like(f)
                directions[:, column] = 1.0
            else:
                directions = drawn[:, column]
            unseen = column == 0 and bool(self._unseen & wanted) and len(f) > 1
            last = column == columns - 1
            found = gradients(f, uses, directions, retain=unseen or not last)
            if column == 0 and self._check_cut_off(batch.x, wanted, start, f, uses, found):
                # What the network keeps of its runs, those of the check have overwritten.
                f, uses = self.run(map_inputs(torch.clone, batch.x), wanted, start)
                found = gradients(f, uses, directions, retain=unseen or not last)
            deltas = self._deltas(f, uses, found)
            if unseen:
                self._check_unseen(f, uses, deltas)
                deltas = [(name, delta) for name, delta in deltas if name not in self._dropped]
            yield Sweep(batch.samples, column, None if drawn is None else directions, deltas)

    def _attach(self, stack: ExitStack) -> None:
        """Find the layers, from nothing."""
        self._weights = Weights(self.net)
        self.n_outputs, self.layers = 0, []
        self._leading.clear()
        self._layouts.clear()
        self._dropped.clear()
        self._unseen.clear()
        with ExitStack() as watching:
            watching.enter_context(self._weights.watched())
            self._find_layers()
            stack.push(watching.pop_all())

    def _find_layers(self) -> None:
        x = self.samples.first(ATTACHED)
        self._last = UseRecorder(self._weights, (leaf for _, leaf in leaves(x)))
        with self._last:
            self.forward.settle(map_inputs(torch.clone, x))
        self._last.forget()
        self._weights.settle()
        f, uses = self.run(map_inputs(torch.clone, x), None)
        self.n_outputs = f.shape[1]
        if not uses:
            raise InputError(
                "net", "it has no linear layer (no product of its inputs with a weight matrix, no convolution)"
            )
        found_at = {use.name: use for use in uses}
        self.layers = [Layer(name, use.weight, 0) for name, use in found_at.items()]
        n = len(f)
        reaching = [reached(f, uses, sample) for sample in range(n)] if n > 1 else []
        for name in found_at:
            self._find_layout(name, uses, reaching, n)
        for use in uses:
            along = self._layouts[use.name].rows_along(use.shape, n)
            self._leading.setdefault(use.name, set()).add(along or 1)
            self.rows_per_sample = max(self.rows_per_sample, math.prod(use.shape[:-1]) // n)
        found = gradients(f, uses, torch.ones_like(f))
        if len(f) > 1:
            self._check_alone(x, f)
        self._check_cut_off(x, None, 0, f, uses, found)
        left = [use for name, use in found_at.items() if name not in self._dropped]
        self.layers = [
            Layer(use.name, use.weight, len(left) - i, use.groups, use.row_shape) for i, use in enumerate(left)
        ]

    def _find_layout(self, name: str, uses: list[Use], reaching: list[list[Tensor | None]], n: int) -> None:
        """See where samples lie among a layer's rows: first, or else in a place that the gradients of each show.

        Args:
            name: The layer's.
            uses: All uses.
            reaching: By sample and use, the rows that a gradient of this sample's outputs reaches.
            n: Samples.
        """
        own = [number for number, use in enumerate(uses) if use.name == name]
        marks = [(sample, rows[i]) for sample, rows in enumerate(reaching) for i in own if rows[i] is not None]
        marked = [(sample, rows) for sample, rows in marks if rows is not None and bool(rows.any())]
        # Where a sample's gradients reach no row, nothing but samples that come first is believed.
        known = len({sample for sample, _ in marked}) == n
        axes = min(len(uses[i].shape) for i in own)
        if n > 1 and not marked:
            self._unseen.add(name)
        for layout in (FIRST, *(others(axes) if known else ())):
            if all(layout.rows_along(uses[i].shape, n) for i in own) and not any(
                strays(layout, rows, n, sample) for sample, rows in marked
            ):
                self._layouts[name] = layout
                return
        self._layouts[name] = FIRST
        self._drop(name, NOT_FIRST)

    def by_sample(self, use: Use, values: Tensor, n: int) -> Tensor:
        """Return values of a use's rows (... x k) as n x (rows of a sample) x k."""
        return self._layouts[use.name].arranged(values, n)

    def _check_alone(self, x: Inputs, f: Tensor) -> None:
        """See that the first sample's outputs are its own."""
        first = torch.zeros(len(f), dtype=torch.int64, device="cpu")
        alone, _ = self.run(taken(x, first), frozenset())
        eps = torch.finfo(f.dtype).eps
        if not torch.allclose(alone[0], f[0].detach(), rtol=1e3 * eps, atol=1e3 * eps * float(f.detach().abs().max())):
            raise InputError(
                "net", "its answer to a sample changes with the other samples of the batch, or from call to call"
            )

    def _check_cut_off(
        self,
        x: Inputs,
        wanted: frozenset[str] | None,
        first: int,
        f: Tensor,
        uses: list[Use],
        found: tuple[Tensor | None, ...],
    ) -> bool:
        """See that where torch gives no gradient, outputs do not depend on z; return whether that took further runs."""

        def nudged(numbers: frozenset[int]) -> Tensor:
            return self.run(map_inputs(torch.clone, x), wanted, first, nudged=numbers)[0].detach()

        missing = [number for number, gradient in enumerate(found) if gradient is None]
        for number in cut_off(f.detach(), missing, nudged):
            self._drop(uses[number].name, CUT_OFF)
        return bool(missing)

    def _check_unseen(self, f: Tensor, uses: list[Use], deltas: list[tuple[str, Tensor]]) -> None:
        """See of the layers that gradients reach for the first time that their rows come sample by sample."""
        for name, delta in deltas:
            reaching = delta.flatten(1).nan_to_num().any(1)
            if name in self._unseen and bool(reaching.any()):
                sample, own = int(reaching.nonzero()[0]), [use for use in uses if use.name == name]
                marks = [rows for rows in reached(f, own, sample) if rows is not None and bool(rows.any())]
                self._unseen.discard(name)
                if not marks or any(strays(self._layouts[name], rows, len(f), sample) for rows in marks):
                    self._drop(name, NOT_FIRST)

    def _drop(self, name: str, kind: str) -> None:
        """Leave out a layer from now on.

        Raises:
            InputError: it was the last one.
        """
        self._dropped.setdefault(name, kind)
        if all(layer.name in self._dropped for layer in self.layers):
            first = self.layers[0].name
            raise InputError(
                "net",
                f"in layer {first} rows do not come sample by sample; samples must come first"
                if self._dropped[first] == NOT_FIRST
                else f"no gradient reaches layer {first}, on which its outputs depend (is it detached?)",
            )

    def run(
        self,
        x: Inputs,
        wanted: frozenset[str] | None,
        first: int = 0,
        keep_rows: bool = False,
        replaced: Mapping[str, Tensor] | None = None,
        nudged: frozenset[int] = frozenset(),
    ) -> tuple[Tensor, list[Use]]:
        """Return the chosen outputs (n x c) of a batch, and every use of a wanted weight on the way.

        Args:
            x: The batch's inputs.
            wanted: Names of layers; None for all.
            first: The number of its first sample, for messages.
            keep_rows: Whether uses keep their rows.
            replaced: Weights (k x d) to compute with instead of the network's own, by layer; beside those of
                `replacing`.
            nudged: Uses, by their number, whose z is moved by a few units of rounding.
        """
        self._release()
        self._weights.begin()
        replaced = {**self._replaced, **(replaced or {})}
        recorder = UseRecorder(self._weights, (leaf for _, leaf in leaves(x)), wanted, keep_rows, replaced, nudged)
        self._last = recorder
        with recorder:
            output = self.forward(x)
        recorder.forget()
        if self._counts_all and output.ndim > 2:
            self._positions = f"{' x '.join(map(str, output.shape[1:]))} for each sample"
        f = self.select(output)
        if self.n_outputs not in (0, f.shape[1]):
            raise InputError("net", f"{f.shape[1]} outputs in the batch of sample {first}, {self.n_outputs} before")
        if not bool(torch.isfinite(f).all()):
            raise InputError("net", f"its output is not finite in the batch of sample {first}")
        return f, recorder.uses

    def _deltas(self, f: Tensor, uses: list[Use], found: tuple[Tensor | None, ...]) -> list[tuple[str, Tensor]]:
        deltas = []
        for use, gradient in zip(uses, found, strict=True):
            if self._layouts[use.name].rows_along(use.shape, len(f)) not in self._leading[use.name]:
                self._drop(use.name, NOT_FIRST)
            if use.name in self._dropped:
                continue
            delta = f.new_zeros(use.shape) if gradient is None else use.delta(gradient)
            deltas.append((use.name, self.by_sample(use, delta, len(f))))
        # A layer may have been dropped at its second use.
        return [(name, delta) for name, delta in deltas if name not in self._dropped]
