"""Running sums of delta'delta for one layer, by group of samples."""

import torch
from torch import Tensor

from nfa.features.weight import working_dtype

BLOCK = 256
"""Least side of the blocks in which the upper triangle of delta'delta is computed."""

NEARLY_CONSTANT = 1e-2
"""Where the mean square of delta minus its mean is below this share of the mean's, sums are shifted."""

IDENTICAL = 1000
"""Deltas that differ by no more than this many units of rounding are the same."""

BLOCKS_PER_SIDE = 8
"""Blocks along a side of a large matrix: (8 + 1) / 16 of the full product's cost."""


def add_gram(total: Tensor, rows: Tensor) -> None:
    """Add rows'rows (k x k) to the upper triangle of `total`, by blocks; what lies below the blocks stays.

    rows'rows is symmetric, so the blocks below the diagonal are never computed (`mirror` fills them in).

    >>> total = torch.zeros(2, 2)
    >>> add_gram(total, torch.tensor([[1.0, 2.0]]))
    >>> total
    tensor([[1., 2.],
            [2., 4.]])
    """
    for start, stop in _blocks(rows.shape[1]):
        total[start:stop, start:].addmm_(rows[:, start:stop].T, rows[:, start:])


def mirror(total: Tensor) -> None:
    """Copy the blocks above the diagonal of (..., k, k) to below it, in place."""
    for start, stop in _blocks(total.shape[-1]):
        total[..., stop:, start:stop] = total[..., start:stop, stop:].mT


def _blocks(k: int) -> list[tuple[int, int]]:
    side = max(BLOCK, -(-k // BLOCKS_PER_SIDE))
    return [(start, min(start + side, k)) for start in range(0, k, side)]


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
        _, c, k = first.shape
        first = first.to(working_dtype(first))
        dtype, device = first.dtype, first.device
        halves = 2 if groups > 1 and probes is not None and probes > 1 else 1
        self.probes = [1] if probes is None else [len(range(half, probes, halves)) for half in range(halves)]
        self.sums = torch.zeros(groups, halves, k, k, dtype=dtype, device=device)
        self.B = torch.zeros(groups, halves, c, k, dtype=dtype, device=device)
        self.rows = torch.zeros(groups, dtype=torch.int64)
        mean = first.mean(0)
        spread = float(((first - mean) ** 2).sum(dtype=torch.float64)) / len(first)
        level = float((mean**2).sum(dtype=torch.float64))
        self.shift = mean if spread <= NEARLY_CONSTANT * level and level > 0 else None
        self.trivial = self.shift is not None

    def add(self, samples: Tensor, column: int, signs: Tensor | None, delta: Tensor) -> None:
        """Take in one sweep: delta of shape (samples, rows per sample, k), samples sorted by group."""
        delta = delta.to(self.sums.dtype)
        if self.shift is not None:
            delta = delta - (self.shift[column] if signs is None else (signs.to(delta.dtype) @ self.shift)[:, None])
            if self.trivial:
                tolerance = IDENTICAL * torch.finfo(delta.dtype).eps * float(self.shift.abs().amax())
                self.trivial = bool(delta.abs().amax() <= tolerance)
        half = column % self.sums.shape[1]
        groups, counts = torch.unique_consecutive(samples % len(self.rows), return_counts=True)
        start = 0
        for group, count in zip(groups.tolist(), counts.tolist(), strict=True):
            part = delta[start : start + count]
            add_gram(self.sums[group, half], part.flatten(0, 1))
            if signs is None:
                self.B[group, half, column] += part.sum((0, 1))
            else:
                self.B[group, half].addmm_(signs[start : start + count].to(delta.dtype).T, part.sum(1))
            start += count

    def count(self, samples: Tensor, rows_per_sample: int) -> None:
        """Count a batch's rows, once per use of the weight (not once per sweep)."""
        self.rows += torch.bincount(samples % len(self.rows), minlength=len(self.rows)) * rows_per_sample

    def finish(self) -> tuple[Tensor, Tensor]:
        """Return S of the centered AGOP (k x k, float64), and make `sums` those of delta itself, all on the CPU."""
        mirror(self.sums)
        n = int(self.rows.sum()) * sum(self.probes)
        centered = sum_float64(self.sums.flatten(0, 1)) / n
        mean = sum_float64(self.B.flatten(0, 1)) / n
        centered.addmm_(mean.T, mean, alpha=-1)
        if self.shift is not None:
            for group, rows in enumerate(self.rows.tolist()):
                for half, probes in enumerate(self.probes):
                    cross = self.B[group, half].T @ self.shift
                    self.sums[group, half] += cross + cross.T
                    self.sums[group, half].addmm_(self.shift.T, self.shift, alpha=rows * probes)
        self.sums = self.sums.cpu()
        return self.sums, centered.cpu()


def sum_float64(parts: Tensor) -> Tensor:
    """Return the sum over the first axis in float64, without a float64 copy of all parts."""
    total = parts[0].double()
    for part in parts[1:]:
        total += part
    return total
