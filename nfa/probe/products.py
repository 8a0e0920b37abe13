"""Read matrix products, but for `einsum`: which operand may be rows, which a weight, and on which axes."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product as index_products
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nfa.probe.maps import LinearMap, Reader


@dataclass(frozen=True)
class Stack:
    """An axis along which a weight holds matrices side by side, each of which is a map of its own.

    Args:
        weight: The axis of the weight.
        rows: The axis of the rows; None where all matrices have the same rows.
        z: The axis of the result.
    """

    weight: int
    rows: int | None
    z: int


@dataclass(frozen=True)
class RowAxis:
    """An axis of the result along which rows lie.

    Args:
        z: The axis of the result.
        rows: The axis of the rows; None where they are the same all along it.
        size: Entries of the result along it.
    """

    z: int
    rows: int | None
    size: int


@dataclass(frozen=True)
class Product(LinearMap):
    """A product as z = W h, where W and h may lie in several axes of their tensors.

    Args:
        rows: The tensor whose slices are h.
        weight: The tensor that holds W, or several of them side by side.
        d: The axes of the weight along which the d entries of W's rows lie.
        k: The axes along which the k entries of its columns lie.
        h: The axes of `rows` along which the d entries of an h lie.
        z: The axes of the result along which the k entries of a z lie.
        stacks: Axes along which maps lie side by side.
        index: Which of these maps it is, by axis; empty for all of them together.
        scale: What W is multiplied by.
        third: Which third of the result's entries it is, of queries, keys and values in one product.
        row_axes: The axes of the result beside those of `z`, in order; None where the rows have the same in this order.
    """

    d: tuple[int, ...]
    k: tuple[int, ...]
    h_axes: tuple[int, ...] = (-1,)
    z_axes: tuple[int, ...] = (-1,)
    stacks: tuple[Stack, ...] = ()
    index: tuple[int, ...] = ()
    scale: float = 1.0
    third: int | None = None
    row_axes: tuple[RowAxis, ...] | None = None

    def in_thirds(self) -> list[LinearMap]:
        """Return the maps to queries, keys and values, where the k entries are these one after the other."""
        return [replace(self, third=third) for third in range(3)]

    def without_copies(self) -> "Product":
        """Return the product with one matrix in the place of several equal ones side by side."""
        apart = tuple(each for each in self.stacks if not _is_constant(self.weight, each.weight))
        return self if len(apart) == len(self.stacks) else replace(self, stacks=apart)

    @property
    def count(self) -> int:
        """How many matrices lie side by side."""
        return math.prod(self.weight.shape[each.weight] for each in self.stacks)

    def maps(self) -> list[LinearMap]:
        """Return the maps of the matrices that lie side by side."""
        if not self.stacks:
            return [self]
        sizes = [range(self.weight.shape[each.weight]) for each in self.stacks]
        return [replace(self, index=index) for index in index_products(*sizes)]

    @property
    def label(self) -> str:
        """Which of several matrices it is, counted from 0; "q", "k" or "v"."""
        return ".".join(map(str, self.index)) if self.third is None else "qkv"[self.third]

    @property
    def width(self) -> int:
        """Entries of a row."""
        return math.prod(self.rows.shape[axis] for axis in self.h_axes)

    def matrix(self) -> Tensor:
        """Return W, k x d, detached."""
        weight = self.weight.detach()
        if self.scale != 1:
            weight = weight * self.scale
        W = self._own(weight)
        return W if self.third is None else W.chunk(3)[self.third]

    def patched(self, name: str, W: Tensor, weight: Tensor) -> Tensor:
        """Return a weight with another W (k x d) in the place of this map's own."""
        new = weight.detach()
        for axis in self._copied(new.ndim):
            new = new.narrow(axis, 0, 1)
        new = new.clone()
        W = W.to(new.device, new.dtype)
        own, axes = self._own_axes(new)
        if self.third is not None:
            own = own.chunk(3)[self.third]
        own.copy_((W / self.scale if self.scale != 1 else W).reshape([own.shape[axis] for axis in range(axes)]))
        return new.expand(weight.shape)

    def h(self) -> Tensor:
        """Return the rows with their d entries last, in the order of the result's."""
        rows = self.rows.detach()
        picked = {
            each.rows: min(number, rows.shape[each.rows] - 1)
            for each, number in zip(self.stacks, self.index, strict=False)
            if each.rows is not None
        }
        if self.row_axes is None:
            return _arranged(rows, self.h_axes, picked)
        stacked = {each.z for each in self.stacks}
        axes = [each for each in self.row_axes if each.z not in stacked]
        h = _arranged(rows, self.h_axes, picked, order=[each.rows for each in axes if each.rows is not None])
        h = h[tuple(None if each.rows is None else slice(None) for each in axes)]
        return h.expand(*(each.size for each in axes), -1)

    @property
    def to_delta(self) -> Callable[[Tensor], Tensor]:
        """Delta is the gradient with its k entries last."""
        picked = {each.z: number for each, number in zip(self.stacks, self.index, strict=False)}
        return partial(_arranged, last=self.z_axes, picked=picked, third=self.third)

    def _own(self, weight: Tensor) -> Tensor:
        own, _ = self._own_axes(weight)
        if len(self.k) > 1:
            own = own.flatten(0, len(self.k) - 1)
        return own.flatten(1) if len(self.d) > 1 else own

    def _own_axes(self, weight: Tensor) -> tuple[Tensor, int]:
        """Return this map's part of a weight as a view, with its k axes before its d axes, and the number of each."""
        n = weight.ndim
        kept = [axis % n for axis in (*self.k, *self.d)]
        stacked, rest = [each.weight % n for each in self.stacks], self._copied(n)
        own = weight.permute(*stacked, *rest, *kept)
        return own[(*self.index, *[0] * (len(stacked) - len(self.index) + len(rest)))], len(kept)

    def _copied(self, n: int) -> list[int]:
        """Return the axes of a weight with n axes along which it is the same matrix again and again."""
        own = {axis % n for axis in (*self.k, *self.d, *(each.weight for each in self.stacks))}
        return [axis for axis in range(n) if axis not in own]


