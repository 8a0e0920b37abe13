"""The choice of solver: the whole kernel matrix if it fits the memory budget, else its blocks."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from nfa.common.budget import GIB
from nfa.common.errors import InputError

SOLVER_MATRICES = 3
"""Matrices of n x n that the dense solver holds at once: the distances, the kernel, its factor."""
BLOCK_ROWS = 256
"""Rows of the kernel matrix, against all others, that predictions and averages of gradients work with at once."""


@dataclass(frozen=True)
class Plan:
    """The plan of a fit to n rows.

    Args:
        n: Rows.
        itemsize: Bytes of a number.
        budget: Bytes.
        dense: Whether the kernel matrix is held whole.
    """

    n: int
    itemsize: int
    budget: int
    dense: bool

    def __str__(self) -> str:
        """Return the plan in words."""
        whole = f"{self.n:,} x {self.n:,}"
        budget = f"a budget of {self.budget / GIB:.3g} GiB"
        if self.dense:
            return f"Cholesky of the {whole} kernel matrix ({SOLVER_MATRICES} such matrices fit {budget})"
        return f"preconditioned conjugate gradients on blocks of the {whole} kernel matrix ({budget})"


def plan(n: int, itemsize: int, memory_budget: float) -> Plan:
    """Return the plan for n rows, from n and the budget alone.

    Args:
        n: Rows.
        itemsize: Bytes of a number.
        memory_budget: In GiB.

    Raises:
        InputError: not even a block of `BLOCK_ROWS` rows fits.

    >>> plan(1000, 4, 4.0).dense, plan(100_000, 4, 4.0).dense
    (True, False)
    """
    if not memory_budget > 0:
        raise InputError("memory_budget", f"got {memory_budget}, expected GiB above 0")
    budget = int(memory_budget * GIB)
    if SOLVER_MATRICES * n * n * itemsize <= budget:
        return Plan(n, itemsize, budget, dense=True)
    least = SOLVER_MATRICES * min(BLOCK_ROWS, n) * n * itemsize
    if least > budget:
        raise InputError(
            "memory_budget",
            f"{memory_budget:.3g} GiB is less than the smallest block of a kernel matrix of {n:,} rows "
            f"takes; expected at least {_rounded_up(least / GIB)}",
        )
    return Plan(n, itemsize, budget, dense=False)


def _rounded_up(value: float) -> str:
    """Return a number above 0 to two digits, never less than it is.

    >>> _rounded_up(0.1431), _rounded_up(0.14), _rounded_up(99.2)
    ('0.15', '0.14', '1e+02')
    """
    digit = Decimal(1).scaleb(Decimal(value).adjusted() - 1)
    return f"{float(Decimal(repr(value)).quantize(digit, ROUND_CEILING)):.2g}"
