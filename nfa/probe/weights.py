"""The weights in a running network: its parameters, and what it computes from them alone."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from nfa.common.errors import InputError
from nfa.probe.known import Known, Seen
from nfa.probe.memory import Memories, Region, handle, region

Parameters = tuple[str, ...]
"""The names of the parameters that a tensor is made of; empty for a constant of the network."""

PACKED = "in_proj_weight"
"""What torch's attention calls its queries, keys and values in one."""

FUSED = ("c_attn",)
"""What others call theirs, where these come one after the other: GPT-2."""

_PARTS = ("_orig", "_g", "_v")
"""Endings of the names of parameters that pruning, spectral norm and weight norm turn into a weight."""


@dataclass(frozen=True)
class Origin:
    """The origin of a tensor in a running network.

    Args:
        parameters: The parameters it is computed from; none for a constant.
        sure: Whether the origin of all that took part is known. It is not for a tensor that the network keeps as an
            attribute, or makes in passing.
    """

    parameters: Parameters = ()
    sure: bool = True

    @staticmethod
    def of(parts: Sequence["Origin | None"]) -> "Origin | None":
        """Return the origin of what is computed from parts: data where any is; None where nothing is known."""
        if any(part is DATA for part in parts):
            return DATA
        known = [part for part in parts if part is not None]
        if not known:
            return None
        together = dict.fromkeys(name for part in known for name in part.parameters)
        return Origin(tuple(together), len(known) == len(parts) and all(part.sure for part in known))


DATA = Origin(sure=False)
"""The origin of a network's inputs and of all that is computed from them."""