def _arranged(
    x: Tensor,
    last: tuple[int, ...],
    picked: dict[int, int],
    third: int | None = None,
    order: Sequence[int] | None = None,
) -> Tensor:
    """Return x at an index of some axes, with others moved to the end and made one, or a third of it.

    The axes that are left keep their order, unless another is given.

    >>> _arranged(torch.arange(8).reshape(2, 2, 2), (0,), {1: 1}).tolist()
    [[2, 6], [3, 7]]
    """
    n = x.ndim
    index = {axis % n: number for axis, number in picked.items()}
    ends = [axis % n for axis in last]
    left = [axis for axis in range(n) if axis not in index and axis not in ends]
    order = left if order is None else [axis % n for axis in order]
    x = x.permute(*index, *order, *ends)[tuple(index.values())]
    x = x.flatten(len(order)) if len(ends) > 1 else x
    return x if third is None else x.chunk(3, -1)[third]


def _linear(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Product]:
    h, W = _pair(args, kwargs, (0, ("input",)), (1, ("weight",)))
    if _are_rows(h) and isinstance(W, Tensor) and W.ndim == 2:
        yield Product(h, W, d=(1,), k=(0,))


def _matmul(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Product]:
    left, right = _pair(args, kwargs, (0, ("input", "self")), (1, ("other", "mat2")))
    yield from _either_side(left, right)


def _addmm(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Product]:
    left, right = _pair(args, kwargs, (1, ("mat1", "batch1")), (2, ("mat2", "batch2")))
    for found in _either_side(left, right):
        yield replace(found, scale=float(kwargs.get("alpha", 1)))


