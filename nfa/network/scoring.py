"""How well a network does its task, and what a constant answer would score."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nfa.common.checks import positive, text
from nfa.common.errors import InputError
from nfa.common.processes import Processes
from nfa.data.batches import Batch
from nfa.data.drawing import Drawn
from nfa.data.inputs import map_inputs
from nfa.data.label_words import out_of_range, several_positions
from nfa.data.labels import class_labels, decoded, thresholds
from nfa.data.samples import as_samples
from nfa.data.targets import IGNORED, are_tokens, target_array
from nfa.network.forward import Forward
from nfa.network.margins import margin, margin_over_constant
from nfa.network.model import Model, with_ending
from nfa.network.preparing import encoded, prepare

SAME, SAME_IN_FLOAT64 = 1e-6, 1e-12
"""Outputs that differ by no more than this share of their size are the same, by their dtype."""
ORDER_DOUBTED = "the order of the labels may not be that of the network's outputs: classes= (--classes) says it"
"""Said of a score clearly below a constant answer's: labels in another order explain it, chance hardly does."""


def same_to(dtype: torch.dtype) -> float:
    """Return the share of their size by which outputs of a dtype may differ and count as the same.

    >>> same_to(torch.float32), same_to(torch.float64)
    (1e-06, 1e-12)
    """
    return SAME_IN_FLOAT64 if dtype == torch.float64 else SAME


def rows_in_words(n: int, rows: str, drawn: Drawn | None = None, of: str = "", called: str = "rows") -> str:
    """Return in words how many rows of which part were used.

    Args:
        n: How many.
        rows: Which part: "train", "val", "test" or "all".
        drawn: How they were chosen from the part; None for all of it.
        of: What the data are called.
        called: What a row is called.

    >>> rows_in_words(12, "test"), rows_in_words(12, "all")
    ('12 test rows', 'all 12 rows')
    >>> rows_in_words(12, "all", Drawn(90), "x.npz"), rows_in_words(12, "train", Drawn(None))
    ('12 of 90 rows of x.npz, drawn at random', 'the first 12 train rows')
    """
    part = "" if rows == "all" else f"{rows} "
    source = f" of {of}" if of else ""
    if drawn is None:
        return f"{'all ' if rows == 'all' else ''}{n} {part}{called}{source}"
    if drawn.of is None:
        return f"the first {n} {part}{called}{source}"
    return f"{n} of {drawn.of} {part}{called}{source}, drawn at random"


@dataclass(frozen=True)
class Score:
    """A network's score beside the score of a constant answer.

    Args:
        metric: "accuracy" (of the largest output) for class numbers, "r2" (pooled over outputs) for real
            targets.
        value: The network's score.
        baseline: What the best constant answer scores: the share of the commonest class, or 0.
        n: Rows it was measured on, or labels where each position of a sample has one.
        rows: Which rows: "train", "val", "test" or "all".
        constant: Whether the network gives every row the same output, to the digits of its dtype (see `same_to`).
        samples: The samples whose positions have labels; None where each row has its own.
        n_effective: The effective sample size of these labels, which are not independent within a sample; None where
            each row has its own.
        drawn: How the rows were chosen from theirs; None for all of them.
    """

    metric: str
    value: float
    baseline: float
    n: int
    rows: str
    constant: bool
    samples: int | None = None
    n_effective: float | None = None
    drawn: Drawn | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)

    @property
    def margin_over_constant(self) -> float:
        """By how much the score must be above a constant answer's, or below it (see `nfa.network.margins`)."""
        return margin_over_constant(self.metric, self.baseline, self._independent)

    def margin_over(self, other: "Score") -> float:
        """Return by how much the score must be above another network's on the same rows."""
        return margin(self.metric, self.value, other.value, min(self._independent, other._independent))

    @property
    def _independent(self) -> float:
        """The number of rows, or of independent labels that tell as much."""
        return self.n if self.n_effective is None else self.n_effective

    @property
    def measured_on(self) -> str:
        """What it was measured on, in words.

        >>> Score("accuracy", 0.9, 0.5, 200, "test", constant=False, samples=40, n_effective=61.5).measured_on
        '200 labels of 40 test samples'
        """
        if self.samples is None:
            return rows_in_words(self.n, self.rows, self.drawn)
        return f"{self.n} labels of " + rows_in_words(self.samples, self.rows, self.drawn, called="samples")


