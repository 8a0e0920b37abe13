"""Running sums of delta'delta for one layer, by group of samples."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nfa.common.processes import Processes
from nfa.features.factored import sum_of_products
from nfa.features.weight import working_dtype
from nfa.probe import block_diagonal, within_blocks

BLOCK = 256
"""The least side of a block; the upper triangle of delta'delta is computed in blocks."""

BLOCKS_PER_SIDE = 8
"""Blocks along a side of a large matrix: (8 + 1) / 16 of the full product's cost."""

ROWS_TOGETHER = 512
"""One product should have at least this many rows, so rows of one group from several sweeps are multiplied together."""

ROWS_WAITING = 4096
"""At most this many rows wait in a buffer."""

NEARLY_CONSTANT = 1e-2
"""Sums are shifted where the mean square of delta minus its mean is below this share of the mean's square."""

TINY = 1e-12
"""Deltas that are all smaller than this, or larger than its inverse, are added up in float64."""

IDENTICAL = 100
"""Deltas that differ by no more than this many units of rounding are the same."""


class UpperSums:
    """Several sums of rows'rows (k x k, symmetric), each kept as the blocks on and above the diagonal.

    Args:
        count: How many sums.
        k: Entries of a row.
        like: A tensor of the dtype and device to use.

    >>> sums = UpperSums(1, 2, torch.zeros(1))
    >>> sums.add(0, torch.tensor([[1.0, 2.0]]))
    >>> sums.total()
    tensor([[1., 2.],
            [2., 4.]], dtype=torch.float64)
    """

    def __init__(self, count: int, k: int, like: Tensor) -> None:
        side = max(BLOCK, -(-k // BLOCKS_PER_SIDE))
        self.k = k
        self._starts = range(0, k, side)
        # Not zeroed before a first sum is written, which would cost as much as a layer's rows.
        self._strips = [like.new_empty(count, min(side, k - start), k - start) for start in self._starts]
        self._written = [False] * count

    def add(self, number: int, rows: Tensor, times: float = 1.0) -> None:
        """Add rows'rows, rows of shape (m, k), to one of the sums, that many times."""
        beta = float(self._written[number])
        self._written[number] = True
        for start, strip in zip(self._starts, self._strips, strict=True):
            left, right = rows[:, start : start + strip.shape[1]].T, rows[:, start:]
            strip[number].addmm_(left, right, beta=beta, alpha=times)

    def pool(self, processes: Processes) -> None:
        """Add up the sums of all processes."""
        self._zero_unwritten()
        self._strips = [processes.sum(strip) for strip in self._strips]

    def inner(self, matrices: Sequence[Tensor], scale: float) -> Tensor:
        """Return scale <P, sum> for each sum and each symmetric P (sums x matrices, float64)."""
        found = torch.zeros(len(self._written), len(matrices), dtype=torch.float64)
        for start, strip in zip(self._starts, self._strips, strict=True):
            stop = start + strip.shape[1]
            for number in (i for i, written in enumerate(self._written) if written):
                part = (strip[number] * scale).to(matrices[0].dtype)
                for column, P in enumerate(matrices):
                    # What is right of the diagonal block stands for its mirror image too.
                    block, beside = P[start:stop, start:stop], P[start:stop, stop:]
                    both = sum_of_products(part[:, stop - start :], beside)
                    found[number, column] += sum_of_products(part[:, : stop - start], block) + 2 * both
        return found

    def total(self) -> Tensor:
        """Return the sum of all of them (k x k), in float64."""
        self._zero_unwritten()
        return self._whole([sum_float64(strip) for strip in self._strips])

    def cpu(self) -> None:
        """Move to the CPU."""
        self._strips = [strip.cpu() for strip in self._strips]

    def _zero_unwritten(self) -> None:
        """Zero the sums that nothing was added to."""
        for number, written in enumerate(self._written):
            if not written:
                for strip in self._strips:
                    strip[number].zero_()
                self._written[number] = True

    def _whole(self, strips: list[Tensor]) -> Tensor:
        matrix = strips[0].new_empty(self.k, self.k)
        for start, strip in zip(self._starts, strips, strict=True):
            stop = start + len(strip)
            matrix[start:stop, start:] = strip
            matrix[stop:, start:stop] = strip[:, len(strip) :].T
        return matrix


class Accumulator:
    """Sums over rows of delta'delta (k x k) by group and probe half, of delta by output, and a test for triviality.

    Where delta hardly changes from row to row, its centered sums would be lost in the rounding of the uncentered ones.
    Then sums are taken of delta minus a reference r (c x k), and the uncentered ones follow:
    sum delta'delta = sum (delta - r)'(delta - r) + B'r + r'B + n r'r, with B the sum of delta - r by output.

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
        self._eps = eps
        spread = float(((first - mean) ** 2).sum(dtype=torch.float64)) / len(first)
        level = float((mean**2).sum(dtype=torch.float64))
        self.shift = mean if spread <= NEARLY_CONSTANT * level and level > 0 else None
        self.trivial = self.shift is not None
        halves = 2 if groups > 1 and probes is not None and probes > 1 else 1
        self.probes = [1] if probes is None else [len(range(half, probes, halves)) for half in range(halves)]
        self.groups, self.blocks = groups, blocks
        self.sums = UpperSums(groups * halves, k, first)
        # By group and half only where the shift needs it.
        self.B = first.new_zeros(groups * halves if self.trivial else 1, c, k)
        self.rows = torch.zeros(groups, dtype=torch.int64)
        self._pools = [_Pool(self.sums, half, halves) for half in range(halves)]
        self._samples: Tensor | None = None
        self._positions = 0

    def add(self, samples: Tensor, column: int, signs: Tensor | None, delta: Tensor) -> None:
        """Add one sweep: delta of shape (samples, rows per sample, k), samples sorted by group."""
        if samples is not self._samples or delta.shape[1] != self._positions:
            self._samples, self._positions = samples, delta.shape[1]
            for pool in self._pools:
                pool.begin(samples % self.groups, delta.shape[1])
        delta = delta.to(self.B.dtype)
        if signs is not None:
            signs = signs.to(delta.dtype)
        if self.shift is not None:
            delta = delta - (self.shift[column] if signs is None else (signs @ self.shift)[:, None])
            if self.trivial:
                tolerance = IDENTICAL * self._eps * float(self.shift.abs().amax())
                self.trivial = bool(delta.abs().amax() <= tolerance)
        half = column % len(self._pools)
        self._add_means(half, column, signs, delta)
        self._pools[half].add(delta)

    def count(self, samples: Tensor, rows_per_sample: int) -> None:
        """Count a batch's rows, once per use of the weight (not once per sweep)."""
        self.rows += torch.bincount(samples % self.groups, minlength=self.groups) * rows_per_sample

    def finish(self) -> None:
        """Multiply the rows that still wait, and move everything to the CPU."""
        for pool in self._pools:
            pool.flush()
        self._pools.clear()
        self.sums.cpu()
        self.B = self.B.cpu()
        self.shift = None if self.shift is None else self.shift.cpu()

    def pool(self, processes: Processes) -> None:
        """Add up what all processes have of their own rows, once it is finished; `first` is the same in all."""
        self.sums.pool(processes)
        self.B = processes.sum(self.B)
        self.rows = processes.sum(self.rows)

    @property
    def draws(self) -> int:
        """The number of terms delta'delta: rows, times probes."""
        return int(self.rows.sum()) * sum(self.probes)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Return delta's covariance S_centered (k x k), summed over outputs, and its mean for each (c x k), in float64.

        The uncentered S is S_centered + mean'mean, a sum without cancellation. If delta is in blocks, both are block
        diagonal, and the mean is replaced by a matrix (at most k x k) with the same mean'mean in each block.
        """
        mean = sum_float64(self.B) / self.draws
        S_centered = self.sums.total().div_(self.draws).addmm_(mean.T, mean, alpha=-1)
        mean = mean if self.shift is None else mean + self.shift
        if self.blocks == 1:
            return S_centered, mean
        by_block = mean.unflatten(1, (self.blocks, -1)).movedim(1, 0)
        return within_blocks(S_centered, self.blocks), block_diagonal(torch.linalg.qr(by_block).R)

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

    def _add_means(self, half: int, column: int, signs: Tensor | None, delta: Tensor) -> None:
        parts = self._pools[half].parts if len(self.B) > 1 else [(0, 0, len(delta))]
        for group, start, stop in parts:
            B = self.B[group * len(self._pools) + half if len(self.B) > 1 else 0]
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
        numbers, counts = torch.unique_consecutive(groups, return_counts=True)
        stops = counts.cumsum(0).tolist()
        self.parts = list(zip(numbers.tolist(), [0, *stops[:-1]], stops, strict=True))
        self._positions = positions
        rows = len(groups) * positions
        self._together = max(1, min(-(-ROWS_TOGETHER // (int(counts.min()) * positions)), ROWS_WAITING // rows))

    def add(self, delta: Tensor) -> None:
        """Add delta of one sweep over the batch (samples, rows per sample, k)."""
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


def _quadratic(rows: Tensor, P: Tensor) -> float:
    """Return the sum of rPr' over rows r, in float64."""
    return sum_of_products(rows.double() @ P.double(), rows.double())


def sum_float64(parts: Tensor) -> Tensor:
    """Return the sum over the first axis in float64, without a float64 copy of all parts."""
    total = parts[0].to(torch.float64, copy=True)
    for part in parts[1:]:
        total += part
    return total