class Weights:
    """The weights of one network, and the names of the layers they make.

    A layer is one weight matrix of one module. It may be a parameter, its transpose, a part of it, or anything
    computed from parameters and buffers without data (weight norm, a mask, a low-rank update).

    Args:
        net: The network.
    """

    def __init__(self, net: nn.Module) -> None:
        self._used: set[str] = set()
        self._otherwise: dict[str, str] = {}
        self._inside: list[str] = []
        self._first: dict[str, str] = {}  # the first name of each parameter, by all its names
        # All that is known here by a region or an id is kept alive, so that nothing else can get the same one.
        self._at: dict[Region, str] = {}
        self._own: dict[int, tuple[Tensor, str]] = {}
        self._kept: list[Tensor] = []
        self._memories = Memories[None]()
        self._computed = Memories[Origin]()  # what the network has computed from weights, and may keep
        self._buffers = {id(buffer): buffer for buffer in net.buffers()}
        self._layers: dict[str, Known] = {}
        self._flat = {name for name, parameter in net.named_parameters() if parameter.ndim < 2}
        self._stacked = {name for name, parameter in net.named_parameters() if parameter.ndim > 2}
        self._stacks = {
            memory: _Stack(layer_name(name), parameter.detach())
            for name, parameter in net.named_parameters()
            if parameter.ndim > 2 and parameter.is_contiguous() and math.prod(parameter.shape[:-2]) > 1
            if (memory := handle(parameter)) is not None
        }
        self._late: dict[str, str] = {}  # matrices that the first runs did not go through, and why they are left out
        self._made: dict[str, tuple[Parameters, str]] = {}  # matrices made of these that no layer has used
        self._frozen = False
        owners: dict[str, list[tuple[nn.Module, str]]] = {}
        for path, module in net.named_modules():
            for short, parameter in module.named_parameters(recurse=False):
                name = f"{path}.{short}" if path else short
                first = self._place(parameter.detach(), name)
                if parameter.ndim == 2:
                    self._place(parameter.detach().T, first)
                self._own[id(parameter)] = (parameter, first)
                self._first[name] = first
                owners.setdefault(first, []).append((module, name))
        self._shared = [owner for each in owners.values() if len(each) > 1 for owner in each]

    def __deepcopy__(self, memo: dict[int, Any]) -> "Weights":
        """Return itself: the copy of a network that is being watched has the same hooks, which must stay these."""
        return self

    def _place(self, tensor: Tensor, name: str) -> str:
        """Remember where a parameter lies; return the first name of the parameter that lies there."""
        self._kept.append(tensor)
        self._memories.add(tensor, None)
        where = region(tensor)
        return name if where is None else self._at.setdefault(where, name)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """While active, know which of the modules that share a parameter is running."""
        with ExitStack() as stack:
            for module, name in self._shared:
                before = module.register_forward_pre_hook(lambda m, x, name=name: self._inside.append(name))
                after = module.register_forward_hook(self._leave, always_call=True)
                stack.callback(before.remove)
                stack.callback(after.remove)
            yield

    def _leave(self, *of_the_call: Any) -> None:
        self._inside.pop()

    def begin(self) -> None:
        """Begin a run: forget which modules an earlier one, perhaps cut short, was in."""
        self._inside.clear()

    def forget_uses(self) -> None:
        """Forget what met data, and in which operations, in tries that may have failed or kept what they made."""
        self._otherwise.clear()
        self._used.clear()

    def remember(self, followed: Iterable[tuple[Tensor, Origin]]) -> None:
        """Remember what a run has computed from weights alone: a network may keep it for its later runs."""
        if not self._frozen:
            for tensor, origin in followed:
                if origin.parameters and tensor not in self._memories:
                    self._computed.add(tensor, origin)
            self._computed.drop_freed()

    def freeze(self) -> None:
        """Accept no further layers."""
        self._frozen = True

    def origin(self, tensor: Tensor) -> Origin | None:
        """Return the origin of a parameter, a buffer, or what an earlier run computed from weights; None for others."""
        if id(tensor) in self._buffers:
            return Origin()
        if (own := self._own.get(id(tensor))) is not None:
            return Origin((own[1],))
        name = self._at.get(where) if (where := region(tensor)) is not None else None
        return self._computed.get(tensor) if name is None else Origin((name,))

    def is_made(self, tensor: Tensor, origin: Origin) -> bool:
        """Return whether a tensor is no part of a parameter but computed, from matrices or vectors."""
        return tensor not in self._memories and self._stacked.isdisjoint(origin.parameters)

    def layer(self, parameters: Parameters, weight: Tensor, part: str = "") -> str | None:
        """Return the name of the layer with a weight W (k x d) that is made of these parameters.

        Args:
            parameters: Their names.
            weight: W.
            part: The name of the part: "q", "k" or "v" of attention's packed weight, or the number of one of several.

        Returns:
            The name; None for a layer that the first pass did not go through.

        Raises:
            InputError: W was another matrix in the first pass.
        """
        base = self._base(parameters)
        memory = None if part else handle(weight)
        if memory is not None and memory in self._stacks:
            part = self._stacks[memory].place(weight)
        if part:
            base = base.removesuffix(PACKED) + part if base.endswith(PACKED) else f"{base}.{part}"
        known = self._layers.setdefault(base, Known())
        if (found := known.find(weight)) is not None:
            return found
        if self._frozen:
            if not known.count:
                self._late[base] = "used only after the first samples"
                return None
            raise InputError(
                "net", f"the weight of layer {base} changes from batch to batch; a layer has one weight for all data"
            )
        if not known.count:
            name = base
        elif known.find(weight.T) is not None:
            name = f"{base}.T"  # tied: once as it is, once transposed
        else:
            name = f"{base}#{known.count + 1}"
        known.add(name, Seen.of(weight, weight in self._memories))
        return name

    def is_fused(self, parameters: Parameters) -> bool:
        """Return whether a weight is called as queries, keys and values in one are."""
        return self._base(parameters).rpartition(".")[2] in FUSED

    def use(self, parameters: Parameters) -> None:
        """Note that a layer's weight is made of these parameters, under the names of the running module."""
        self._used.update(self._here(each) for each in parameters)

    def use_otherwise(self, parameters: Parameters, how: str, matrix: bool = True) -> None:
        """Note that an operation other than a layer's applies weights to data.

        Args:
            parameters: Those that the tensor is made of.
            how: The operation, in a word.
            matrix: Whether the tensor has two axes or more of entries of its own.
        """
        self._otherwise |= {self._here(each): how for each in parameters}
        # Matrices that are parameters are found by name; those made of vectors are known by their uses alone.
        if matrix and all(each in self._flat for each in parameters):
            self._made.setdefault(self._base(parameters), (parameters, how))

    def unmeasured(self, net: nn.Module) -> dict[str, str]:
        """Return what is not measured: by the name of a module or a weight, its kind in words.

        Args:
            net: The network itself.
        """
        found: dict[str, str] = {}
        for path, module in net.named_modules():
            for short, parameter in module.named_parameters(recurse=False):
                # What a parametrisation makes belongs to the module around it.
                around = path.partition("parametrizations")[0].rstrip(".")
                kind = type(net.get_submodule(around)).__name__
                left = self._unmeasured(f"{path}.{short}" if path else short, kind)
                if parameter.ndim >= 2 and left is not None:
                    found.setdefault(around or short, left)
        for name, (parameters, how) in self._made.items():
            if not self._used.issuperset(parameters):
                found.setdefault(name, f"made of {', '.join(parameters)}, in {how}")
        for name, why in self._late.items():
            found.setdefault(name, why)
        for stack in self._stacks.values():
            for number in set(range(stack.count)) - stack.seen if stack.seen else ():
                found.setdefault(f"{stack.name}.{number}", "no rows")
        return found

    @property
    def passes_by_slices(self) -> bool:
        """Whether some matrices of a stacked parameter have been used one by one, and others have not."""
        return any(stack.seen and len(stack.seen) < stack.count for stack in self._stacks.values())

    @property
    def in_other_operations(self) -> dict[str, str]:
        """By parameter, the operation that applies it to data although none of a layer's does."""
        return {name: how for name, how in self._otherwise.items() if name not in self._used}

    def _unmeasured(self, parameter: str, kind: str) -> str | None:
        """Return what is not measured of a parameter of a module of this kind; None where all of it is."""
        other = self._otherwise.get(parameter)
        if other is not None:
            return kind if other.replace("_", "") == kind.lower() else f"{kind}, in {other}"
        return None if parameter in self._used else kind

    def _base(self, parameters: Parameters) -> str:
        names = list(dict.fromkeys(layer_name(self._here(each)) for each in parameters))
        if len(names) == 1:
            return names[0]
        common = []
        for parts in zip(*(name.split(".") for name in names), strict=False):
            if len(set(parts)) > 1:
                break
            common.append(parts[0])
        return ".".join(common) or "+".join(names)

    def _here(self, parameter: str) -> str:
        """Return what the running module calls a parameter that several modules share."""
        return next((name for name in reversed(self._inside) if self._first[name] == parameter), parameter)


