"""How well a network does its task, and what doing nothing would score."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nfa.common.errors import InputError
from nfa.data.inputs import map_inputs
from nfa.data.samples import as_samples
from nfa.network.forward import Forward
from nfa.network.model import ended


def rows_in_words(n: int, rows: str) -> str:
    """Say how many rows of which part were used.

    >>> rows_in_words(12, "test"), rows_in_words(12, "all")
    ('12 test rows', 'all 12 rows')
    """
    return f"all {n} rows" if rows == "all" else f"{n} {rows} rows"


@dataclass(frozen=True)
class Score:
    """A network's score beside the score of a constant answer.

    Args:
        metric: "accuracy" (of the largest output) for class numbers, "r2" (pooled over outputs) for real
            targets.
        value: The network's score.
        baseline: What the best constant answer scores: the share of the commonest class, or 0.
        n: Rows it was measured on.
        rows: Which rows: "train", "val", "test" or "all".
        constant: Whether the network gives every row the same output (to 1e-6 of its size, so to the
            digits that float32 carries).
    """

    metric: str
    value: float
    baseline: float
    n: int
    rows: str
    constant: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)

    @property
    def standard_error(self) -> float:
        """The binomial standard error of an accuracy near the baseline; for r2, of a correlation of 0, squared."""
        if self.metric == "accuracy":
            p = min(max(self.baseline, 1 / self.n), 1 - 1 / self.n) if self.n > 1 else 0.5
            return float((p * (1 - p) / self.n) ** 0.5)
        return 1.0 / self.n


def score(net: nn.Module | Forward, data: Any, rows: str = "all", batch_size: int = 1024) -> Score | None:
    """Score a network on data with targets.

    Class numbers with two or more outputs, or with one output that a sigmoid was taken off, are scored by
    accuracy; everything else by R^2 = 1 - sum |y - f(x)|^2 / sum |y - mean y|^2, both sums over rows and
    outputs, f with its ending.

    Args:
        net: Called as it is: put it in evaluation mode first.
        data: Anything `as_samples` takes, with targets.
        rows: The name of these rows, for the record.
        batch_size: Rows at a time.

    Returns:
        The score, or None where there are no targets.

    Raises:
        InputError: the targets do not fit the outputs.
    """
    forward = net if isinstance(net, Forward) else Forward(net)
    n = hits = 0
    residual = 0.0
    low = high = total = squares = None
    counts: Tensor | None = None
    with torch.no_grad():
        for batch in as_samples(data).batches(batch_size):
            y = batch.y
            if y is None:
                return None
            if n == 0:
                forward.settle(map_inputs(lambda x: x[:1].clone(), batch.x))
            out = forward(batch.x).float()
            out = out.reshape(len(out), -1).cpu()
            n += len(y)
            low = out.amin(0) if low is None else torch.minimum(low, out.amin(0))
            high = out.amax(0) if high is None else torch.maximum(high, out.amax(0))
            two_sided = out.shape[1] == 1 and forward.ending == "sigmoid"
            if not y.is_floating_point() and (two_sided or out.shape[1] > 1):
                answers = (out[:, 0] > 0).long() if two_sided else out.argmax(1)
                classes = 2 if two_sided else out.shape[1]
                if int(y.max()) >= classes or int(y.min()) < 0:
                    raise InputError(
                        f"y: classes {int(y.min())} to {int(y.max())}, but the network has outputs 0 to {classes - 1}"
                    )
                hits += int((answers == y).sum())
                seen = torch.bincount(y, minlength=classes)
                counts = seen if counts is None else counts + seen
                continue
            out = ended(out, forward.ending)
            target = y.reshape(len(y), -1).double()
            if target.shape != out.shape:
                raise InputError(
                    f"y: {target.shape[1]} real targets, but the network has {out.shape[1]} outputs "
                    "(classes are whole numbers; without y an audit needs no targets)"
                )
            residual += float(((target - out) ** 2).sum())
            total = target.sum(0) if total is None else total + target.sum(0)
            squares = (target**2).sum(0) if squares is None else squares + (target**2).sum(0)
    assert low is not None
    assert high is not None
    constant = n > 1 and bool((high - low).amax() <= 1e-6 * torch.maximum(high.abs(), low.abs()).amax())
    if counts is not None:
        return Score("accuracy", hits / n, float(counts.max()) / n, n, rows, constant)
    assert total is not None
    assert squares is not None
    spread = float((squares - total**2 / n).sum())
    return Score("r2", 1 - residual / spread if spread > 0 else float("nan"), 0.0, n, rows, constant)
