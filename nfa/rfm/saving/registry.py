"""The estimators that can be kept in files, each with the functions to a header and tensors, and back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from nfa.rfm.saving.header import Header

Tensors = dict[str, Tensor]
T = TypeVar("T", bound=type)


class Restore(Protocol):
    """Makes an estimator of a file's header and tensors."""

    def __call__(self, kind: Any, header: Header, tensors: Tensors, place: torch.device, device: Any) -> Any:
        """Return the fitted estimator.

        Args:
            kind: Its class.
            header: As `Entry.parts` made it.
            tensors: As `Entry.parts` made them.
            place: The device to compute on.
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
        parts: Makes the header and the tensors of a fitted estimator.
        restore: Makes the estimator of a header and tensors.
    """

    kind: type
    parts: Callable[[Any], tuple[Header, Tensors]]
    restore: Restore


ENTRIES: dict[str, Entry] = {}
"""By the class's name."""


def kept_in_files(parts: Callable[[Any], tuple[Header, Tensors]], restore: Restore) -> Callable[[T], T]:
    """Return a decorator that registers a class of estimators in `ENTRIES`; subclasses are not registered."""

    def enter(kind: T) -> T:
        ENTRIES[kind.__name__] = Entry(kind, parts, restore)
        return kind

    return enter
