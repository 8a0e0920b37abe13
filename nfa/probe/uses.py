"""Find every use of a weight while a network runs, at the level of the operation.

A layer is any operation z = W h + b where W is a parameter, or computed from parameters alone: `nn.Linear`, `F.linear`,
a matrix product from either side, `einsum`, a convolution, or the operators of an exported graph. Module classes play
no part.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.overrides import TorchFunctionMode

from nfa.common.errors import InputError
from nfa.probe.attention import ATTENTION, unpacked
from nfa.probe.convolutions import CONVOLUTIONS, Convolution
from nfa.probe.einsums import EINSUMS
from nfa.probe.embeddings import EMBEDDINGS
from nfa.probe.maps import LinearMap, exchanged
from nfa.probe.memory import Memories, handle
from nfa.probe.patches import Patches
from nfa.probe.products import PRODUCTS, Product
from nfa.probe.recurrent import RECURRENT, computed, first_state, in_sight
from nfa.probe.vmapped import bare, is_hidden, slices, with_axis_first, wrapped_first, wrapped_like
from nfa.probe.weights import DATA, Origin, Weights

SLICES = 1024
"""A weight with more matrices side by side than this makes no layers."""

MAPS = PRODUCTS | EINSUMS | CONVOLUTIONS | EMBEDDINGS
"""How to read each operation that applies a weight to rows."""


@dataclass(frozen=True)
class Use:
    """One application of a weight to rows.

    Args:
        name: The weight's layer.
        weight: W, k x d, also where the network keeps its transpose.
        shape: Shape of z with its k entries last: samples first.
        edge: Where in the graph the gradient with respect to z appears.
        delta: Turns a gradient with respect to z, as the network has it, into one with its k entries last.
        groups: Diagonal blocks of W, each a map of its own.
        row_shape: The shape in which the d entries of a row lie in the network.
        one_hot: Whether the rows are one-hot: a look-up.
        patches: How rows are cut out of a sample's input.
        operation: The number of the operation that applies it; one operation may apply several weights.
        kept: The map with a copy of its rows, if the recorder keeps them.
    """

    name: str
    weight: Tensor
    shape: tuple[int, ...]
    edge: GradientEdge
    delta: Callable[[Tensor], Tensor]
    groups: int
    row_shape: tuple[int, ...]
    one_hot: bool
    patches: Patches | None
    operation: int
    kept: LinearMap | None


class UseRecorder(TorchFunctionMode):
    """While active, records every product of rows with a weight.

    Rows are data: a product of two weights is a weight again, not a layer.

    Args:
        weights: The network's.
        inputs: The network's inputs: whatever is computed from them is data.
        wanted: Names to record; None records all.
        keep_rows: Whether to keep a copy of the rows.
        replaced: Weights (k x d) to compute with instead of the network's own, by name.
        nudged: Uses, by their number, whose z is moved by a few units of rounding.
        groups: Whether each group of a convolution is a layer of its own.
    """

    def __init__(
        self,
        weights: Weights,
        inputs: Iterable[Tensor],
        wanted: frozenset[str] | None = None,
        keep_rows: bool = False,
        replaced: Mapping[str, Tensor] | None = None,
        nudged: frozenset[int] = frozenset(),
        groups: bool = False,
    ) -> None:
        super().__init__()
        self._groups = groups
        self.uses: list[Use] = []
        self.wanted = wanted
        self._replaced = replaced or {}
        self._weights = weights
        self._keep_rows = keep_rows
        # Where tensors come from, by id. All are kept alive while the network runs, so that no id is given out again.
        self._origins: dict[int, tuple[Tensor, Origin]] = {}
        self._written = Memories[None]()  # memories that data were written to
        self._zeros: dict[tuple[torch.dtype, torch.device], Tensor] = {}
        self._nudged = nudged
        self._part = ""  # of attention's packed weight
        self._operations = 0  # number of operations that have applied weights
        self._drawn_in: list[Tensor] = []  # tensors that came into the graph by being written to
        self._follow(list(inputs), DATA)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation; if it applies a weight to data, remember where z stands in the graph."""
        kwargs = kwargs or {}
        if func is ATTENTION:
            with self:
                return unpacked(self._projected)(*args, **kwargs)
        if in_sight(func, args, kwargs):
            # A first state that is learned, or made in passing, is a row like the states after it.
            state = first_state(args)
            self._follow(state, DATA)
            with self:
                return computed(func, args, state)
        out = kwargs.get("out")
        if isinstance(out, Tensor) and torch.is_grad_enabled():
            # torch computes no gradients with out=; the result is written there afterwards.
            kwargs = {name: value for name, value in kwargs.items() if name != "out"}
        read = MAPS.get(func)
        product = None if read is None else self._layer(read(args, kwargs))
        tensors = list(_tensors((args, kwargs)))
        origins = [self._origin(tensor) for tensor in tensors]
        origin = Origin.of(origins)
        if origin is DATA and product is None:
            for tensor, found in zip(tensors, origins, strict=True):
                if found is not None and found.parameters and tensor.ndim >= 2:
                    self._weights.use_otherwise(found.parameters, _in_words(func, tensors), _matrix(tensor))
        target = _written(func, args, kwargs | {"out": out})
        outside = target is not None and not target.requires_grad
        result = func(*args, **kwargs) if product is None else self._apply(product, func, args, kwargs)
        if isinstance(result, (tuple, list)) and args:
            result = _apart(result, args[0])
        if "out" not in kwargs and isinstance(out, Tensor):
            result = _put(result, out)
        self._follow(result, origin)
        if target is not None:
            if outside and target.requires_grad:
                self._drawn_in.append(target if target._base is None else target._base)
            if origin is DATA:
                self._written.add(target, None)
                self._follow(target, DATA)
        return result

    def forget(self) -> None:
        """Drop the record of where tensors come from, once the network has run."""
        self._weights.remember(self._origins.values())
        self._origins.clear()

    def release(self) -> None:
        """Detach the tensors that the network wrote its results to, and may still keep."""
        for tensor in self._drawn_in:
            if tensor.grad_fn is not None:
                tensor.detach_()
        self._drawn_in.clear()

    def _projected(self, q: Tensor, k: Tensor, v: Tensor, W: Tensor, b: Tensor | None = None) -> list[Tensor]:
        """Return queries, keys and values, each by its own third of the packed weight."""
        found = []
        biases = (None,) * 3 if b is None else b.chunk(3)
        for self._part, rows, weight, bias in zip("qkv", (q, k, v), W.chunk(3), biases, strict=True):
            found.append(F.linear(rows, weight, bias))
        self._part = ""
        return found

    def _layer(self, readings: Iterable[LinearMap]) -> LinearMap | None:
        """Return the reading of an operation that applies weights to data; None where none does."""
        for each in readings:
            if (weight := self._weight(each)) is not None:
                # Matrices that a network makes anew for each sample are one, and as many as the batch has samples.
                product = each.without_copies() if self._weights.is_made(each.weight, weight) else each
                if product.count <= SLICES:
                    return product
        return None

    def _weight(self, product: LinearMap) -> Origin | None:
        """Return the origin of a product's weight; None where it applies no weight to data, or a complex one."""
        rows, weight = self._origin(product.rows), self._origin(product.weight)
        if not weight or not weight.parameters or product.weight.is_complex() or product.rows.is_complex():
            return None
        of_data = rows is DATA or (not product.of_data and (rows is None or not rows.sure))
        return weight if of_data else None

    def _apply(
        self, product: LinearMap, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        origin = self._origin(product.weight)
        assert origin is not None
        found: list[tuple[str, Tensor, LinearMap]] = []
        original = patched = bare(product.weight)
        for part in self._maps(product, origin):
            weight = part.matrix()
            name = self._weights.layer(origin.parameters, weight, part.label or self._part)
            if name is not None and name in self._replaced:
                weight = self._replaced[name]
                patched = part.patched(name, weight, patched)
            if name is None or (self.wanted is not None and name not in self.wanted):
                continue
            if part.width != weight.shape[1]:
                raise InputError("data", f"{part.width} features reach layer {name}, which takes {weight.shape[1]}")
            found.append((name, weight, part))
        if patched is not original:
            args, kwargs = exchanged((args, kwargs), product.weight, wrapped_like(patched, product.weight))
        if not found:
            return func(*args, **kwargs)
        # A copy, since the network may write to its rows later on.
        rows = bare(product.rows).detach().clone() if self._keep_rows else None
        result = func(*args, **kwargs)
        hides = is_hidden(product.weight)
        z = self._in_graph(with_axis_first(result) if hides else result)
        if not z.requires_grad:
            # What the network computes under no_grad has no gradient to measure.
            self._weights.use_otherwise(origin.parameters, "no_grad")
            return result
        self._weights.use(origin.parameters)
        # Stacked biases are vectors, which no layer is made of, although each parameter has two axes.
        for tensor in _tensors((args, kwargs)):
            if is_hidden(tensor) and tensor.ndim < 2 and (stacked := self._origin(tensor)) is not None:
                self._weights.use(stacked.parameters)
        edge = get_gradient_edge(z)
        self._operations += 1
        numbers = range(len(self.uses), len(self.uses) + len(found))
        for name, weight, part in found:
            shape = tuple(part.to_delta(z.detach().to("meta")).shape)
            kept = None if rows is None else replace(part, rows=rows)
            about = (part.groups, part.row_shape, part.one_hot, part.patches)
            use = Use(name, weight, shape, edge, part.to_delta, *about, self._operations, kept)
            self.uses.append(use)
        z = z if self._nudged.isdisjoint(numbers) else z + _nudge(z)
        return wrapped_first(z, result) if hides else z

    def _maps(self, product: LinearMap, origin: Origin) -> Sequence[LinearMap]:
        """Return the maps of a product: those side by side, or queries, keys and values of a weight called so."""
        if (side_by_side := slices(product)) is not None:
            return side_by_side
        fused = isinstance(product, Product) and not product.stacks and self._weights.is_fused(origin.parameters)
        W = product.matrix() if fused else None
        if isinstance(product, Product) and W is not None and len(W) == 3 * W.shape[1]:
            return product.in_thirds()
        return product.by_group() if self._groups and isinstance(product, Convolution) else product.maps()

    def _origin(self, tensor: Tensor) -> Origin | None:
        known = self._origins.get(id(tensor))
        if known is not None:
            return known[1]
        if is_hidden(tensor):
            return self._origin(bare(tensor))
        return DATA if tensor in self._written else self._weights.origin(tensor)

    def _follow(self, result: Any, origin: Origin | None) -> None:
        for tensor in _tensors(result):
            if origin is None:
                self._origins.pop(id(tensor), None)
            else:
                self._origins[id(tensor)] = (tensor, origin)

    def _in_graph(self, z: Tensor) -> Tensor:
        """Return z as a tensor of the graph whose edge stays on the path, whatever is written to it later.

        A view would lose its edge when it is written to, since torch then derives it anew from its base. The base is
        the product's own, so the same memory is handed on as a tensor that is no view. Where neither rows nor weight
        need gradients, adding a zero that needs one puts z into the graph. It is added in place, so that z is an inner
        node that may be written to; nothing of the network changes.
        """
        if z._is_view():
            handed_on: Tensor = torch.ops.aten._unsafe_view.default(z, z.shape)
            z = handed_on
        if z.is_floating_point() and not z.requires_grad:
            key = (z.dtype, z.device)
            if key not in self._zeros:
                self._zeros[key] = torch.zeros((), dtype=z.dtype, device=z.device, requires_grad=True)
            z.add_(self._zeros[key])
        return z


def _in_words(func: Callable[..., Any], tensors: Sequence[Tensor]) -> str:
    """Return the name of an operation, and that its numbers are complex where they are."""
    if func in RECURRENT:
        return "a packed sequence"  # any other is computed in sight
    # The operators of a graph are named with their overload.
    name = getattr(func, "__name__", str(func)).partition(".")[0].strip("_")
    return f"{name} of complex numbers" if any(tensor.is_complex() for tensor in tensors) else name


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


def _apart(results: Any, source: Any) -> Any:
    """Return views that one operation made together as separate views, the only ones that torch lets be written to."""
    if type(results) not in (tuple, list) or not isinstance(source, Tensor) or not source.requires_grad:
        return results
    memory = handle(source)
    if memory is None:
        return results
    return type(results)(
        source.as_strided(view.shape, view.stride(), view.storage_offset())
        if isinstance(view, Tensor) and view._is_view() and view.requires_grad and handle(view) == memory
        else view
        for view in results
    )


def _put(result: Any, out: Tensor) -> Any:
    """Write a result to the tensor that the network named for it, as part of the graph."""
    if not isinstance(result, Tensor):
        return result
    if out.grad_fn is not None and not out._is_view():
        out.detach_()  # what an earlier run left
    if out.shape != result.shape:
        out.resize_(result.shape)
    out.copy_(result)
    return out


def _nudge(z: Tensor) -> Tensor:
    """Return a step from z so small that hardly any comparison changes, yet large enough not to be lost in rounding."""
    eps = torch.finfo(z.dtype).eps
    step = max(4 * eps, eps**0.7)
    values = z.detach().double()
    size = values.abs()
    if z.numel():
        size = size.clamp(min=float(values.square().mean().sqrt()))
    # Of both signs, so that no ReLU hides all of it; and the sum is not 0.
    signs = torch.arange(z.numel(), device=z.device).mul(7919).remainder(3).reshape(z.shape) - 0.75
    moved: Tensor = size.clamp(min=step) * step * signs
    return moved.to(z.dtype)


def _matrix(tensor: Tensor) -> bool:
    """Return whether a tensor has two axes of entries of its own; a bias that is repeated has not."""
    return sum(size > 1 and step != 0 for size, step in zip(tensor.shape, tensor.stride(), strict=True)) >= 2
