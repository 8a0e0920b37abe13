"""Which tensors share memory. Addresses do not tell: they are used again once their owner is gone."""

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
    """Return a key that two views of one memory share if they show the same matrix.

    >>> import torch
    >>> x = torch.ones(2, 3)
    >>> region(x.T.T) == region(x), region(x[:1]) == region(x)
    (True, False)
    """
    memory = handle(tensor)
    return None if memory is None else (memory, int(tensor.storage_offset()), tuple(tensor.shape), tensor.stride())


class Memories:
    """A set of memories that keeps none of them alive, and takes no new memory for one that was freed.

    >>> import torch
    >>> x, known = torch.ones(2, 3), Memories()
    >>> known.add(x)
    >>> x.T in known, torch.ones(2, 3) in known
    (True, False)
    """

    def __init__(self) -> None:
        # A weak reference keeps the handle, not the memory.
        self._known: dict[int, StorageWeakRef] = {}

    def add(self, tensor: Tensor) -> None:
        """Take in the memory of a tensor, if it has one."""
        memory = handle(tensor)
        if memory is not None and memory not in self._known:
            self._known[memory] = StorageWeakRef(tensor.untyped_storage())

    def __contains__(self, tensor: Tensor) -> bool:
        return bool(self._known) and handle(tensor) in self._known
