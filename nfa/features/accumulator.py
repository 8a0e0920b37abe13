"""Running sums of delta'delta for one layer, by group of samples."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nfa.common.processes import Processes
from nfa.features.factored import sum_of_products
from nfa.features.second_moment import ByRows, SecondMoment, Whole
from nfa.features.upper_sums import UpperSums, sum_float64
from nfa.features.weight import TILE, place_of, working_dtype
from nfa.probe import block_diagonal, within_blocks

ROWS_TOGETHER = 512
"""One product should have at least this many rows, so rows of one group from several sweeps are multiplied together."""

ROWS_WAITING = 4096
"""At most this many rows wait in a buffer."""

POSITIONS = 8
"""Rows of one sample that are enough for a product of their own, where their entries do not lie side by side."""

NEARLY_CONSTANT = 1e-2
"""Sums are shifted where the mean square of delta minus its mean is below this share of the mean's square."""

TINY = 1e-12
"""Deltas that are all smaller than this, or larger than its inverse, are added up in float64."""

FEW = 4
"""Up to k / `FEW` rows (samples times outputs) are kept as they are: their products cost less than those of k x k."""

FEW_FROM = 1024
"""From this k on; below it k x k sums take no time."""

IDENTICAL = 100
"""Deltas that differ by no more than this many units of rounding are the same."""


@dataclass(frozen=True, eq=False)
class Kept:
    """Rows that were kept as they are, in the layer's place (see `place_of`); `outputs` and `groups` on the CPU.

    Args:
        rows: delta, less the reference (N x k).
        outputs: Which output each is of (N,).
        groups: Which group of samples each is of.
    """

    rows: Tensor
    outputs: Tensor
    groups: Tensor

    @classmethod
    def joined(cls, parts: Sequence["Kept"]) -> "Kept":
        """Return all rows of several."""
        return cls(
            torch.cat([part.rows for part in parts]),
            torch.cat([part.outputs for part in parts]),
            torch.cat([part.groups for part in parts]),
        )

    def to(self, place: torch.device) -> "Kept":
        """Return the same with its rows in this place."""
        return replace(self, rows=self.rows.to(place))


def rows_kept(k: int, probes: int | None, blocks: int = 1) -> int:
    """Return how many rows of k entries are kept as they are, before they are added up; 0 where none are."""
    return k // FEW if k >= FEW_FROM and probes is None and blocks == 1 else 0