def score(
    net: nn.Module | Model | Forward, data: Any, rows: str = "all", batch_size: int = 1024, drawn: Drawn | None = None
) -> Score | None:
    """Score a network on data with targets.

    Classes (see `nfa.data.labels.read_targets`) are scored by accuracy. One output tells two classes apart, as a logit
    above 0 or as a probability above 0.5, whichever is right more often. Everything else is scored by R^2 =
    1 - sum |y - f(x)|^2 / sum |y - mean y|^2, both sums over rows and outputs, f with its ending. Labels of every
    position of a sample are not independent: their effective number is theirs over Kish's design effect, the larger of
    the labels' own and of the right answers'.

    Args:
        net: Called as it is: put it in evaluation mode first. A `Model` takes data as `nfa.audit` does, a `Forward`
            data with class numbers.
        data: Anything `as_samples` takes, with targets.
        rows: The name of these rows, for the record.
        batch_size: Rows at a time.
        drawn: How these rows were chosen from theirs, for the record.

    Returns:
        The score, or None where there are no targets.

    Raises:
        InputError: the targets do not fit the outputs.
    """
    text("rows", rows)
    batch_size = positive("batch_size", batch_size)
    if not isinstance(net, Forward):
        model = net if isinstance(net, Model) else Model(net, type(net).__name__)
        if isinstance(net, Model):
            data = prepare(model, data)[0]
        net = Forward(model)
        positions, width = net.extent(as_samples(data).first(2))
        data = encoded(model, data, width, positions)[0]
    samples = as_samples(data)
    scorer = Scorer(net, rows, samples.processes, drawn)
    with torch.no_grad():
        for number, batch in enumerate(samples.batches(batch_size)):
            if batch.y is None:
                scorer.add(None, batch)
                break
            if number == 0:
                net.adapt(map_inputs(lambda x: x[:2].clone(), batch.x))
            scorer.add(net(batch.x), batch)
    return scorer.score()


class Scorer:
    """Scores a network by its outputs, which somebody else computes batch by batch.

    Args:
        forward: How it is called.
        rows: The name of the rows.
        processes: Those that share the rows.
        drawn: How the rows were chosen from theirs; None for all of them.
    """

    def __init__(self, forward: Forward, rows: str, processes: Processes, drawn: Drawn | None = None) -> None:
        self._forward, self._rows, self._processes, self._drawn = forward, rows, processes, drawn
        self._tally: _Tally | None = None
        self._targets = True

    def add(self, f: Tensor | None, batch: Batch) -> None:
        """Take in a batch and the network's outputs (n x ...); the outputs of one without targets do not matter.

        Raises:
            InputError: the targets do not fit the outputs.
        """
        self._targets = self._targets and batch.y is not None
        if f is None or batch.y is None:
            return
        if self._tally is None:
            self._tally = _Tally(self._forward.ending)
        outputs, classes = f.shape[-1] if f.ndim > 1 else 1, self._forward.classes
        if classes is not None and len(classes) not in (outputs, max(2, outputs)):
            raise InputError("classes", f"{len(classes)} labels, but the network has {outputs} outputs")
        self._tally.add(f.detach().cpu(), batch.y.cpu())

    def score(self) -> Score | None:
        """Return the score of all batches of all processes; None where there are no targets.

        Raises:
            InputError: the targets do not fit the outputs.
        """
        if not self._processes.all(self._targets):
            return None
        there = [each for each in self._processes.gathered(self._tally) if each is not None]
        for other in there[1:]:
            there[0].join(other)
        return replace(there[0].score(self._rows), drawn=self._drawn) if there else None


