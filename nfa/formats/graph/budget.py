"""The entries and operations that a graph from a file may take, in proportion to its weights."""

import math
from typing import Any, Self

from torch import Tensor

ENTRIES = 1 << 28
"""Entries that all values may have for a few rows, besides those in proportion to the weights: 1 GiB in float32."""

WORK = 1 << 36
"""Operations that a few rows may take, besides those in proportion to the weights: a few seconds. An operation is
an entry read or made, or a multiply-add."""

ENTRIES_EACH = 16
"""Further entries for each entry of the weights."""

WORK_EACH = 1 << 17
"""Further operations for each entry of the weights, which may be applied at many places of a picture."""

LONGEST_SIZE = 1 << 62
"""The largest size: torch keeps sizes in 64 bits."""


class BudgetError(ValueError):
    """A graph asks for more than its budget; the message names the budget."""


class GraphBudget:
    """A budget that only a hostile or damaged file exceeds.

    Args:
        entries: That all values may have together.
        work: Operations that all nodes may take together.
        purpose: What the budget is for, as messages call it.

    >>> GraphBudget(10, 10, "a network of its size").hold(11)
    Traceback (most recent call last):
    ...
    nfa.formats.graph.budget.BudgetError: its values would grow too large: over 10 entries for a network of its size
    """

    def __init__(self, entries: int, work: int, purpose: str) -> None:
        self._all = (entries, work)
        self._entries, self._work = entries, work
        self._purpose = purpose

    @classmethod
    def for_rows(cls, held: int, rows: int) -> Self:
        """Return the budget of rows that a network is tried on.

        Args:
            held: Entries of the weights.
            rows: How many; three or fewer have the same budget.
        """
        entries = ENTRIES * -(-rows // 3) + ENTRIES_EACH * held
        return cls(entries, WORK + WORK_EACH * held, "a network of its size")

    def hold(self, entries: int) -> None:
        """Count entries of a value.

        Raises:
            BudgetError: there are none left.
        """
        self._entries -= entries
        if self._entries < 0:
            raise BudgetError(f"its values would grow too large: over {self._all[0]} entries for {self._purpose}")

    def hold_all(self, value: Any) -> None:
        """Count the entries of a tensor, or of all in a list or tuple.

        Raises:
            BudgetError: there are none left, or a size has more than 62 bits.
        """
        if isinstance(value, Tensor):
            self.hold(value.numel())
        elif isinstance(value, (list, tuple)):
            for item in value:
                self.hold_all(item)
        elif isinstance(value, (int, float)) and math.isfinite(value) and abs(value) > LONGEST_SIZE:
            raise BudgetError("a size of more than 62 bits")

    def spend(self, work: int) -> None:
        """Count operations.

        Raises:
            BudgetError: there are none left.
        """
        self._work -= work
        if self._work < 0:
            raise BudgetError(f"it takes too long for {self._purpose}: over {self._all[1]} operations")
