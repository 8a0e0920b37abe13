"""A layer: an operation that applies one linear map, z = W h, to every row h."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nfa.probe.patches import Patches


@dataclass(frozen=True)
class LinearMap(ABC):
    """One way to read an operation as z = W h.

    Args:
        rows: The tensor whose parts are h.
        weight: The tensor that W is made of.
    """

    rows: Tensor
    weight: Tensor

    def maps(self) -> Sequence["LinearMap"]:
        """Return the maps that it is made of, each of which is a layer; a single map is its own."""
        return [self]

    def without_copies(self) -> "LinearMap":
        """Return the map with one matrix in the place of equal ones side by side."""
        return self

    @property
    def count(self) -> int:
        """How many matrices it is made of."""
        return 1

    @property
    def label(self) -> str:
        """The name of this map among several of one weight; empty for the only one."""
        return ""

    @property
    def of_data(self) -> bool:
        """Whether its rows must be known to come from data."""
        return False

    @property
    def groups(self) -> int:
        """Diagonal blocks of W, each of which is a map of its own, with rows of its own."""
        return 1

    @property
    def one_hot(self) -> bool:
        """Whether every row is one-hot, so that its entries are those of a table and no numbers of the data."""
        return False

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape in which the d entries of a row lie in the network."""
        return (self.width,)

    @property
    def patches(self) -> Patches | None:
        """How rows are cut out of one sample's input, as under a convolution's kernel; None where they are not."""
        return None

    @property
    @abstractmethod
    def width(self) -> int:
        """Entries of a row h, as the rows have it."""

    @abstractmethod
    def matrix(self) -> Tensor:
        """Return W, k x d, detached."""

    @abstractmethod
    def patched(self, name: str, W: Tensor, weight: Tensor) -> Tensor:
        """Return a weight with another W (k x d) in the place of this map's own.

        Args:
            name: What messages call the layer.
            W: Shape (k, d).
            weight: Of the shape of `weight`; it is left as it is.

        Raises:
            InputError: the operation cannot apply this W.
        """

    @abstractmethod
    def h(self) -> Tensor:
        """Return the rows, detached, with their d entries last."""

    def outer(self, delta: Tensor) -> Tensor:
        """Return the sum over rows of delta'h (k x d).

        Args:
            delta: Shape (..., k), in the order of the rows; of the dtype of the sum.
        """
        h = self.h().to(delta.dtype)
        total: Tensor = delta.reshape(-1, delta.shape[-1]).T @ h.reshape(-1, h.shape[-1])
        return total

    @property
    @abstractmethod
    def to_delta(self) -> Callable[[Tensor], Tensor]:
        """A function from a gradient with respect to the operation's result to delta, with its k entries last.

        It keeps no tensor alive.
        """


Reader = Callable[[tuple[Any, ...], dict[str, Any]], Iterator[LinearMap]]
"""Yields the ways to read a call with these arguments as a linear map."""


def exchanged(arguments: Any, old: Tensor, new: Tensor) -> Any:
    """Return arguments, however nested, with one tensor in another's place."""
    if arguments is old:
        return new
    if isinstance(arguments, (list, tuple)):
        return type(arguments)(exchanged(each, old, new) for each in arguments)
    if isinstance(arguments, dict):
        return {key: exchanged(each, old, new) for key, each in arguments.items()}
    return arguments
