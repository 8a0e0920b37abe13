"""Read matrix products, however they are written: which operand may be rows, which a weight, and on which axes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nfa.probe.maps import LinearMap, Reader, exchanged


@dataclass(frozen=True)
class Product(LinearMap):
    """A matrix product as z = W h.

    Args:
        rows: The tensor whose slices are h.
        weight: The two-dimensional tensor that is W, or W'.
        transposed: Whether it is W' (d x k).
        h_axis: The axis of `rows` along which the d entries of an h lie.
        z_axis: The axis of the result along which the k entries of a z lie.
        scale: What W is multiplied by.
    """

    transposed: bool
    h_axis: int = -1
    z_axis: int = -1
    scale: float = 1.0

    @property
    def width(self) -> int:
        """Entries of a row."""
        return int(self.rows.shape[self.h_axis])

    def matrix(self) -> Tensor:
        """Return W, k x d, detached."""
        weight = self.weight.detach()
        if self.scale != 1:
            weight = weight * self.scale
        return weight.T if self.transposed else weight

    def with_weight(self, name: str, W: Tensor, arguments: Any) -> Any:
        """Return the arguments with another W (k x d) in the weight's place."""
        W = W.to(self.weight.device, self.weight.dtype)
        if self.scale != 1:
            W = W / self.scale
        return exchanged(arguments, self.weight, W.T if self.transposed else W)

    def h(self) -> Tensor:
        """Return the rows with their d entries last."""
        return self.rows.detach().movedim(self.h_axis, -1)

    @property
    def to_delta(self) -> Callable[[Tensor], Tensor]:
        """Delta is the gradient with its k entries last."""
        return partial(torch.movedim, source=self.z_axis, destination=-1)


def _linear(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Product]:
    h, W = _pair(args, kwargs, (0, ("input",)), (1, ("weight",)))
    yield from _product(h, W, transposed=False)


def _matmul(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Product]:
    left, right = _pair(args, kwargs, (0, ("input", "self")), (1, ("other", "mat2")))
    yield from _either_side(left, right)


def _addmm(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Product]:
    left, right = _pair(args, kwargs, (1, ("mat1",)), (2, ("mat2",)))
    for found in _either_side(left, right):
        yield replace(found, scale=float(kwargs.get("alpha", 1)))


def _einsum(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Product]:
    """Products of two operands that sum over one axis of a two-dimensional weight and keep all others."""
    equation = args[0]
    operands = args[1] if len(args) == 2 and isinstance(args[1], (list, tuple)) else args[1:]
    if not isinstance(equation, str) or len(operands) != 2:
        return
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if not arrow:  # the letters that occur once, in alphabetical order
        letters = inputs.replace(",", "").replace("...", "")
        output = "..." * ("..." in inputs) + "".join(sorted(x for x in set(letters) if letters.count(x) == 1))
    for row_number, weight_number in ((0, 1), (1, 0)):
        of_rows, of_weight = terms[row_number], terms[weight_number]
        shared = [x for x in of_weight if x in of_rows]
        kept = [x for x in of_weight if x not in of_rows]
        rest = of_rows.replace("...", "").replace(shared[0], "") if len(shared) == 1 else ""
        if len(of_weight) != 2 or len(shared) != 1 or shared[0] in output or kept[0] not in output:
            continue
        if sorted(rest) != sorted(output.replace("...", "").replace(kept[0], "")) or len(set(rest)) != len(rest):
            continue
        for found in _product(operands[row_number], operands[weight_number], of_weight[0] == shared[0]):
            yield Product(found.rows, found.weight, found.transposed, _axis(of_rows, shared[0]), _axis(output, kept[0]))


PRODUCTS: dict[Callable[..., Any], Reader] = {
    F.linear: _linear,
    torch.ops.aten.linear.default: _linear,
    torch.inner: lambda args, kwargs: _linear(args, kwargs | {"weight": kwargs.get("other")}),
    torch.linalg.matmul: _matmul,
    torch.matmul: _matmul,
    torch.mm: _matmul,
    Tensor.matmul: _matmul,
    Tensor.mm: _matmul,
    Tensor.__matmul__: _matmul,
    Tensor.__rmatmul__: lambda args, kwargs: _matmul(args[::-1], kwargs),
    torch.ops.aten.matmul.default: _matmul,
    torch.ops.aten.mm.default: _matmul,
    torch.addmm: _addmm,
    Tensor.addmm: _addmm,
    torch.ops.aten.addmm.default: _addmm,
    torch.einsum: _einsum,
    torch.ops.aten.einsum.default: _einsum,
}
"""By operation.

>>> x, W = torch.ones(3, 2), torch.ones(2, 5)
>>> [found.transposed for found in PRODUCTS[torch.matmul]((x, W), {})]
[True, False]
>>> [(found.h_axis, found.z_axis) for found in PRODUCTS[torch.einsum](("nd,dk->kn", x, W), {})]
[(1, 0), (0, 1)]
"""


def _either_side(left: Any, right: Any) -> Iterator[Product]:
    yield from _product(left, right, transposed=True)
    # With W on the left, the columns of the other operand are the rows.
    for found in _product(right, left, transposed=False):
        yield replace(found, h_axis=-2, z_axis=-2)


def _product(rows: Any, weight: Any, transposed: bool) -> Iterator[Product]:
    if isinstance(rows, Tensor) and isinstance(weight, Tensor) and rows.ndim >= 2 and weight.ndim == 2:
        yield Product(rows, weight, transposed)


def _pair(args: tuple[Any, ...], kwargs: dict[str, Any], *places: tuple[int, tuple[str, ...]]) -> list[Any]:
    """Return two arguments, given by place or by one of their names; None where one is not given."""
    return [
        args[place] if len(args) > place else next((kwargs[name] for name in names if name in kwargs), None)
        for place, names in places
    ]


def _axis(term: str, letter: str) -> int:
    """Return a letter's axis, counted from the end where an ellipsis stands before it."""
    place = term.index(letter)
    if "..." in term and term.index("...") < place:
        return place - len(term)
    return place
