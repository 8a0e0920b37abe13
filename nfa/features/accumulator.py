"""Running sums of delta'delta for one layer, by group of samples."""

import torch
from torch import Tensor

from nfa.features.weight import working_dtype

BLOCK = 256
"""Least side of the blocks in which the upper triangle of delta'delta is computed."""

BLOCKS_PER_SIDE = 8
"""Blocks along a side of a large matrix: (8 + 1) / 16 of the full product's cost."""

ROWS_TOGETHER = 512
"""Rows that one product should have at least: the same group's rows from several sweeps are multiplied together."""

NEARLY_CONSTANT = 1e-2
"""Where the mean square of delta minus its mean is below this share of the mean's, sums are shifted."""

IDENTICAL = 1000
"""Deltas that differ by no more than this many units of rounding are the same."""


class UpperSums:
    """Sums of rows'rows (k x k, symmetric), several of them, each kept as the blocks on and above the diagonal.

    Args:
        count: How many sums.
        k: Entries of a row.
        like: A tensor of the dtype and device to use.

    >>> sums = UpperSums(1, 2, torch.zeros(1))
    >>> sums.add(0, torch.tensor([[1.0, 2.0]]))
    >>> sums.full(0)
    tensor([[1., 2.],
            [2., 4.]])
    """

    def __init__(self, count: int, k: int, like: Tensor) -> None:
        side = max(BLOCK, -(-k // BLOCKS_PER_SIDE))
        self.k, self.count = k, count
        self._starts = range(0, k, side)
        self._strips = [like.new_zeros(count, min(side, k - start), k - start) for start in self._starts]

    def add(self, number: int, rows: Tensor, times: float = 1.0) -> None:
        """Add rows'rows, rows of shape (m, k), to one of the sums, that many times."""
        for start, strip in zip(self._starts, self._strips, strict=True):
            strip[number].addmm_(rows[:, start : start + strip.shape[1]].T, rows[:, start:], alpha=times)

    def full(self, number: int) -> Tensor:
        """Return one of the sums as a whole matrix (k x k)."""
        return self._whole([strip[number] for strip in self._strips])

    def total(self) -> Tensor:
        """Return the sum of all of them (k x k), in float64."""
        return self._whole([sum_float64(strip) for strip in self._strips])

    def cpu(self) -> "UpperSums":
        """Move to the CPU."""
        self._strips = [strip.cpu() for strip in self._strips]
        return self

    def _whole(self, strips: list[Tensor]) -> Tensor:
        matrix = strips[0].new_empty(self.k, self.k)
        for start, strip in zip(self._starts, strips, strict=True):
            stop = start + len(strip)
            matrix[start:stop, start:] = strip
            matrix[stop:, start:stop] = strip[:, len(strip) :].T
        return matrix


class Accumulator:
    """Sums over rows of delta'delta (k x k) by group and probe half, of delta by output, and a test for triviality.

    Where delta hardly changes from row to row, its centered sums would drown in the rounding of the
    uncentered ones. There, sums are of delta minus a reference r (c x k), and the uncentered ones follow:
    sum delta'delta = sum (delta - r)'(delta - r) + B'r + r'B + n r'r, B the sum of delta - r by output.

    Args:
        first: delta of the first few samples for each output (samples x c x k).
        groups: 10 (sample s in group s mod 10), or 1 where no interval is wanted.
        probes: Random probes, or None. Even and odd ones are kept apart where `groups` are.
    """

    def __init__(self, first: Tensor, groups: int, probes: int | None) -> None:
        first = first.to(working_dtype(first))
        mean = first.mean(0)
        c, k = mean.shape
        spread = float(((first - mean) ** 2).sum(dtype=torch.float64)) / len(first)
        level = float((mean**2).sum(dtype=torch.float64))
        self.shift = mean if spread <= NEARLY_CONSTANT * level and level > 0 else None
        self.trivial = self.shift is not None
        halves = 2 if groups > 1 and probes is not None and probes > 1 else 1
        self.probes = [1] if probes is None else [len(range(half, probes, halves)) for half in range(halves)]
        self.groups = groups
        self.sums = UpperSums(groups * halves, k, first)
        # By group and half only where the shift needs it.
        self.B = first.new_zeros(groups * halves if self.trivial else 1, c, k)
        self.rows = torch.zeros(groups, dtype=torch.int64)
        self._waiting: list[list[Tensor]] = [[] for _ in range(halves)]
        self._parts: list[tuple[int, int, int]] = []
        self._samples: Tensor | None = None

    def add(self, samples: Tensor, column: int, signs: Tensor | None, delta: Tensor) -> None:
        """Take in one sweep: delta of shape (samples, rows per sample, k), samples sorted by group."""
        if samples is not self._samples:
            self._begin(samples)
        delta = delta.to(self.B.dtype)
        if signs is not None:
            signs = signs.to(delta.dtype)
        if self.shift is not None:
            delta = delta - (self.shift[column] if signs is None else (signs @ self.shift)[:, None])
            if self.trivial:
                tolerance = IDENTICAL * torch.finfo(delta.dtype).eps * float(self.shift.abs().amax())
                self.trivial = bool(delta.abs().amax() <= tolerance)
        half = column % len(self._waiting)
        self._add_means(half, column, signs, delta)
        self._waiting[half].append(delta)
        least = min(stop - start for _, start, stop in self._parts) * delta.shape[1]
        if least * len(self._waiting[half]) >= ROWS_TOGETHER:
            self._flush(half)

    def count(self, samples: Tensor, rows_per_sample: int) -> None:
        """Count a batch's rows, once per use of the weight (not once per sweep)."""
        self.rows += torch.bincount(samples % self.groups, minlength=self.groups) * rows_per_sample

    def finish(self) -> Tensor:
        """Return S of the centered AGOP (k x k, float64, on the CPU), and make `sums` those of delta itself."""
        for half in range(len(self._waiting)):
            self._flush(half)
        n = int(self.rows.sum()) * sum(self.probes)
        centered = self.sums.total() / n
        mean = sum_float64(self.B) / n
        centered.addmm_(mean.T, mean, alpha=-1)
        if self.shift is not None:
            halves = len(self.probes)
            for number, B in enumerate(self.B):
                draws = int(self.rows[number // halves]) * self.probes[number % halves]
                # B'r + r'B + n r'r = n (r + B/n)'(r + B/n) - B'B/n.
                if draws:
                    self.sums.add(number, self.shift + B / draws, times=draws)
                    self.sums.add(number, B, times=-1 / draws)
        self.sums.cpu()
        return centered.cpu()

    def _begin(self, samples: Tensor) -> None:
        for half in range(len(self._waiting)):
            self._flush(half)
        self._samples = samples
        groups, counts = torch.unique_consecutive(samples % self.groups, return_counts=True)
        stops = counts.cumsum(0).tolist()
        self._parts = list(zip(groups.tolist(), [0, *stops[:-1]], stops, strict=True))

    def _add_means(self, half: int, column: int, signs: Tensor | None, delta: Tensor) -> None:
        parts = self._parts if len(self.B) > 1 else [(0, 0, len(delta))]
        for group, start, stop in parts:
            B = self.B[group * len(self._waiting) + half if len(self.B) > 1 else 0]
            if signs is None:
                B[column] += delta[start:stop].sum((0, 1))
            else:
                B.addmm_(signs[start:stop].T, delta[start:stop].sum(1))

    def _flush(self, half: int) -> None:
        waiting = self._waiting[half]
        if not waiting:
            return
        for group, start, stop in self._parts:
            rows = [delta[start:stop].flatten(0, 1) for delta in waiting]
            self.sums.add(group * len(self._waiting) + half, rows[0] if len(rows) == 1 else torch.cat(rows))
        waiting.clear()


def sum_float64(parts: Tensor) -> Tensor:
    """Return the sum over the first axis in float64, without a float64 copy of all parts."""
    total = parts[0].to(torch.float64, copy=True)
    for part in parts[1:]:
        total += part
    return total
