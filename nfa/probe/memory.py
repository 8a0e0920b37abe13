"""Which tensors share memory. Addresses do not tell: they are used again once their owner is gone."""

from typing import Generic, TypeVar

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

Region = tuple[int, int, tuple[int, ...], tuple[int, ...]]
"""A memory's handle, and which of its entries a tensor shows, in what order."""


def handle(tensor: Tensor) -> int | None:
    """Return the handle of a tensor's memory; None for one without memory of its own (sparse, or inside torch.func).

    As long as this memory or a weak reference to it exists, no other memory has the same handle.
    """
    try:
        return int(tensor.untyped_storage()._cdata)
    except (RuntimeError, NotImplementedError):
        return None


def region(tensor: Tensor) -> Region | None:
    """Return a key that two views of one memory share if they show the same matrix; None where there is none.

    There is none for a stand-in whose sizes are names, such as an exported program checks its inputs with.

    >>> import torch
    >>> x = torch.ones(2, 3)
    >>> region(x.T.T) == region(x), region(x[:1]) == region(x)
    (True, False)
    """
    memory = handle(tensor)
    if memory is None or not all(type(size) is int for size in tensor.shape):
        return None
    return memory, int(tensor.storage_offset()), tuple(tensor.shape), tensor.stride()


T = TypeVar("T")


class Memories(Generic[T]):
    """Something that is known of memories. It keeps none of them alive, and takes no new memory for one that was freed.

    >>> import torch
    >>> x, known = torch.ones(2, 3), Memories[str]()
    >>> known.add(x, "rows")
    >>> x.T in known, torch.ones(2, 3) in known, known.get(x.T)
    (True, False, 'rows')
    """

    def __init__(self) -> None:
        # A weak reference keeps the handle, not the memory.
        self._known: dict[int, tuple[StorageWeakRef, T]] = {}

    def add(self, tensor: Tensor, known: T) -> None:
        """Take in what is known of the memory of a tensor, if it has one and nothing is known yet."""
        memory = handle(tensor)
        if memory is not None and memory not in self._known:
            self._known[memory] = (StorageWeakRef(tensor.untyped_storage()), known)

    def get(self, tensor: Tensor) -> T | None:
        """Return what is known of the memory of a tensor, None if nothing."""
        memory = handle(tensor) if self._known else None
        return None if memory is None or memory not in self._known else self._known[memory][1]

    def drop_freed(self) -> None:
        """Forget memories that nobody has any more."""
        self._known = {memory: known for memory, known in self._known.items() if not known[0].expired()}

    def __contains__(self, tensor: Tensor) -> bool:
        return bool(self._known) and handle(tensor) in self._known
