"""Read a look-up in a table as a linear map: the row is one-hot, and W (k x V) has a column for each entry."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nfa.probe.maps import LinearMap, Reader


@dataclass(frozen=True)
class Lookup(LinearMap):
    """An embedding as z = W h with h one-hot.

    Args:
        rows: The entries that are looked up, whole numbers.
        weight: The table, V x k.
        padding: The entry that training leaves as it is; None for none.
    """

    padding: int | None = None

    @property
    def of_data(self) -> bool:
        """Whether rows must come from data: a look-up of entries that are the same for every sample is a constant."""
        return True

    @property
    def one_hot(self) -> bool:
        """A row has a 1 at the entry that is looked up."""
        return True

    @property
    def width(self) -> int:
        """Entries of the table."""
        return len(self.weight)

    def matrix(self) -> Tensor:
        """Return W, k x V."""
        return self.weight.detach().T

    def patched(self, name: str, W: Tensor, weight: Tensor) -> Tensor:
        """Return another table."""
        return W.T.to(weight.device, weight.dtype)

    def h(self) -> Tensor:
        """Return the rows, one-hot."""
        return F.one_hot(self._entries(), self.width).to(self.weight.dtype)

    def outer(self, delta: Tensor) -> Tensor:
        """Return the sum over rows of delta'h, without the rows; 0 at padding, as torch has the table's gradient."""
        flat = delta.reshape(-1, delta.shape[-1])
        total = flat.new_zeros(flat.shape[1], self.width).index_add_(1, self._entries().flatten(), flat.T)
        if self.padding is not None:
            total[:, self.padding] = 0
        return total

    @property
    def to_delta(self) -> Callable[[Tensor], Tensor]:
        """Delta has its k entries last already."""
        return _same

    def _entries(self) -> Tensor:
        entries = self.rows.detach().long()
        return torch.where(entries < 0, entries + self.width, entries)


def _same(delta: Tensor) -> Tensor:
    return delta


def _embedding(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Lookup]:
    given = {**dict(zip(("input", "weight", "padding_idx", "max_norm"), args, strict=False)), **kwargs}
    if given.get("max_norm") is None:  # it would rescale the table
        yield from _lookup(given.get("input"), given.get("weight"), given.get("padding_idx"))


def _table_first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Lookup]:
    """The operators' own order of arguments."""
    given = {**dict(zip(("weight", "indices", "padding_idx"), args, strict=False)), **kwargs}
    padding = given.get("padding_idx", -1)
    yield from _lookup(given.get("indices"), given.get("weight"), None if padding < 0 else padding)


def _index_select(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Lookup]:
    given = {**dict(zip(("input", "dim", "index"), args, strict=False)), **kwargs}
    if given.get("dim") == 0:
        yield from _lookup(given.get("index"), given.get("input"))


def _getitem(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Lookup]:
    index = args[1][0] if isinstance(args[1], tuple) and len(args[1]) == 1 else args[1]
    yield from _lookup(index, args[0])


def _lookup(entries: Any, table: Any, padding: int | None = None) -> Iterator[Lookup]:
    if not isinstance(entries, Tensor) or not isinstance(table, Tensor):
        return
    whole = not entries.is_floating_point() and entries.dtype != torch.bool
    if whole and entries.ndim > 0 and table.ndim == 2 and table.is_floating_point():
        yield Lookup(entries, table, padding)


_aten = torch.ops.aten
EMBEDDINGS: dict[Callable[..., Any], Reader] = {
    F.embedding: _embedding,
    **dict.fromkeys((torch.embedding, _aten.embedding.default), _table_first),
    **dict.fromkeys((torch.index_select, Tensor.index_select, _aten.index_select.default), _index_select),
    Tensor.__getitem__: _getitem,
}
"""By operation."""