def layer_name(parameter: str) -> str:
    """Return the name of the layer whose weight a parameter is, or is made into.

    >>> layer_name("head.weight"), layer_name("head.parametrizations.weight.original0"), layer_name("W")
    ('head', 'head', 'W')
    """
    path, found, made = parameter.partition("parametrizations.")
    name = path + made.split(".")[0] if found else parameter
    for part in _PARTS:
        if name.endswith(f"weight{part}"):
            name = name.removesuffix(part)
    return "weight" if name == "weight" else name.removesuffix(".weight")


@dataclass(frozen=True, eq=False)
class _Stack:
    """A parameter of several matrices, as of experts, of which a network may take one after the other.

    Args:
        name: What its matrices' names begin with.
        parameter: Of three axes or more, contiguous.
        seen: The numbers of the matrices that were used by themselves.
    """

    name: str
    parameter: Tensor
    seen: set[int] = field(default_factory=set)

    @property
    def count(self) -> int:
        """The number of matrices."""
        return math.prod(self.parameter.shape[:-2])

    def place(self, weight: Tensor) -> str:
        """Return the number of a matrix in the stack, as where all are applied at once; "" for any other weight."""
        size = self.parameter[(0,) * (self.parameter.ndim - 2)].numel()
        number, rest = divmod(int(weight.storage_offset() - self.parameter.storage_offset()), size)
        if weight.numel() != size or rest or not 0 <= number < self.count:
            return ""
        self.seen.add(number)
        return str(number)