def score_outputs(
    f: Tensor, y: Tensor, rows: str = "all", ending: str | None = None, threshold: float | None = None
) -> Score:
    """Score outputs that are already there, as `score` does.

    Args:
        f: Outputs, n x ..., without their ending.
        y: Targets, n x ...
        rows: The name of these rows, for the record.
        ending: The ending that was taken off the network.
        threshold: A single output above it means the second class; None where that is not known.

    Raises:
        InputError: the targets do not fit the outputs.

    >>> score_outputs(torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0]]), torch.tensor([0, 1, 1])).value
    0.6666666666666666
    """
    tally = _Tally(ending, threshold)
    tally.add(f.cpu(), y.cpu())
    return tally.score(rows)


class _Tally:
    """The sums over batches that accuracy and R^2 need; any batch may show that the targets are no classes."""

    def __init__(self, ending: str | None, threshold: float | None = None) -> None:
        self.ending = ending
        self.n = 0
        self.are_classes = True
        self.misfit = ""
        self.thresholds = thresholds(ending) if threshold is None else (threshold,)
        self.hits = torch.zeros(len(self.thresholds), dtype=torch.float64, device="cpu")
        self.within = _Within()

    def add(self, f: Tensor, y: Tensor) -> None:
        """Take in a batch of outputs (n x ...) and targets."""
        f = f.to(torch.promote_types(f.dtype, torch.float32))
        positions = f[0].numel() // f.shape[-1] if f.ndim > 1 else 1
        of_sample = None
        if are_tokens(y, positions):
            # Each position is a row of its own.
            counted = y.flatten() != IGNORED
            of_sample = torch.arange(len(y), device="cpu").repeat_interleave(y.shape[1])[counted]
            f, y, positions = f.reshape(-1, f.shape[-1])[counted], y.flatten()[counted], 1
            if not len(f):
                return
        answers = with_ending(f, self.ending).reshape(len(f), -1).double()
        f, target = f.reshape(len(f), -1), y.reshape(len(y), -1).double()
        if self.n == 0:
            c = f.shape[1]
            self.counts = torch.zeros(max(2, c), device="cpu")
            self.residual = torch.zeros(c, dtype=torch.float64, device="cpu")
            self.total, self.squares = self.residual.clone(), self.residual.clone()
            # About a target, since an offset of all would leave nothing of their squares' digits.
            self.origin = target[0].clone() if target.shape == answers.shape else torch.zeros_like(self.residual)
            self.same = same_to(f.dtype)
            self.low, self.high = f.amin(0), f.amax(0)
        self.n += len(f)
        if of_sample is not None:
            self.within.samples += len(of_sample.unique())
        self.low, self.high = torch.minimum(self.low, f.amin(0)), torch.maximum(self.high, f.amax(0))
        if target.shape == answers.shape:
            self.residual += ((target - answers) ** 2).sum(0)
            self.total += (target - self.origin).sum(0)
            self.squares += ((target - self.origin) ** 2).sum(0)
        elif not self.misfit:
            self.misfit = (
                f"{target.shape[1]} real targets, but the network has {answers.shape[1]} outputs "
                "(classes are whole numbers; without y an audit needs no targets)"
            )
        labels = class_labels(target_array(y), f.shape[1], self.ending)
        if labels is None or not self.are_classes:
            self.are_classes = False
            return
        classes = torch.from_numpy(labels.astype(np.int64))
        if positions > 1:
            raise several_positions(positions)
        largest = len(self.counts) - 1
        if int(classes.max()) > largest or int(classes.min()) < 0:
            raise out_of_range(int(classes.min()), int(classes.max()), largest + 1)
        self.counts += torch.bincount(classes, minlength=largest + 1)
        right = torch.stack([decoded(f, threshold) == classes for threshold in self.thresholds])
        self.hits += right.sum(1)
        if of_sample is not None:
            self.within.add(of_sample, classes, right, largest + 1)

    def join(self, other: "_Tally") -> None:
        """Take in what another process has found in its batches."""
        if self.n and other.n:
            away = other.origin - self.origin
            other.squares = other.squares + 2 * away * other.total + other.n * away**2
            other.total = other.total + other.n * away
        for sums in ("n", "hits", "counts", "residual", "total", "squares"):
            setattr(self, sums, getattr(self, sums) + getattr(other, sums))
        self.within.join(other.within)
        self.low, self.high = torch.minimum(self.low, other.low), torch.maximum(self.high, other.high)
        self.are_classes = self.are_classes and other.are_classes
        self.misfit = self.misfit or other.misfit

    def score(self, rows: str) -> Score:
        """Return the score of all batches."""
        size = torch.maximum(self.high.abs(), self.low.abs()).amax()
        constant = self.n > 1 and bool((self.high - self.low).amax() <= self.same * size)
        samples = self.within.samples or None
        if self.are_classes:
            value, baseline = (float(each.max()) / self.n for each in (self.hits, self.counts))
            effective = self.within.effective(self.n, self.counts, self.hits) if samples else None
            return Score("accuracy", value, baseline, self.n, rows, constant, samples, effective)
        if self.misfit:
            raise InputError("y", self.misfit)
        spread = float((self.squares - self.total**2 / self.n).sum())
        value = 1 - float(self.residual.sum()) / spread if spread > 0 else float("nan")
        return Score("r2", value, 0.0, self.n, rows, constant, samples, samples and float(samples))