class Accumulator:
    """Sums over rows of delta'delta (k x k) by group and probe half, of delta by output, and a test for triviality.

    Where delta hardly changes from row to row, its centered sums would be lost in the rounding of the uncentered ones.
    Then sums are taken of delta minus a reference r (c x k), and the uncentered ones follow:
    sum delta'delta = sum (delta - r)'(delta - r) + B'r + r'B + n r'r, with B the sum of delta - r by output.

    As long as there are few rows they are kept (`kept`), and nothing of size k x k is made.

    Args:
        first: delta of the first few samples for each output (samples x c x k).
        groups: 10 (sample s in group s mod 10), or 1 where no interval is wanted.
        probes: Random probes, or None. Even and odd ones are kept apart if groups are.
        blocks: Blocks of delta that belong to separate maps (a convolution's groups). Of every sum only the diagonal
            blocks count.
    """

    def __init__(self, first: Tensor, groups: int, probes: int | None, blocks: int = 1) -> None:
        first = first.to(working_dtype(first))
        eps = torch.finfo(first.dtype).eps
        if not TINY <= float(first.abs().amax()) <= 1 / TINY:
            first = first.double()  # squares of such deltas leave the range of float32
        mean = first.mean(0)
        c, k = mean.shape
        self._eps, self.place = eps, place_of(first[0].T)
        spread = float(((first - mean) ** 2).sum(dtype=torch.float64)) / len(first)
        level = float((mean**2).sum(dtype=torch.float64))
        self.shift = mean if spread <= NEARLY_CONSTANT * level and level > 0 else None
        # The largest difference from the reference: on a GPU it is looked at only at the end.
        self._farthest, self._differs = first.new_zeros(()), False
        halves = 2 if groups > 1 and probes is not None and probes > 1 else 1
        self.probes = [1] if probes is None else [len(range(half, probes, halves)) for half in range(halves)]
        self.groups, self.blocks = groups, blocks
        self.sums = UpperSums(groups * halves, k, first)
        self.kept: Kept | None = None
        self._limit = rows_kept(k, probes, blocks)
        self._few: list[tuple[Tensor, int, Tensor]] | None = [] if self._limit else None
        # By group and half only where the shift needs it.
        self.B = first.new_zeros(1 if self.shift is None else groups * halves, c, k)
        self.rows = torch.zeros(groups, dtype=torch.int64, device="cpu")
        self._pools = [_Pool(self.sums, half, halves) for half in range(halves)]
        self._samples: Tensor | None = None
        self._positions = 0

    def add(self, samples: Tensor, column: int, signs: Tensor | None, delta: Tensor) -> None:
        """Add one sweep: delta of shape (samples, rows per sample, k), samples sorted by group."""
        delta = delta.to(self.B.dtype)
        if signs is not None:
            signs = signs.to(delta.dtype)
        if self.shift is not None:
            delta = delta - (self.shift[column] if signs is None else (signs @ self.shift)[:, None])
            if not self._differs:
                self._farthest = torch.maximum(self._farthest, delta.abs().amax())
        self._add_means(samples, column, signs, delta)
        if self._few is None:
            self._add_up(samples, column, delta)
            return
        self._few.append((samples, column, delta))
        if sum(rows.shape[0] * rows.shape[1] for _, _, rows in self._few) > self._limit:
            self._add_up_few()

    @property
    def trivial(self) -> bool:
        """Whether delta was the reference on every row so far, to rounding."""
        if self.shift is None or self._differs:
            return False
        return float(self._farthest) <= IDENTICAL * self._eps * float(self.shift.abs().amax())

    def differs(self) -> None:
        """Note that delta is not the reference on all rows, those of other processes among them."""
        self._differs = True

    def _add_up(self, samples: Tensor, column: int, delta: Tensor) -> None:
        if samples is not self._samples or delta.shape[1] != self._positions:
            self._samples, self._positions = samples, delta.shape[1]
            for pool in self._pools:
                pool.begin(samples % self.groups, delta.shape[1])
        self._pools[column % len(self._pools)].add(delta)

    def _add_up_few(self) -> None:
        """Add up the rows that were kept: they are not few."""
        few, self._few = self._few, None
        for samples, column, delta in few or ():
            self._add_up(samples, column, delta)

    def count(self, samples: Tensor, rows_per_sample: int) -> None:
        """Count a batch's rows, once per use of the weight (not once per sweep)."""
        self.rows += torch.bincount(samples % self.groups, minlength=self.groups) * rows_per_sample

    def finish(self, processes: Processes) -> None:
        """Multiply the rows that still wait, add up what all processes have, and move everything to its place."""
        found = processes.gathered(None if self._few is None else self._kept(self._few))
        few = [each for each in found if each is not None]
        if len(few) < len(found) or sum(len(each.rows) for each in few) > self._limit:
            self._add_up_few()
            for pool in self._pools:
                pool.flush()
            self.sums.move(self.place)
            self.sums.pool(processes)
        else:
            self.kept = Kept.joined(few).to(self.place)
        self._few, self._samples = None, None
        self._pools.clear()
        self.B = processes.sum(self.B.to(self.place))
        self.rows = processes.sum(self.rows)
        self.shift = None if self.shift is None else self.shift.to(self.place)

    def _kept(self, few: list[tuple[Tensor, int, Tensor]]) -> Kept:
        none = torch.zeros(0, dtype=torch.int64, device="cpu")
        found = [Kept(self.B.new_zeros(0, self.B.shape[2]).cpu(), none, none)]
        for samples, column, delta in few:
            rows = delta.flatten(0, 1).cpu()
            groups = (samples % self.groups).repeat_interleave(delta.shape[1])
            found.append(Kept(rows, torch.full_like(groups, column), groups))
        return Kept.joined(found)

    @property
    def draws(self) -> int:
        """The number of terms delta'delta: rows, times probes."""
        return int(self.rows.sum()) * sum(self.probes)

    def moments(self) -> tuple[SecondMoment, Tensor]:
        """Return delta's covariance S_centered (k x k), summed over outputs, and its mean for each (c x k), in float64.

        The uncentered S is S_centered + mean'mean, a sum without cancellation. If delta is in blocks, both are block
        diagonal, and the mean is replaced by a matrix (at most k x k) with the same mean'mean in each block.
        """
        mean = sum_float64(self.B) / self.draws
        if self.kept is not None:
            centered = [
                ((rows.double() - mean[outputs]) / math.sqrt(self.draws)).to(rows.dtype)
                for rows, outputs in zip(self.kept.rows.split(TILE), self.kept.outputs.split(TILE), strict=True)
            ]
            return ByRows(torch.cat(centered)), mean if self.shift is None else mean + self.shift
        S_centered = self.sums.total().div_(self.draws).addmm_(mean.T, mean, alpha=-1)
        mean = mean if self.shift is None else mean + self.shift
        if self.blocks == 1:
            return Whole(S_centered), mean
        by_block = mean.unflatten(1, (self.blocks, -1)).movedim(1, 0)
        S_centered = within_blocks(S_centered, self.blocks)
        return Whole(S_centered, self.blocks), block_diagonal(torch.linalg.qr(by_block).R)

    def inner(self, matrices: Sequence[Tensor], scale: float) -> Tensor:
        """Return scale <P, S_g>, S_g the sum of delta'delta over the rows of group g and half of the probes.

        Args:
            matrices: Symmetric matrices P (k x k); if delta is in blocks, they are 0 outside of the blocks.
            scale: A factor for S_g.

        Returns:
            Shape (groups, halves, matrices), float64.
        """
        found: Tensor = self.sums.inner(matrices, scale)
        if self.shift is not None:
            for number, B in enumerate(self.B.double()):
                draws = int(self.rows[number // len(self.probes)]) * self.probes[number % len(self.probes)]
                if draws:
                    # B'r + r'B + n r'r = n (r + B/n)'(r + B/n) - B'B/n.
                    mean, B = (rows * math.sqrt(scale) for rows in (self.shift + B / draws, B))
                    for column, P in enumerate(matrices):
                        found[number, column] += draws * _quadratic(mean, P) - _quadratic(B, P) / draws
        return found.reshape(self.groups, len(self.probes), -1)

    def _add_means(self, samples: Tensor, column: int, signs: Tensor | None, delta: Tensor) -> None:
        halves = len(self.probes)
        parts = group_parts(samples % self.groups) if len(self.B) > 1 else [(0, 0, len(delta))]
        for group, start, stop in parts:
            B = self.B[group * halves + column % halves if len(self.B) > 1 else 0]
            if signs is None:
                B[column] += delta[start:stop].sum((0, 1))
            else:
                B.addmm_(signs[start:stop].T, delta[start:stop].sum(1))


class _Pool:
    """A buffer of rows before they are summed by group: one group's rows of several sweeps are multiplied together.

    Few rows make slow products. On one core with k = 1024 and 10 outputs, the sums of a batch of 100 samples (10 in
    each group) take 2.7 times as long without it, those of 512 samples 1.1 times. The buffer is allocated once.
    """

    def __init__(self, sums: UpperSums, half: int, halves: int) -> None:
        self.sums, self.half, self.halves = sums, half, halves
        self.parts: list[tuple[int, int, int]] = []
        self._buffer: Tensor | None = None
        self._positions = self._together = self._stored = 0

    def begin(self, groups: Tensor, positions: int) -> None:
        """Prepare for a batch whose samples are in these groups (sorted), with so many rows each."""
        self.flush()
        self.parts = group_parts(groups)
        self._positions = positions
        rows = len(groups) * positions
        least = min(stop - start for _, start, stop in self.parts)
        self._together = max(1, min(-(-ROWS_TOGETHER // (least * positions)), ROWS_WAITING // rows))

    def add(self, delta: Tensor) -> None:
        """Add delta of one sweep over the batch (samples, rows per sample, k)."""
        if delta.stride(1) == 1 and delta.shape[1] >= POSITIONS:
            # Entry by entry, each for all rows of a sample, as convolutions have them: rows need not be made.
            for group, start, stop in self.parts:
                self.sums.add(group * self.halves + self.half, delta[start:stop])
            return
        if self._together == 1:
            for group, start, stop in self.parts:
                self.sums.add(group * self.halves + self.half, delta[start:stop].flatten(0, 1))
            return
        rows = delta.flatten(0, 1)
        if self._buffer is None or len(self._buffer) < self._together * len(rows):
            self._buffer = rows.new_empty(self._together * len(rows), rows.shape[1])
        for _, start, stop in self.parts:
            first, last = start * self._positions, stop * self._positions
            place = first * self._together + self._stored * (last - first)
            self._buffer[place : place + last - first] = rows[first:last]
        self._stored += 1
        if self._stored == self._together:
            self.flush()

    def flush(self) -> None:
        """Multiply the rows that wait."""
        if self._buffer is None or not self._stored:
            return
        for group, start, stop in self.parts:
            place = start * self._positions * self._together
            count = self._stored * (stop - start) * self._positions
            self.sums.add(group * self.halves + self.half, self._buffer[place : place + count])
        self._stored = 0


def group_parts(groups: Tensor) -> list[tuple[int, int, int]]:
    """Return (group, first, last + 1) for each run of samples of one group, which are sorted by it."""
    numbers, counts = torch.unique_consecutive(groups, return_counts=True)
    stops = counts.cumsum(0).tolist()
    return list(zip(numbers.tolist(), [0, *stops[:-1]], stops, strict=True))


def _quadratic(rows: Tensor, P: Tensor) -> float:
    """Return the sum of rPr' over rows r, in float64."""
    return sum_of_products(rows.double() @ P.double(), rows.double())
