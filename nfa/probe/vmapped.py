"""Read what runs inside `torch.vmap`: tensors there hide an axis, along which weights may be matrices side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch._C._functorch import (
    _add_batch_dim,
    get_unwrapped,
    is_batchedtensor,
    maybe_get_bdim,
    maybe_get_level,
)

from nfa.probe.maps import LinearMap


def is_hidden(tensor: Tensor) -> bool:
    """Return whether a tensor hides one axis; those of a `vmap` within another are not read."""
    return is_batchedtensor(tensor) and not is_batchedtensor(get_unwrapped(tensor))


def bare(tensor: Tensor) -> Tensor:
    """Return the tensor with all of its axes."""
    return get_unwrapped(tensor) if is_hidden(tensor) else tensor


def wrapped_like(tensor: Tensor, other: Tensor) -> Tensor:
    """Return a tensor with the axis hidden that another one hides."""
    if not is_hidden(other):
        return tensor
    found: Tensor = _add_batch_dim(tensor, maybe_get_bdim(other), maybe_get_level(other))
    return found


def slices(product: LinearMap) -> Sequence[LinearMap] | None:
    """Return the map of each matrix that a weight holds along its hidden axis; None where it hides none."""
    if not is_hidden(product.weight):
        return None
    W, axis = bare(product.weight), maybe_get_bdim(product.weight)
    hides = is_hidden(product.rows)
    rows, rows_axis = bare(product.rows), maybe_get_bdim(product.rows) if hides else None
    return [
        Slice(rows, W, replace(product, rows=_at(rows, rows_axis, i), weight=W.select(axis, i)), i, axis, rows_axis)
        for i in range(W.shape[axis])
    ]


@dataclass(frozen=True)
class Slice(LinearMap):
    """The map of one matrix of a weight, in a `vmap` over several.

    Args:
        rows: The rows of all of them.
        weight: All of them.
        inner: The map as the mapped function applies it.
        number: Which it is.
        axis: Of the weight, along which they lie.
        rows_axis: Of the rows; None where all have the same rows.
    """

    inner: LinearMap
    number: int
    axis: int
    rows_axis: int | None

    @property
    def label(self) -> str:
        """Its number, and what else tells it from others."""
        return f"{self.number}.{self.inner.label}" if self.inner.label else str(self.number)

    @property
    def groups(self) -> int:
        """Those of the map."""
        return self.inner.groups

    @property
    def one_hot(self) -> bool:
        """Whether the map is a look-up."""
        return self.inner.one_hot

    @property
    def row_shape(self) -> tuple[int, ...]:
        """That of the map."""
        return self.inner.row_shape

    @property
    def width(self) -> int:
        """Entries of a row."""
        return self.inner.width

    def matrix(self) -> Tensor:
        """Return W."""
        return self.inner.matrix()

    def patched(self, name: str, W: Tensor, weight: Tensor) -> Tensor:
        """Return all of the matrices with this one as given."""
        new = weight.detach().clone()
        own = new.select(self.axis, self.number)
        own.copy_(self.inner.patched(name, W, own))
        return new

    def h(self) -> Tensor:
        """Return the rows of this one."""
        return replace(self.inner, rows=_at(self.rows, self.rows_axis, self.number)).h()

    @property
    def to_delta(self) -> Callable[[Tensor], Tensor]:
        """Delta is this one's part of the gradient, whose hidden axis is the first."""
        return partial(_delta, inner=self.inner.to_delta, number=self.number)


def with_axis_first(z: Tensor) -> Tensor:
    """Return a result that hides an axis with all of its axes, the hidden one first."""
    return bare(z).movedim(maybe_get_bdim(z), 0)


def wrapped_first(z: Tensor, other: Tensor) -> Tensor:
    """Return a tensor with its first axis hidden, at the level of another one."""
    found: Tensor = _add_batch_dim(z, 0, maybe_get_level(other))
    return found


def _delta(gradient: Tensor, inner: Callable[[Tensor], Tensor], number: int) -> Tensor:
    return inner(gradient[number])


def _at(x: Tensor, axis: int | None, number: int) -> Tensor:
    return x if axis is None else torch.select(x, axis, number)
