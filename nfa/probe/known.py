"""Weights that are known again: the same matrix, at another use or under another name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nfa.probe.memory import handle, region


@dataclass(frozen=True)
class Seen:
    """A weight as it was when it was first used.

    Args:
        weight: W, k x d, kept alive so that its memory is not given out again.
        version: How often its memory had been written to; None for a parameter.
        values: A copy, where the memory had been written to and may be written to again.
    """

    weight: Tensor
    version: int | None
    values: Tensor | None

    @staticmethod
    def of(weight: Tensor, parameter: bool) -> "Seen":
        """Return a weight, which may be a parameter, as it is now."""
        version = None if parameter else weight._version
        return Seen(weight, version, weight.clone() if version else None)

    def is_(self, weight: Tensor) -> bool:
        """Return whether a weight is this one, as it was."""
        if self.values is None and handle(weight) is not None and handle(weight) == handle(self.weight):
            return region(weight) == region(self.weight) and self.version in (None, weight._version)
        W = self.weight if self.values is None else self.values
        return W.shape == weight.shape and W.dtype == weight.dtype and torch.equal(W, weight)


class Known:
    """The matrices made of the same parameters; one is found without a look at all others."""

    def __init__(self) -> None:
        self.count = 0
        self._alike: dict[Any, list[tuple[str, Seen]]] = {}  # by region, and by the first entries

    def add(self, name: str, seen: Seen) -> None:
        """Take in a matrix under its name."""
        self.count += 1
        W = seen.weight if seen.values is None else seen.values
        for key in (region(seen.weight), start_of(W)):
            self._alike.setdefault(key, []).append((name, seen))

    def find(self, weight: Tensor) -> str | None:
        """Return the name of a matrix, None where it is none of these."""
        for key in (region, start_of):
            for name, seen in self._alike.get(key(weight), ()):
                if seen.is_(weight):
                    return name
        return None


def start_of(W: Tensor) -> tuple[Any, ...]:
    """Return what equal matrices have in common, and few others."""
    return (W.dtype, *W.shape, *W[:1].flatten()[:16].tolist())


def tied_to(weights: Mapping[str, Tensor]) -> dict[str, tuple[str, ...]]:
    """Return for each weight W (k x d) of layers in forward order, by name, the later ones that have the same W or W'.

    By values: files may hold a tied weight twice, or two that are equal once.

    >>> tied_to({"embedding": torch.tensor([[1.0, 2.0]]), "head": torch.tensor([[1.0], [2.0]])})
    {'embedding': ('head',), 'head': ()}
    """
    names, matrices = list(weights), list(weights.values())
    starts = [(start_of(W), start_of(W.T)) for W in matrices]

    def same(one: int, other: int) -> bool:
        V, (start, _) = matrices[one], starts[one]
        if not bool(V.any()):  # weights of 0, as some begin, are the same by chance
            return False
        alike = zip((matrices[other], matrices[other].T), starts[other], strict=True)
        return any(start == beginning and V.device == W.device and torch.equal(V, W) for W, beginning in alike)

    return {name: tuple(names[j] for j in range(i + 1, len(names)) if same(i, j)) for i, name in enumerate(names)}
