"""Read an `einsum` as a matrix product: which operand may be rows, which a weight, and in which order the rows come."""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from nfa.probe.maps import Reader
from nfa.probe.products import Product, RowAxis, Stack, with_stacks


def _einsum(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Product]:
    """Products of two operands that sum over axes of both, and keep all others."""
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
        rows, weight = operands[row_number], operands[weight_number]
        term, of_weight = terms[row_number], terms[weight_number]
        bare = term.replace("...", "")
        if "." in of_weight or any(len(set(each)) < len(each) for each in (bare, of_weight)):
            continue
        if "..." in term and "..." not in output:  # summed over as well
            continue
        spread = rows.ndim - len(bare)
        of_rows, of_z = _letters(term, spread), _letters(output, spread)
        d = [x for x in of_weight if x in of_rows and x not in of_z]
        both = [x for x in of_weight if x in of_rows and x in of_z]
        k = [x for x in of_weight if x not in of_rows and x in of_z]
        # Nothing else is summed over: neither along rows, nor along the weight alone.
        if not d or not k or not set(of_rows) <= {*d, *of_z} or not set(of_weight) <= {*d, *both, *k}:
            continue
        # Axes in front of a matrix that is summed over count matrices.
        while len(k) > 1 and of_weight.index(k[0]) < min(map(of_weight.index, (*d, *k[1:]))):
            both.append(k.pop(0))
        sizes = dict(zip(of_rows, rows.shape, strict=True))
        for x, size in zip(of_weight, weight.shape, strict=True):
            sizes[x] = max(size, sizes.get(x, 1))  # an axis of one entry goes with any number
        found = Product(
            rows,
            weight,
            d=tuple(map(of_weight.index, d)),
            k=tuple(map(of_weight.index, k)),
            h_axes=tuple(map(of_rows.index, d)),
            z_axes=tuple(map(of_z.index, k)),
            row_axes=tuple(
                RowAxis(axis, of_rows.index(x) if x in of_rows else None, sizes[x])
                for axis, x in enumerate(of_z)
                if x not in k
            ),
        )
        yield with_stacks(
            found,
            tuple(Stack(of_weight.index(x), of_rows.index(x) if x in of_rows else None, of_z.index(x)) for x in both),
        )


def _letters(term: str, spread: int) -> list[str]:
    """Return a letter for each axis of an einsum's term, whose ellipsis stands for so many.

    >>> _letters("b...d", 2)
    ['b', '.0', '.1', 'd']
    """
    front, dots, back = term.partition("...")
    return [*front, *(f".{i}" for i in range(spread) if dots), *back]


EINSUMS: dict[Callable[..., Any], Reader] = {torch.einsum: _einsum, torch.ops.aten.einsum.default: _einsum}
"""By operation.

>>> x, W = torch.ones(3, 2), torch.ones(4, 2, 5)
>>> [len(found.maps()) for found in EINSUMS[torch.einsum](("nd,mdk->nmk", x, W), {})]
[4]
"""
