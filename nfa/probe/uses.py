"""Find every use of a weight while a network runs, at the level of the operation.

What makes a layer is z = W h + b with W a parameter, or computed from parameters alone, however it is written:
`nn.Linear`, `F.linear`, a matrix product from either side, `einsum`, or the operators of an exported graph.
Module classes play no part.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.overrides import TorchFunctionMode

from nfa.common.errors import InputError
from nfa.probe.products import Product, products
from nfa.probe.weights import DATA, Origin, Weights, memory


@dataclass(frozen=True)
class Use:
    """One application of a weight to rows.

    Args:
        name: The weight's layer.
        weight: W, k x d, whichever way round the network keeps it.
        shape: Shape of z with its k entries last: samples first.
        edge: Where in the graph the gradient with respect to z appears.
        z_axis: The axis of z that holds the k entries in the network.
        h: The rows, their d entries last, where the recorder keeps them.
    """

    name: str
    weight: Tensor
    shape: tuple[int, ...]
    edge: GradientEdge
    z_axis: int
    h: Tensor | None

    def delta(self, gradient: Tensor) -> Tensor:
        """Return a gradient with respect to z with its k entries last."""
        return gradient.movedim(self.z_axis, -1)


class UseRecorder(TorchFunctionMode):
    """While active, records every product of rows with a weight.

    Rows are data: a product of two weights is a weight again, not a layer.

    Args:
        weights: The network's.
        inputs: The network's inputs: whatever is computed from them is data.
        wanted: Names to record; None records all.
        keep_rows: Whether to keep a copy of the rows.
        replaced: Weights (k x d) to compute with instead of the network's own, by name.
    """

    def __init__(
        self,
        weights: Weights,
        inputs: Iterable[Tensor],
        wanted: frozenset[str] | None = None,
        keep_rows: bool = False,
        replaced: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.uses: list[Use] = []
        self.wanted = wanted
        self._replaced = replaced or {}
        self._weights = weights
        self._keep_rows = keep_rows
        # Where tensors come from, by id. What is made of weights is kept, so that no other tensor gets its id; data
        # are not, since whatever takes their place is a result too and enters anew.
        self._origins: dict[int, tuple[Tensor | None, Origin]] = {id(x): (x, DATA) for x in inputs}
        self._written: set[int] = set()  # memory that data were written to
        self._zeros: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation; if it applies a weight to data, remember where z stands in the graph."""
        kwargs = kwargs or {}
        product = next((found for found in products(func, args, kwargs) if self._is_layer(found)), None)
        tensors = list(_tensors((args, kwargs)))
        if not tensors:
            result = func(*args, **kwargs)
            for made in _tensors(result):
                self._origins.pop(id(made), None)
            return result
        origins = [self._origin(tensor) for tensor in tensors]
        origin = Origin.of(origins)
        if origin is DATA and product is None:
            for tensor, found in zip(tensors, origins, strict=True):
                if found is not None and found.parameters and tensor.ndim >= 2:
                    self._weights.use_otherwise(found.parameters, func)
        result = func(*args, **kwargs) if product is None else self._apply(product, func, args, kwargs)
        self._follow(result, origin)
        if origin is DATA and (written := _written(func, args, kwargs)) is not None:
            self._written.add(memory(written))
            self._follow(written, DATA)
        return result

    def _is_layer(self, product: Product) -> bool:
        rows, weight = self._origin(product.rows), self._origin(product.weight)
        return bool(weight and weight.parameters) and (rows is None or rows is DATA or not rows.sure)

    def _apply(self, product: Product, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        origin = self._origin(product.weight)
        assert origin is not None
        weight = product.upright()
        name = self._weights.layer(origin.parameters, weight)
        if name is not None and name in self._replaced:
            weight = self._replaced[name]
            args, kwargs = product.instead(weight, (args, kwargs))
        if name is None or (self.wanted is not None and name not in self.wanted):
            return func(*args, **kwargs)
        h = product.rows.detach().movedim(product.h_axis, -1)
        if h.shape[-1] != weight.shape[1]:
            raise InputError("data", f"{h.shape[-1]} features reach layer {name}, which takes {weight.shape[1]}")
        # A copy, since the network may write to its rows later on.
        kept = h.clone() if self._keep_rows else None
        z = self._in_graph(func(*args, **kwargs))
        # What the network computes under no_grad has no gradient to measure.
        if z.requires_grad:
            self._weights.use(origin.parameters)
            shape = tuple(z.detach().movedim(product.z_axis, -1).shape)
            self.uses.append(Use(name, weight, shape, get_gradient_edge(z), product.z_axis, kept))
        return z

    def _origin(self, tensor: Tensor) -> Origin | None:
        known = self._origins.get(id(tensor))
        if known is not None:
            return known[1]
        return DATA if self._written and memory(tensor) in self._written else self._weights.origin(tensor)

    def _follow(self, result: Any, origin: Origin | None) -> None:
        for tensor in _tensors(result):
            if origin is None:
                self._origins.pop(id(tensor), None)
            else:
                self._origins[id(tensor)] = (None if origin is DATA else tensor, origin)

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


def _written(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """Return the tensor that an operation writes to."""
    name = getattr(func, "__name__", "").partition(".")[0]
    in_place = name == "__setitem__" or (name.endswith("_") and not name.endswith("__"))
    in_place |= name.startswith("__i") and name not in ("__index__", "__int__", "__invert__")
    target = kwargs.get("out") if not in_place else args[0] if args else None
    return target if isinstance(target, Tensor) else None


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _tensors(each)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
