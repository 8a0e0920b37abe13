"""The agreement of other outputs with a network's own, and with the targets."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from nfa.data.batches import Samples
from nfa.data.labels import decoded, threshold_of
from nfa.network.model import Model
from nfa.network.scoring import Score, same_to, score_outputs
from nfa.probe import Probe, activations


@dataclass(frozen=True, eq=False)
class Reference:
    """A network's own outputs and score, with which other outputs are compared.

    Args:
        f: Outputs n x c, float64.
        shape: The shape of one sample's outputs.
        y: Targets, or None.
        score: The network's own score, or None.
        part: The name of the rows.
        ending: The ending that was taken off the network.
        spread: |f - mean f|^2, 0 where f is the same for every row.
        note: Why there is no score, or no R^2 of the outputs.
    """

    f: Tensor
    shape: tuple[int, ...]
    y: Tensor | None
    score: Score | None
    part: str
    ending: str | None
    spread: float
    note: str

    @classmethod
    def of(cls, probe: Probe, model: Model, part: str, batch_size: int) -> "Reference":
        """Run the network as it is.

        Args:
            probe: An entered probe of the network and the rows, with targets that are class numbers or numbers.
            model: What is known of the network.
            part: The name of the rows.
            batch_size: Samples at a time.

        Raises:
            InputError: the targets do not fit the outputs.
        """
        f = activations(probe, batch_size=batch_size).outputs.cpu()
        shape = tuple(probe.forward(probe.samples.first(2)).shape[1:])
        y, notes = _targets(probe.samples, batch_size), []
        if not model.scored:
            y, notes = None, ["no score: the network's outputs cannot be compared with targets"]
        elif y is None:
            notes = ["no targets: no score"]
        own = None if y is None else score_outputs(f.reshape(len(f), *shape), y, part, model.ending)
        same, f = same_to(f.dtype), f.double()
        spread = float((f - f.mean(0)).square().sum())
        if spread <= same**2 * float(f.square().sum()):
            spread = 0.0
            notes.append("the network's outputs are the same for every row: no R^2 of them")
        return cls(f, shape, y, own, part, model.ending, spread, "; ".join(notes))

    @property
    def before(self) -> float:
        """The network's own score; NaN without targets."""
        return math.nan if self.score is None else self.score.value

    def agreement(self, new: Tensor) -> dict[str, float]:
        """Return the agreement of other outputs f' (n x c) with these, and their score.

        score is as of the network itself; same_predictions is the share of rows (and positions) with the same predicted
        class; output_r2 = 1 - |f - f'|^2 / |f - mean f|^2, sums over rows and outputs. NaN where undefined.
        """
        found = {"score": math.nan}
        if self.y is not None:
            shaped = new.reshape(len(new), *self.shape)
            found["score"] = score_outputs(shaped, self.y, self.part, self.ending, self._threshold).value
        new = new.cpu().double()
        own, others = self._classes(self.f), self._classes(new)
        same = math.nan if own is None or others is None else float(own.eq(others).double().mean())
        found["same_predictions"] = same
        error = float((self.f - new).square().sum())
        found["output_r2"] = 1 - error / self.spread if self.spread > 0 else math.nan
        return found

    def _classes(self, f: Tensor) -> Tensor | None:
        """Return the predicted classes; None where the targets are real numbers, or one output may be anything."""
        c = self.shape[-1] if self.shape else 1
        if self.score is not None and self.score.metric != "accuracy":
            return None
        if c == 1 and self.score is None and self.ending is None:
            return None
        return decoded(f.reshape(len(f), -1, c), self._threshold)

    @cached_property
    def _threshold(self) -> float:
        """The threshold above which a single output means the second class, as in the network's own score."""
        return threshold_of(self.f, self.y, self.ending)


def _targets(samples: Samples, batch_size: int) -> Tensor | None:
    """Return the targets in the order of the samples."""
    found, order = [], []
    for batch in samples.batches(batch_size):
        if batch.y is None:
            return None
        found.append(batch.y.cpu())
        order.append(batch.samples)
    return torch.cat(found)[torch.cat(order).argsort()]
