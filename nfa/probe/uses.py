"""Find every use of a weight while a network runs, at the level of the operation.

What makes a layer is z = W h + b with W a parameter, or computed from parameters alone, however it is written:
`nn.Linear`, `F.linear`, a matrix product from either side, `einsum`, or the operators of an exported graph.
Module classes play no part.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.overrides import TorchFunctionMode

from nfa.common.errors import InputError
from nfa.probe.products import Product, products
from nfa.probe.weights import Parameters, Weights


@dataclass(frozen=True)
class Use:
    """One application of a weight to rows.

    Args:
        name: The weight's layer.
        weight: W, k x d, whichever way round the network keeps it.
        shape: Shape of z with its k entries last: samples first.
        edge: Where in the graph the gradient with respect to z appears.
        h: The rows, their d entries last.
        z_axis: The axis of z that holds the k entries in the network.
    """

    name: str
    weight: Tensor
    shape: tuple[int, ...]
    edge: GradientEdge
    h: Tensor
    z_axis: int

    def delta(self, gradient: Tensor) -> Tensor:
        """Return a gradient with respect to z with its k entries last."""
        return gradient.movedim(self.z_axis, -1)


class UseRecorder(TorchFunctionMode):
    """While active, records every product of rows with a weight.

    Rows are data: a product of two weights is a weight again, not a layer.

    Args:
        weights: The network's.
        wanted: Names to record; None records all.
    """

    def __init__(self, weights: Weights, wanted: frozenset[str] | None = None) -> None:
        super().__init__()
        self.uses: list[Use] = []
        self.wanted = wanted
        self._weights = weights
        # What the network made of its weights alone (None: what it then wrote data to); the tensors are kept, so
        # that no other gets their id.
        self._made: dict[int, tuple[Tensor, Parameters | None]] = {}
        self._zeros: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation; if it applies a weight to data, remember where z stands in the graph."""
        kwargs = kwargs or {}
        for product in products(func, args, kwargs):
            parameters = self._origin(product.weight)
            if parameters and self._origin(product.rows) is None:
                return self._apply(product, parameters, func, args, kwargs)
        origins = [self._origin(tensor) for tensor in _tensors((args, kwargs))]
        result = func(*args, **kwargs)
        if origins:
            self._follow(result, origins)
        return result

    def _apply(
        self,
        product: Product,
        parameters: Parameters,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        weight = product.upright(product.weight.detach())
        name = self._weights.layer(parameters, weight)
        if name is None or (self.wanted is not None and name not in self.wanted):
            return func(*args, **kwargs)
        h = product.rows.detach().movedim(product.h_axis, -1)
        if h.shape[-1] != weight.shape[1]:
            raise InputError(f"data: {h.shape[-1]} features reach layer {name}, which takes {weight.shape[1]}")
        z = self._in_graph(func(*args, **kwargs))
        # What the network computes under no_grad has no gradient to measure.
        if z.requires_grad:
            self._weights.use(parameters)
            shape = tuple(z.detach().movedim(product.z_axis, -1).shape)
            self.uses.append(Use(name, weight, shape, get_gradient_edge(z), h, product.z_axis))
        return z

    def _origin(self, tensor: Tensor) -> Parameters | None:
        made = self._made.get(id(tensor))
        return self._weights.origin(tensor) if made is None else made[1]

    def _follow(self, result: Any, origins: list[Parameters | None]) -> None:
        """Remember results made of weights and constants alone; forget a tensor that data were written to."""
        for tensor in _tensors(result):
            if None in origins:
                if self._origin(tensor) is not None:
                    self._made[id(tensor)] = (tensor, None)
            else:
                together = dict.fromkeys(name for origin in origins if origin is not None for name in origin)
                self._made[id(tensor)] = (tensor, tuple(together))

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


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _tensors(each)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
