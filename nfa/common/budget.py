"""The memory that a file may take, checked against the sizes that it states before any of it is allocated."""

import os
from dataclasses import dataclass

from nfa.common.checks import number
from nfa.common.errors import Place

GIB = 1 << 30
"""Bytes in a GiB."""
EXPANSION = 64
"""A file may take this many times its own size: real data are seldom packed tighter."""
LEAST_BYTES = GIB // 4
"""Bytes that a file may always take, however small it is."""


@dataclass(frozen=True)
class Budget:
    """The memory that the contents of a file may take.

    Args:
        most: Bytes.
        remedy: How to allow more, in words.

    >>> Budget(1 << 20).hold(Place("data", "rows.npz"), 3 << 30)
    Traceback (most recent call last):
    ...
    nfa.common.errors.InputError: data: rows.npz takes 3 GiB in memory, more than the budget of 0.000977 GiB
    """

    most: int
    remedy: str = ""

    @classmethod
    def of_file(cls, size: int, max_memory: float | None = None, remedy: str = "") -> "Budget":
        """Return the budget of a file of `size` bytes.

        Without `max_memory` (GiB) it is 64 times the size, at least a quarter GiB, at most half of the machine's
        memory.

        Raises:
            InputError: `max_memory` is no number above 0.

        >>> Budget.of_file(1000, max_memory=2).most == 2 * GIB
        True
        """
        if max_memory is not None:
            return cls(int(number("max_memory", max_memory, above_zero=True) * GIB), remedy)
        most = max(LEAST_BYTES, EXPANSION * size)
        if hasattr(os, "sysconf"):  # Windows does not say
            most = min(most, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
        return cls(most, remedy)

    def hold(self, place: Place, needed: int) -> None:
        """Check the bytes that a part of a file needs against the budget.

        Raises:
            InputError: it needs more.
        """
        if needed > self.most:
            more = f"; {self.remedy}" if self.remedy else ""
            got, most = needed / GIB, self.most / GIB
            raise place.error(f"takes {got:.3g} GiB in memory, more than the budget of {most:.3g} GiB{more}")
