"""Matrix products."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfa.formats.onnx.node import Node
from nfa.formats.onnx.operators.operator import Operator


def _gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    attributes = node.attributes
    alpha, beta, weight_first = attributes["alpha"], attributes["beta"], isinstance(a, nn.Parameter)
    a = a.T if attributes["transA"] else a
    weight = b if attributes["transB"] else b.T
    if c is not None and c.ndim == 2 and len(c) == 1:
        c = c[0]
    plain = alpha == beta == 1 and not weight_first
    if plain and (c is None or c.shape == weight.shape[:1]):
        return F.linear(a, weight, c)
    z = torch.matmul(a, weight.T) if weight_first else F.linear(a, weight)
    z = z if alpha == 1 else alpha * z
    return z if c is None else z + (c if beta == 1 else beta * c)


def _gemm_size(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> int:
    rows, columns = a.shape[1 if node.attributes["transA"] else 0], b.shape[0 if node.attributes["transB"] else 1]
    return math.prod(torch.broadcast_shapes((rows, columns), () if c is None else c.shape))


def _gemm_work(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> int:
    return _gemm_size(node, a, b, c) * a.shape[0 if node.attributes["transA"] else 1]


def _matmul_size(node: Node, a: Tensor, b: Tensor) -> int:
    batch: int = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2]).numel()
    return batch * int(a.shape[-2] if a.ndim > 1 else 1) * int(b.shape[-1] if b.ndim > 1 else 1)


def _matmul_work(node: Node, a: Tensor, b: Tensor) -> int:
    return _matmul_size(node, a, b) * a.shape[-1]


def _einsum(node: Node, *xs: Tensor) -> Tensor:
    return torch.einsum(node.attributes["equation"], *xs)


def _letters(node: Node, *xs: Tensor) -> tuple[dict[str, int], str]:
    """Return the size that each letter of an equation stands for, and the letters of the result."""
    equation = node.attributes["equation"].replace(" ", "")
    if "." in equation:
        raise node.unsupported("equation")
    terms, _, result = equation.partition("->")
    sizes: dict[str, int] = {}
    for term, x in zip(terms.split(","), xs, strict=True):
        sizes.update(zip(term, x.shape, strict=True))
    return sizes, result if "->" in equation else "".join(sizes)


def _einsum_size(node: Node, *xs: Tensor) -> int:
    sizes, letters = _letters(node, *xs)
    return math.prod(sizes[letter] for letter in letters)


def _einsum_work(node: Node, *xs: Tensor) -> int:
    return math.prod(_letters(node, *xs)[0].values())


PRODUCTS: dict[str, Operator] = {
    "MatMul": Operator(lambda node, a, b: torch.matmul(a, b), size=_matmul_size, work=_matmul_work),
    "Gemm": Operator(_gemm, size=_gemm_size, work=_gemm_work),
    "Einsum": Operator(_einsum, size=_einsum_size, work=_einsum_work),
}
"""By operator."""
