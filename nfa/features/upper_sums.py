"""Sums of symmetric matrices, kept as the blocks on and above the diagonal."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nfa.common.processes import Processes
from nfa.features.factored import sum_of_products

BLOCK = 128
"""The least side of a block; the upper triangle of delta'delta is computed in blocks."""

BLOCKS_PER_SIDE = 8
"""Blocks along a side of a large matrix: (8 + 1) / 16 of the full product's cost."""


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
        self._written = [False] * count
        self._like, self._side = like.new_empty(0), side
        self._made: list[Tensor] = []

    @property
    def _strips(self) -> list[Tensor]:
        """The blocks of all sums, by rows of blocks; made when they are first needed."""
        if not self._made:
            count, k = len(self._written), self.k
            # Not zeroed before a first sum is written, which would cost as much as a layer's rows.
            self._made = [self._like.new_empty(count, min(self._side, k - at), k - at) for at in self._starts]
        return self._made

    def add(self, number: int, rows: Tensor, times: float = 1.0) -> None:
        """Add rows'rows to one of the sums, that many times.

        Args:
            number: Of the sum.
            rows: Shape (m, k), or (samples, m, k).
            times: How often.
        """
        beta = float(self._written[number])
        self._written[number] = True
        for start, strip in zip(self._starts, self._strips, strict=True):
            left, right = rows[..., start : start + strip.shape[1]].mT, rows[..., start:]
            add = strip[number].addmm_ if rows.ndim == 2 else strip[number].addbmm_
            add(left, right, beta=beta, alpha=times)

    def pool(self, processes: Processes) -> None:
        """Add up the sums of all processes."""
        self._zero_unwritten()
        self._made = [processes.sum(strip) for strip in self._strips]

    def inner(self, matrices: Sequence[Tensor], scale: float) -> Tensor:
        """Return scale <P, sum> for each sum and each symmetric P (sums x matrices, float64)."""
        found = torch.zeros(len(self._written), len(matrices), dtype=torch.float64, device="cpu")
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

    def move(self, device: torch.device) -> None:
        """Move to a device."""
        self._made = [strip.to(device) for strip in self._strips]

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


def sum_float64(parts: Tensor) -> Tensor:
    """Return the sum over the first axis in float64, without a float64 copy of all parts."""
    total = parts[0].to(torch.float64, copy=True)
    for part in parts[1:]:
        total += part
    return total