def _tensordot(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Product]:
    left, right, dims = _pair(args, kwargs, (0, ("a", "self")), (1, ("b", "other")), (2, ("dims",)))
    if not isinstance(left, Tensor) or not isinstance(right, Tensor) or isinstance(dims, Tensor):
        return
    count = 2 if dims is None else dims
    if isinstance(count, int):
        dims = (range(left.ndim - count, left.ndim), range(count))
    ours, theirs = ([axis % x.ndim for axis in axes] for x, axes in zip((left, right), dims, strict=True))
    free = [[a for a in range(x.ndim) if a not in axes] for x, axes in ((left, ours), (right, theirs))]
    first, second = range(len(free[0])), range(len(free[0]), len(free[0]) + len(free[1]))
    for rows, weight, h, d, k, z in (
        (left, right, ours, theirs, free[1], second),
        (right, left, theirs, ours, free[0], first),
    ):
        if k and d and len(h) < rows.ndim:
            yield Product(rows, weight, tuple(d), tuple(k), tuple(h), tuple(z))


PRODUCTS: dict[Callable[..., Any], Reader] = {
    F.linear: _linear,
    torch.ops.aten.linear.default: _linear,
    torch.inner: lambda args, kwargs: _linear(args, kwargs | {"weight": kwargs.get("other")}),
    torch.linalg.matmul: _matmul,
    torch.matmul: _matmul,
    torch.mm: _matmul,
    torch.bmm: _matmul,
    Tensor.matmul: _matmul,
    Tensor.mm: _matmul,
    Tensor.bmm: _matmul,
    Tensor.__matmul__: _matmul,
    Tensor.__rmatmul__: lambda args, kwargs: _matmul(args[::-1], kwargs),
    torch.ops.aten.matmul.default: _matmul,
    torch.ops.aten.mm.default: _matmul,
    torch.ops.aten.bmm.default: _matmul,
    torch.addmm: _addmm,
    torch.baddbmm: _addmm,
    Tensor.addmm: _addmm,
    Tensor.baddbmm: _addmm,
    torch.ops.aten.addmm.default: _addmm,
    torch.ops.aten.baddbmm.default: _addmm,
    torch.tensordot: _tensordot,
}
"""By operation.

>>> x, W = torch.ones(3, 2), torch.ones(2, 5)
>>> [found.matrix().shape for found in PRODUCTS[torch.matmul]((x, W), {})]
[torch.Size([5, 2]), torch.Size([3, 2])]
"""


def _either_side(left: Any, right: Any) -> Iterator[Product]:
    if not _are_rows(left) or not _are_rows(right):
        return
    yield from _batched(Product(left, right, d=(-2,), k=(-1,)))
    # With W on the left, the columns of the other operand are the rows.
    yield from _batched(Product(right, left, d=(-1,), k=(-2,), h_axes=(-2,), z_axes=(-2,)))


def _batched(found: Product) -> Iterator[Product]:
    """Yield a product whose weight may hold matrices side by side, in all axes but its last two."""
    places = range(-found.weight.ndim, -2)
    n = max(found.rows.ndim, found.weight.ndim)
    of_rows, of_weight = ((1,) * (n - x.ndim) + x.shape for x in (found.rows, found.weight))
    row_axes = tuple(
        RowAxis(
            axis, axis if found.rows.ndim >= -axis else None, max(of_rows[axis], of_weight[axis] if axis < -2 else 0)
        )
        for axis in range(-n, 0)
        if axis not in found.z_axes
    )
    found = replace(found, row_axes=row_axes)
    yield with_stacks(
        found, tuple(Stack(place, place if found.rows.ndim >= -place else None, place) for place in places)
    )


def with_stacks(found: Product, stacks: tuple[Stack, ...]) -> Product:
    """Return a product with those axes along which its weight holds several matrices, not one that `expand` repeats."""
    weight = found.weight
    several = tuple(each for each in stacks if weight.shape[each.weight] > 1 and weight.stride(each.weight) != 0)
    return replace(found, stacks=several)


def _is_constant(weight: Tensor, axis: int) -> bool:
    """Return whether a weight has the same entries all along an axis."""
    return bool((weight == weight.narrow(axis, 0, 1)).all())


def _are_rows(x: Any) -> bool:
    return isinstance(x, Tensor) and x.ndim >= 2


def _pair(args: tuple[Any, ...], kwargs: dict[str, Any], *places: tuple[int, tuple[str, ...]]) -> list[Any]:
    """Return arguments, given by place or by one of their names; None where one is not given."""
    return [
        args[place] if len(args) > place else next((kwargs[name] for name in names if name in kwargs), None)
        for place, names in places
    ]
