"""A network under examination: its layers, what is skipped, and sweeps over its data."""

import fnmatch
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from nfa.common.checks import check_finite, one_of, positive
from nfa.common.errors import InputError, Place, out_of_memory
from nfa.common.precision import stated_precision
from nfa.common.progress import progress
from nfa.data.batches import Batch, Samples
from nfa.data.inputs import count as n_samples
from nfa.data.inputs import map_inputs
from nfa.data.samples import as_samples
from nfa.network.forward import Forward
from nfa.probe.finding import find_layers
from nfa.probe.gradients import OverwrittenError, gradients, wake
from nfa.probe.guard import untouched
from nfa.probe.layers import CUT_OFF, Layer
from nfa.probe.outputs import Select
from nfa.probe.runner import Runner
from nfa.probe.signs import Along, Signs
from nfa.probe.sweep import Sweep, sweeps_of
from nfa.probe.uses import Use

BATCH_SIZE = 512
"""Samples at a time: enough for the processor's full matrix-product rate, little to keep."""

SWEEPS = 64
"""At most this many outputs of a sequence are swept one by one; more need random probes."""


class Probe:
    """A network under examination; a context manager, on whose exit the network is as it was.

    Args:
        net: Any module that maps inputs (n x ...) to floating-point outputs (n x ...), or a `Forward` that says
            how to call it.
        data: Anything `as_samples` takes.
        outputs: Which outputs (see `select_outputs`).
        groups: Whether each group of a convolution is a layer of its own.

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

    def __init__(
        self, net: nn.Module | Forward, data: Any, outputs: str | Select = "logits", groups: bool = False
    ) -> None:
        self.forward = net if isinstance(net, Forward) else Forward(net, outputs=outputs if callable(outputs) else None)
        self.net = self.forward.net
        self.outputs, self.groups = outputs, groups
        self.samples: Samples = as_samples(data)
        self.layers: list[Layer] = []
        self.runner = Runner(self.forward, outputs, groups)
        self._stack = ExitStack()
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
                # Gradients then use copies of all they need; that takes memory, so not from the start.
                stack.enter_context(saved_tensors_hooks(lambda saved: saved.detach().clone(), lambda copy: copy))
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
        self._stack.close()
        if out_of_memory(error):
            raise InputError("batch_size", "memory ran out; measure fewer samples at a time") from error

    def _attach(self, stack: ExitStack) -> None:
        with ExitStack() as running:
            running.enter_context(self.runner)
            wake(self.forward.device)
            self._found = find_layers(self.runner, self.samples.first)
            stack.push(running.pop_all())
        self.layers = self._found.measurable()

    @property
    def n_outputs(self) -> int:
        """Chosen outputs c."""
        return self.runner.n_outputs

    @property
    def probabilities(self) -> bool:
        """Whether the network's own outputs look like probabilities."""
        return self.runner.probabilities

    @property
    def rows_per_sample(self) -> int:
        """Rows that a sample has at the layer with the most."""
        return self._found.rows_per_sample

    def replacing(self, weights: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """Within, compute with other weights (k x d, by layer) in place of the network's own."""
        return self.runner.replacing(weights)

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

        These are modules with weights (two axes or more) that no layer uses, or that another operation than a layer's
        applies to data; and layers whose rows do not come sample by sample, or that no gradient reaches although the
        outputs depend on them. The list is complete after a pass over the data.
        """
        found = dict(self._found.dropped)
        for name, kind in self.runner.weights.unmeasured(self.net).items():
            found.setdefault(name, kind)
        return [{"name": name, "kind": kind} for name, kind in found.items()]

    def leave_out(self, name: str, kind: str) -> None:
        """Name a layer in `skipped` from now on.

        Raises:
            InputError: it was the last one.
        """
        self._found.drop(name, kind)

    def agree(self) -> None:
        """Leave out what other processes that measure the same network have left out.

        Raises:
            InputError: no layer is left.
        """
        for name, kind in self.samples.processes.merged(self._found.dropped).items():
            self._found.drop(name, kind)

    @property
    def dropped(self) -> frozenset[str]:
        """Names of the layers that turned out, so far, not to be measurable."""
        return frozenset(self._found.dropped)

    @property
    def cut_off(self) -> frozenset[str]:
        """Names of the layers that no gradient reaches although outputs depend on them."""
        return frozenset(name for name, kind in self._found.dropped.items() if kind == CUT_OFF)

    def sweeps(
        self,
        layers: list[Layer] | None = None,
        batch_size: int = BATCH_SIZE,
        probes: int | None = None,
        seed: int = 0,
        label: str = "measuring",
        seen: Callable[[Tensor, Batch], None] | None = None,
    ) -> Iterator[Sweep]:
        """Yield, batch by batch, one sweep per chosen output, or `probes` random ones.

        A random probe is sum_j e_ij f_j(x_i) with signs e_ij drawn independently for each sample i.

        Args:
            layers: The layers to look at; all by default.
            batch_size: Samples at a time.
            probes: Random probes instead of outputs.
            seed: The probes' seed.
            label: What a progress bar calls the work.
            seen: Called with the network's own outputs (n x ..., detached) for each batch.
        """
        batch_size = positive("batch_size", batch_size)
        if self.runner.positions and probes is None and self.n_outputs > SWEEPS:
            raise InputError(
                "probes",
                f"{self.n_outputs} outputs ({self.runner.positions}) would take as many sweeps; "
                "give probes (16, say), or choose fewer outputs",
            )
        wanted = frozenset(layer.name for layer in (self.layers if layers is None else layers))
        signs = None if probes is None else Signs(seed, positive("probes", probes), self.n_outputs)
        sweeps = self.n_outputs if probes is None else probes
        with progress(label, None if self.samples.n is None else self.samples.n * sweeps) as advance:
            for number, batch in enumerate(self.samples.batches(batch_size), 1):
                advance(0, f"batch {number}")
                for sweep in self.sweep(batch, wanted, signs, seen):
                    yield sweep
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
            By name (for the first use of each weight), shape (samples, c, k); zeros for a layer that none of them uses.
        """
        found: dict[str, list[Tensor]] = {layer.name: [] for layer in layers}
        x = self.samples.first(count)
        n = n_samples(x)
        # Copies of the samples, one for each output, so that a single backward pass serves many outputs.
        for columns in torch.arange(self.n_outputs, device=self.forward.device).split(max(1, BATCH_SIZE // n)):
            copies = map_inputs(partial(torch.repeat_interleave, repeats=len(columns), dim=0), x)
            f, uses = self.runner.run(copies, frozenset(found))
            directions = torch.zeros_like(f).scatter_(1, columns.repeat(n)[:, None], 1.0)
            seen = set()
            uses = self._found.regular(uses, len(f))
            found_here = gradients(f, uses, directions)
            for name, delta, _ in self._found.deltas(f, uses, found_here, [None] * len(uses)):
                if name not in seen:
                    seen.add(name)
                    found[name].append(delta[:, 0].reshape(n, len(columns), -1))
        return {
            layer.name: torch.cat(parts, 1)
            if (parts := found[layer.name])
            else layer.weight.new_zeros(n, self.n_outputs, len(layer.weight))
            for layer in layers
        }

    def sweep(
        self,
        batch: Batch,
        wanted: frozenset[str],
        signs: Signs | Along | None = None,
        seen: Callable[[Tensor, Batch], None] | None = None,
    ) -> Iterator[Sweep]:
        """Yield the sweeps of one batch, for layers by name: one per chosen output, or per random probe."""
        return sweeps_of(self.runner, self._found, batch, wanted, signs, seen)

    def by_sample(self, f: Tensor, use: Use, values: Tensor) -> Tensor:
        """Return values of a use's rows (... x k) as n x (rows of a sample) x k, given the outputs f (n x c)."""
        return self._found.by_sample(f, use, values)