class _Within:
    """The sums over samples, n_i labels each, that tell how alike the labels and the right answers of a sample are."""

    def __init__(self) -> None:
        self.samples = 0
        self.sizes = 0.0  # sum of n_i^2
        self.alike = 0.0  # sum of n_ic^2, over classes c too
        self.sized: Tensor | float = 0.0  # sum of n_i n_ic, by class
        self.right: Tensor | float = 0.0  # sum of h_i^2 for h_i right answers, by threshold
        self.right_sized: Tensor | float = 0.0  # sum of n_i h_i, by threshold

    def add(self, of_sample: Tensor, classes: Tensor, right: Tensor, n_classes: int) -> None:
        """Take in a batch: the sample of each label, the label, and whether it is answered rightly, by threshold."""
        n = of_sample.bincount().double()
        h = torch.zeros(len(right), len(n), dtype=torch.float64).index_add_(1, of_sample, right.double())
        together = (of_sample * n_classes + classes).unique(return_counts=True)[1].double()
        self.sizes += float(n.square().sum())
        self.alike += float(together.square().sum())
        self.sized = self.sized + classes.bincount(n[of_sample], minlength=n_classes)
        self.right = self.right + h.square().sum(1)
        self.right_sized = self.right_sized + (n * h).sum(1)

    def join(self, other: "_Within") -> None:
        """Take in what another process has found."""
        for name, found in vars(other).items():
            setattr(self, name, getattr(self, name) + found)

    def effective(self, n: int, counts: Tensor, hits: Tensor) -> float:
        """Return the effective number of n labels, from 1 to n."""
        if self.samples == 1:
            return 1.0
        p, v = counts.double() / n, hits / n
        off_labels = self.alike - 2 * float((p * self.sized).sum()) + self.sizes * float(p.square().sum())
        off_right = (self.right - 2 * v * self.right_sized + self.sizes * v.square())[hits.argmax()]
        share = float(v.max())
        # The variance between samples over that of independent labels; nothing varies where a variance is 0.
        ratios = ((off_labels, 1 - float(p.square().sum())), (float(off_right), share * (1 - share)))
        effects = [off / (n * variance) for off, variance in ratios if variance > 0]
        return max(1.0, n / max(1.0, self.samples / (self.samples - 1) * max(effects, default=1.0)))
