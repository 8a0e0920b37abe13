"""Find every use of a weight while a network runs, at the level of the operation.

What makes a layer is z = W h + b with W a parameter, however it is written: `nn.Linear`, `F.linear`, a
matrix product with a parameter or with its transpose, or the operators of an exported graph. Module
classes play no part.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.overrides import TorchFunctionMode

from nfa.common.errors import InputError


@dataclass(frozen=True)
class Use:
    """One application of a weight to rows.

    Args:
        name: The weight's layer.
        weight: W, k x d, whichever way round the network keeps it.
        shape: Shape of z: samples first, k last.
        edge: Where in the graph the gradient with respect to z appears.
        h: The rows.
    """

    name: str
    weight: Tensor
    shape: tuple[int, ...]
    edge: GradientEdge
    h: Tensor


@dataclass(frozen=True)
class _Product:
    """Where an operation keeps its rows and its weight, by place or by name, and whether that weight is d x k."""

    rows: tuple[int, str]
    weight: tuple[int, tuple[str, ...]]
    transposed: bool


_LINEAR = _Product((0, "input"), (1, ("weight",)), transposed=False)
_MATMUL = _Product((0, "input"), (1, ("other", "mat2")), transposed=True)
_ADDMM = _Product((1, "mat1"), (2, ("mat2",)), transposed=True)

_OPERATIONS: dict[Callable[..., Any], _Product] = {
    F.linear: _LINEAR,
    torch.ops.aten.linear.default: _LINEAR,
    torch.matmul: _MATMUL,
    torch.mm: _MATMUL,
    Tensor.matmul: _MATMUL,
    Tensor.mm: _MATMUL,
    torch.ops.aten.matmul.default: _MATMUL,
    torch.ops.aten.mm.default: _MATMUL,
    torch.addmm: _ADDMM,
    Tensor.addmm: _ADDMM,
    torch.ops.aten.addmm.default: _ADDMM,
}

_Place = tuple[int, int, tuple[int, ...], tuple[int, ...]]


def _argument(args: tuple[Any, ...], kwargs: dict[str, Any], place: int, names: tuple[str, ...]) -> Any:
    """Return an argument given by place or by one of its names; None where it is not given."""
    if len(args) > place:
        return args[place]
    return next((kwargs[name] for name in names if name in kwargs), None)


def _place(tensor: Tensor) -> _Place:
    """What two views of the same memory have in common when they show the same matrix."""
    return (tensor.untyped_storage().data_ptr(), int(tensor.storage_offset()), tuple(tensor.shape), tensor.stride())


class UseRecorder(TorchFunctionMode):
    """While active, records every product of rows with a two-dimensional parameter.

    A parameter counts whichever way round it is handed over. Products with anything else pass by.

    Args:
        net: The network whose parameters count; layers are named after them, without ".weight".
        wanted: Names to record; None records all.
    """

    def __init__(self, net: nn.Module, wanted: frozenset[str] | None = None) -> None:
        super().__init__()
        self.uses: list[Use] = []
        self.wanted = wanted
        self._upright: dict[_Place, str] = {}
        self._transposed: dict[_Place, str] = {}
        for name, parameter in net.named_parameters():
            if parameter.ndim == 2:
                short = name.removesuffix(".weight")
                self._upright[_place(parameter)] = short
                self._transposed[_place(parameter.detach().T)] = short
        self._seen: dict[str, _Place] = {}
        self._zeros: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation; if it applies a known weight, remember where z stands in the graph."""
        kwargs = kwargs or {}
        product = _OPERATIONS.get(func)
        if product is None:
            return func(*args, **kwargs)
        h = _argument(args, kwargs, product.rows[0], (product.rows[1],))
        name, weight = self._known(_argument(args, kwargs, *product.weight), product.transposed)
        # Rows are data: a vector, or a product of two parameters, is not a layer.
        if name is None or not isinstance(h, Tensor) or h.ndim < 2 or _place(h) in self._upright:
            return func(*args, **kwargs)
        if self.wanted is not None and name not in self.wanted:
            return func(*args, **kwargs)
        if h.shape[-1] != weight.shape[1]:
            raise InputError(f"data: {h.shape[-1]} features reach layer {name}, which takes {weight.shape[1]}")
        z = self._in_graph(func(*args, **kwargs))
        # What the network computes under no_grad has no gradient to measure.
        if z.requires_grad:
            self.uses.append(Use(name, weight, tuple(z.shape), get_gradient_edge(z), h.detach()))
        return z

    def _known(self, given: Any, transposed: bool) -> tuple[str | None, Tensor]:
        if not isinstance(given, Tensor) or given.ndim != 2:
            return None, torch.empty(0)
        place = _place(given)
        name = self._upright.get(place) or self._transposed.get(place)
        weight = given.detach().T if transposed else given.detach()
        if name is not None and self._seen.setdefault(name, _place(weight)) != _place(weight):
            name += ".T"  # one parameter tied to two layers, once as it is and once transposed
        return name, weight

    def _in_graph(self, z: Tensor) -> Tensor:
        """Make z part of the graph where neither rows nor weight need gradients.

        Adding a zero that needs one does that in place, leaves z an inner node (so that an in-place
        activation may follow), and touches nothing of the network.
        """
        if z.is_floating_point() and not z.requires_grad:
            key = (z.dtype, z.device)
            if key not in self._zeros:
                self._zeros[key] = torch.zeros((), dtype=z.dtype, device=z.device, requires_grad=True)
            z.add_(self._zeros[key])
        return z
