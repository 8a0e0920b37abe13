"""Backward sweeps: the gradients of chosen outputs with respect to every layer's z, batch by batch.

One forward pass for each batch, then one backward pass for each output (or each random probe), which
gives delta of all layers at once. Nothing of size samples x outputs x inputs is ever formed.
"""

import fnmatch
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from nfa.common.checks import check_finite, one_of, positive
from nfa.common.errors import InputError, Place
from nfa.common.progress import progress
from nfa.data.inputs import Inputs, leaves, map_inputs, taken
from nfa.data.inputs import count as n_samples
from nfa.data.samples import Batch, Samples, as_samples
from nfa.network.forward import Forward
from nfa.probe.guard import untouched
from nfa.probe.outputs import Select, select_outputs
from nfa.probe.signs import Along, Signs
from nfa.probe.uses import Use, UseRecorder
from nfa.probe.weights import Weights

BATCH_SIZE = 512
"""Samples at a time: enough for the processor's full matrix-product rate, little to keep."""

SWEEPS = 64
"""Outputs of a sequence that are swept one by one; of more, random probes are asked for."""


@dataclass(frozen=True)
class Layer:
    """A layer as the probe found it.

    Args:
        name: Of its weight, without ".weight".
        weight: W, k x d, detached, in the network's own memory.
        to_output: Linear layers from this one to the output, both counted.
    """

    name: str
    weight: Tensor
    to_output: int


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
        self.select = select_outputs(outputs, self.forward.ending)
        self.samples: Samples = as_samples(data)
        self.layers: list[Layer] = []
        self.n_outputs = 0
        self._positions = ""  # of a sequence's outputs, where every one of them counts, in words
        self._counts_all = isinstance(outputs, str) and not outputs.startswith("output:")
        self._weights = Weights(self.net)
        self._stack = ExitStack()
        self._replaced: Mapping[str, Tensor] = {}
        self._leading: dict[str, set[int]] = {}  # by name, rows of z along its first axis for one sample
        self._turned: list[str] = []  # layers whose rows do not come sample by sample
        for name, parameter in self.net.named_parameters():
            check_finite(Place("net", f"weights {name}"), parameter)

    def __enter__(self) -> Self:
        """Attach: find the layers by running two samples."""
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(mode=False))
            stack.enter_context(torch.enable_grad())
            stack.enter_context(untouched(self.net))
            stack.enter_context(self._weights.watched())
            self._find_layers()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Detach."""
        self._stack.close()

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

        Modules with weights (two axes or more) that no layer uses, or that another operation than a layer
        brings together with data; and layers whose rows do not come sample by sample.
        """
        found = dict.fromkeys(self._turned, "samples not first")
        for path, module in self.net.named_modules():
            for short, parameter in module.named_parameters(recurse=False):
                # What a parametrisation makes belongs to the module around it.
                around = path.partition("parametrizations")[0].rstrip(".")
                kind = type(self.net.get_submodule(around)).__name__
                kind_left = self._weights.unmeasured(f"{path}.{short}" if path else short, kind)
                if parameter.ndim >= 2 and kind_left is not None:
                    found.setdefault(around or short, kind_left)
        return [{"name": name, "kind": kind} for name, kind in found.items()]

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
                yield from self._sweep_batch(batch, wanted, signs)
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
            yield from self._sweep_batch(batch, wanted, Along(direction))

    def first_deltas(self, layers: list[Layer], count: int) -> dict[str, Tensor]:
        """Return delta at the first row of the first few samples, for every output.

        Args:
            layers: The layers to look at.
            count: Samples; fewer come back where there are fewer.

        Returns:
            By name (for the first use of each weight), shape (samples, c, k).
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
            for name, delta in self._backward(f, uses, directions, retain=False):
                if name not in seen:
                    seen.add(name)
                    found[name].append(delta[:, 0].reshape(n, len(columns), -1))
        return {name: torch.cat(parts, 1) for name, parts in found.items()}

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
            for use, gradient in zip(uses, _gradients(total, uses), strict=True):
                if gradient is not None and use.h is not None:
                    wide = torch.promote_types(gradient.dtype, torch.float32)
                    g, h = (rows.reshape(-1, rows.shape[-1]).to(wide) for rows in (use.delta(gradient), use.h))
                    totals[use.name] += g.T @ h
            count += len(f)
        return {name: total / count for name, total in totals.items()}

    def _sweep_batch(self, batch: Batch, wanted: frozenset[str], signs: Signs | Along | None) -> Iterator[Sweep]:
        start = int(batch.samples.min())
        f, uses = self.run(batch.x, wanted, start)
        if len(f) == 1 and (missing := wanted - {use.name for use in uses}):
            raise InputError("net", f"layer {min(missing)} saw no rows in sample {start}, alone in its batch")
        drawn = None if signs is None else signs.draw(batch.samples).to(f.device, f.dtype)
        columns = self.n_outputs if drawn is None else drawn.shape[1]
        for column in range(columns):
            if drawn is None:
                directions = torch.zeros_like(f)
                directions[:, column] = 1.0
            else:
                directions = drawn[:, column]
            deltas = self._backward(f, uses, directions, retain=column < columns - 1)
            yield Sweep(batch.samples, column, None if drawn is None else directions, deltas)

    def _find_layers(self) -> None:
        x = self.samples.first(2)
        with UseRecorder(self._weights, (leaf for _, leaf in leaves(x))):
            self.forward.settle(map_inputs(torch.clone, x))
        self._weights.settle()
        f, uses = self.run(map_inputs(torch.clone, x), None)
        self.n_outputs = f.shape[1]
        if not uses:
            raise InputError("net", "it has no linear layer (no product of its inputs with a weight matrix)")
        for use in uses:
            self._leading.setdefault(use.name, set()).add(max(1, use.shape[0] // len(f)))
        if len(f) > 1:
            self._check_samples(x, f, uses)
        weights = {use.name: use.weight for use in uses if use.name not in self._turned}
        if not weights:
            raise InputError(
                "net", f"in layer {uses[0].name} rows do not come sample by sample; samples must come first"
            )
        self.layers = [Layer(name, weight, len(weights) - i) for i, (name, weight) in enumerate(weights.items())]

    def _check_samples(self, x: Inputs, f: Tensor, uses: list[Use]) -> None:
        """See that the first sample's outputs are its own, and find the layers whose rows come sample by sample."""
        alone, _ = self.run(taken(x, torch.zeros(len(f), dtype=torch.int64)), frozenset())
        eps = torch.finfo(f.dtype).eps
        if not torch.allclose(alone[0], f[0].detach(), rtol=1e3 * eps, atol=1e3 * eps * float(f.detach().abs().max())):
            raise InputError(
                "net", "its answer to a sample changes with the other samples of the batch, or from call to call"
            )
        directions = torch.zeros_like(f)
        # Any numbers will do that do not cancel.
        directions[0] = torch.linspace(1, 2, f.shape[1], dtype=f.dtype, device=f.device).square()
        for use, gradient in zip(uses, _gradients(f, uses, directions), strict=True):
            by_sample = use.shape[0] % len(f) == 0
            if gradient is not None and by_sample:
                others = use.delta(gradient).reshape(len(f), -1)[1:]
                by_sample = not bool(others.nan_to_num().any())
            if not by_sample and use.name not in self._turned:
                self._turned.append(use.name)

    def run(
        self,
        x: Inputs,
        wanted: frozenset[str] | None,
        first: int = 0,
        keep_rows: bool = False,
        replaced: Mapping[str, Tensor] | None = None,
    ) -> tuple[Tensor, list[Use]]:
        """Return the chosen outputs (n x c) of a batch, and every use of a wanted weight on the way.

        Args:
            x: The batch's inputs.
            wanted: Names of layers; None for all.
            first: The number of its first sample, for messages.
            keep_rows: Whether uses keep their rows.
            replaced: Weights (k x d) to compute with instead of the network's own, by layer; beside those of
                `replacing`.
        """
        self._weights.begin()
        replaced = {**self._replaced, **(replaced or {})}
        recorder = UseRecorder(self._weights, (leaf for _, leaf in leaves(x)), wanted, keep_rows, replaced)
        with recorder:
            output = self.forward(x)
        if self._counts_all and output.ndim > 2:
            self._positions = f"{' x '.join(map(str, output.shape[1:]))} for each sample"
        f = self.select(output)
        if self.n_outputs not in (0, f.shape[1]):
            raise InputError("net", f"{f.shape[1]} outputs in the batch of sample {first}, {self.n_outputs} before")
        if not bool(torch.isfinite(f).all()):
            raise InputError("net", f"its output is not finite in the batch of sample {first}")
        return f, recorder.uses

    def _backward(self, f: Tensor, uses: list[Use], directions: Tensor, retain: bool) -> list[tuple[str, Tensor]]:
        deltas = []
        for use, grad in zip(uses, _gradients(f, uses, directions, retain), strict=True):
            delta = f.new_zeros(use.shape) if grad is None else use.delta(grad)
            if use.shape[0] not in (positions * len(f) for positions in self._leading[use.name]):
                raise InputError(
                    "net",
                    f"layer {use.name} sees rows of shape {use.shape[:-1]} for {len(f)} samples; "
                    "samples must come first",
                )
            deltas.append((use.name, delta.reshape(len(f), -1, use.shape[-1])))
        return deltas


def _gradients(
    f: Tensor, uses: list[Use], directions: Tensor | None = None, retain: bool = False
) -> tuple[Tensor | None, ...]:
    """Return the gradients of f with respect to every use's z; None where f does not depend on it."""
    if not f.requires_grad:
        return (None,) * len(uses)
    return torch.autograd.grad(f, [use.edge for use in uses], directions, retain_graph=retain, allow_unused=True)
