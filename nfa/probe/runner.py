"""Run a network batch by batch, and record every use of its weights."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

import torch
from torch import Tensor, nn

from nfa.common.errors import InputError
from nfa.data.inputs import Inputs, leaves, map_inputs
from nfa.network.forward import Forward
from nfa.probe.outputs import Select, select_outputs
from nfa.probe.uses import Use, UseRecorder
from nfa.probe.weights import Weights


class Runner:
    """Runs one network; a context manager, on whose exit the network's graph is as it was.

    Args:
        forward: The network, and how to call it.
        outputs: Which outputs (see `select_outputs`).
        groups: Whether each group of a convolution is a layer of its own.
    """

    def __init__(self, forward: Forward, outputs: str | Select, groups: bool = False) -> None:
        self.forward, self._groups = forward, groups
        self.n_outputs = 0  # not known before the first run
        self.probabilities = False  # whether the network's outputs look like such
        self.positions = ""  # of a sequence's outputs, where every one of them counts, in words
        self._select = select_outputs(outputs, forward.ending)
        self._counts_all = isinstance(outputs, str) and not outputs.startswith("output:")
        self._replaced: Mapping[str, Tensor] = {}
        self.output: Tensor | None = None  # the network's own in the last run, detached
        self._last: UseRecorder | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Start from nothing: no layer is known, and the number of outputs is not."""
        self.weights = Weights(self.forward.net)
        self.n_outputs = 0
        self._stack.enter_context(self.weights.watched())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the last run."""
        self._release()
        self._stack.close()

    @contextmanager
    def replacing(self, weights: Mapping[str, Tensor]) -> Iterator[None]:
        """Within, compute with other weights (k x d, by layer) in place of the network's own."""
        before, self._replaced = self._replaced, weights
        try:
            yield
        finally:
            self._replaced = before

    def first_run(self, x: Inputs, more: Callable[[], Inputs]) -> tuple[Tensor, list[Use], list[Use]]:
        """Run a few samples, which show how the network takes its inputs and which layers it has.

        Args:
            x: The few samples.
            more: More of them, which are run where the few do not go through every weight.

        Returns:
            The outputs and uses of the few, and the uses of more.
        """
        late: list[Use] = []
        self._last = UseRecorder(self.weights, (leaf for _, leaf in leaves(x)), groups=self._groups)
        with self._last:
            self.forward.adapt(map_inputs(torch.clone, x))
        self._last.forget()
        passes_by = self._passes_by_matrices()
        self.weights.forget_uses()
        if passes_by:
            self._release()
            self.weights.begin()
            others = more()
            self._last = UseRecorder(self.weights, (leaf for _, leaf in leaves(others)), groups=self._groups)
            with self._last:
                self.forward(map_inputs(torch.clone, others))
            self._last.forget()
            late = self._last.uses
        f, uses = self.run(map_inputs(torch.clone, x), None)
        self.weights.freeze()
        self.n_outputs = f.shape[1]
        return f, uses, late

    def _passes_by_matrices(self) -> bool:
        """Return whether the run so far went past a weight that may be an expert's; tables and offsets are none."""
        if self.weights.passes_by_slices:
            return True
        left = self.weights.unmeasured(self.forward.net)
        for path, module in self.forward.net.named_modules():
            if path in left and not isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
                shapes = [parameter.shape for parameter in module.parameters(recurse=False)]
                if any(len(shape) > 1 and min(shape[:2]) > 1 for shape in shapes):
                    return True
        return False

    def _look_at(self, output: Tensor) -> None:
        """See whether a network's outputs are probabilities: each row sums to 1, or a sigmoid stands at the end."""
        values, last = output.detach(), type(output.grad_fn).__name__
        several = values.ndim > 1 and values.shape[-1] > 1
        sums = several and bool((values >= 0).all()) and bool(((values.sum(-1) - 1).abs() < 1e-3).all())
        self.probabilities = sums or last == "SigmoidBackward0"

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
        self.weights.begin()
        replaced = {**self._replaced, **(replaced or {})}
        recorder = UseRecorder(
            self.weights, (leaf for _, leaf in leaves(x)), wanted, keep_rows, replaced, nudged, self._groups
        )
        self._last = recorder
        with recorder:
            output = self.forward(x)
        recorder.forget()
        self.output = output.detach()
        if self._counts_all and output.ndim > 2:
            self.positions = f"{' x '.join(map(str, output.shape[1:]))} for each sample"
        f = output.reshape(len(output), -1) if self.forward.outputs_made else self._select(output)
        if self.n_outputs == 0:
            self._look_at(output)
        if self.n_outputs not in (0, f.shape[1]):
            raise InputError("net", f"{f.shape[1]} outputs in the batch of sample {first}, {self.n_outputs} before")
        if not bool(torch.isfinite(f).all()):
            raise InputError("net", f"its output is not finite in the batch of sample {first}")
        return f, recorder.uses

    def nudged(self, x: Inputs, wanted: frozenset[str] | None, first: int, uses: frozenset[int]) -> Tensor:
        """Return the chosen outputs with z of some uses moved by a few units of rounding; arguments as for `run`."""
        # A copy, since the network may write to its inputs.
        return self.run(map_inputs(torch.clone, x), wanted, first, nudged=uses)[0].detach()

    def _release(self) -> None:
        """Detach tensors of the last run that the network may have kept."""
        if self._last is not None:
            self._last.release()
        self._last = self.output = None
