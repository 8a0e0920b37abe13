"""The estimators that can be kept in files: how each becomes a header and tensors, and how it comes back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from nfa.rfm.saving.header import Header

Tensors = dict[str, Tensor]
T = TypeVar("T", bound=type)


class Restore(Protocol):
    """Makes an estimator of what a file says."""

    def __call__(self, kind: Any, header: Header, tensors: Tensors, place: torch.device, device: Any) -> Any:
        """Return the fitted estimator.

        Args:
            kind: Its class.
            header: What `Entry.parts` gave.
            tensors: What `Entry.parts` gave.
            place: Where to compute.
            device: The estimator's parameter of that name.

        Raises:
            HeaderError: something does not fit.
        """
        ...


@dataclass(frozen=True)
class Entry:
    """A class of estimators that can be kept in files.

    Args:
        kind: The class.
        parts: Makes of a fitted estimator what goes into the header, and the tensors.
        restore: Makes the estimator of these.
    """

    kind: type
    parts: Callable[[Any], tuple[Header, Tensors]]
    restore: Restore


ENTRIES: dict[str, Entry] = {}
"""By the class's name."""


def kept_in_files(parts: Callable[[Any], tuple[Header, Tensors]], restore: Restore) -> Callable[[T], T]:
    """Return a decorator that enters a class of estimators into `ENTRIES`; its subclasses are not entered."""

    def enter(kind: T) -> T:
        ENTRIES[kind.__name__] = Entry(kind, parts, restore)
        return kind

    return enter
