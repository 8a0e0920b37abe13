"""A node and a graph, as the interpreter knows them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import torch

from nfa.common.errors import InputError, Place
from nfa.common.shown import shown
from nfa.formats.graph.budget import GraphBudget

REASON = 300
"""A message repeats at most this many characters of another library's error."""


class Node(Protocol):
    """One operation: a function of values with names, whose results get names."""

    @property
    def inputs(self) -> Sequence[str]:
        """Names of the values it reads, "" for one left out."""

    @property
    def outputs(self) -> Sequence[str | None]:
        """Names of its results; None or "" for one that nothing reads."""


@dataclass(frozen=True)
class RunContext:
    """What is known only once there are rows.

    Args:
        rows: How many.
        device: Where they are.
        budget: What running them may take; None once the network is trusted.
    """

    rows: int
    device: torch.device
    budget: GraphBudget | None = None


N = TypeVar("N", bound=Node)

Run = Callable[[N, Mapping[str, Any], RunContext], Sequence[Any]]
"""Computes the results of a node from all values by name."""


@dataclass(frozen=True)
class Graph(Generic[N]):
    """A graph from rows to one output.

    Args:
        where: What messages begin with.
        rows: The name of the value that the rows are.
        shape: Of one row, None for a size that may vary.
        dtype: Of the rows.
        nodes: In order: each reads what comes before it.
        output: The name of the value that is the answer.
    """

    where: Place
    rows: str
    shape: tuple[int | None, ...]
    dtype: torch.dtype
    nodes: tuple[N, ...]
    output: str


class NodeError(InputError):
    """A node cannot be run.

    Args:
        where: The file.
        reason: The node, and what is wrong with it.
    """

    def __init__(self, where: Place, reason: str) -> None:
        super().__init__(*where.because(reason).args)
        self.reason = reason


def evaluate(run: Run[N], node: N, values: Mapping[str, Any], batch: RunContext, where: Place) -> Sequence[Any]:
    """Return the results of a node.

    Args:
        run: How nodes of its kind are run.
        node: The node.
        values: By name, those that it reads among them.
        batch: What is known of the rows.
        where: What messages begin with.

    Raises:
        NodeError: it cannot be run on these values, or asks for more than the budget.
    """
    try:
        return run(node, values, batch)
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except (
        Exception
    ) as error:  # torch raises a dozen kinds where sizes and numbers do not fit; the first line says most
        reason = shown(str(error).partition("\n")[0] or type(error).__name__, REASON)
        raise NodeError(where, f"{node}: {reason}") from error
