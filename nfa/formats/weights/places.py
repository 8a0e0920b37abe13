"""The place of a network in a checkpoint: a key of it, and a prefix of its tensors' names."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from nfa.common.errors import InputError, Place
from nfa.common.shown import few, shown
from nfa.formats.weights.ordering import ADVICE, Group, chained, in_some_order

PLACES = ("state_dict", "model_state_dict", "model")
"""The keys under which checkpoints keep the network's tensors by default."""

DEPTH = 2
"""Tensors are looked for in dicts nested this deeply."""

NAMED = 6
"""A message names at most this many candidates."""


def state_dict_of(
    content: Any, where: Place, key: str | None = None, own: Mapping[str, Tensor] | None = None
) -> tuple[str | None, dict[str, Tensor]]:
    """Return the network's tensors of a checkpoint, and the key that they lie under (None: none).

    Without a key they are taken from one of `PLACES`, or the checkpoint itself; else from the only dict of tensors
    in it, or the only one that holds the network's names.

    Args:
        content: What a file holds.
        where: What messages begin with.
        key: The key of the tensors; for nested dicts, keys with points between.
        own: The tensors of the network that they belong to, if it is known.

    Raises:
        InputError: there is no such key, there are no tensors, or several dicts of them.

    >>> state_dict_of({"net": {"weight": torch.ones(1, 2)}, "epoch": 3}, Place("model", "net.pt"))[0]
    'net'
    """
    if not isinstance(content, Mapping):
        raise where.error(f"holds a {type(content).__name__}, expected a state dict: tensors by name")
    inside = {name: part for name, part in _dicts(content) if _named(part)}
    if key is not None:
        if key in inside:
            return key, _tensors(inside[key], where)
        raise InputError("key", f"{where.part} has no tensors under {key!r}; {_candidates(inside, content)}")
    for place in PLACES:
        if place in inside:
            return place, _tensors(inside[place], where)
    # Tensors without two axes beside dicts of tensors are records, such as an epoch.
    if any(content[name].ndim > 1 for name in _named(content)) or (_named(content) and not inside):
        return None, _tensors(content, where)
    found = list(inside)
    if len(found) > 1 and own is not None:
        wanted = {(name, tensor.shape) for name, tensor in own.items()}
        found = [name for name in found if wanted <= _endings(inside[name])] or found
    if len(found) == 1:
        return found[0], _tensors(inside[found[0]], where)
    if found:
        raise where.error(f"holds several state dicts ({few(found, NAMED)}); {_choose('key', found[0], where)}")
    raise where.error(f"holds no tensors, neither by themselves nor in a dict; {_candidates(inside, content)}")


def every_tensor(content: Any) -> dict[str, Tensor]:
    """Return all tensors of a checkpoint by name, those of dicts within it with the dict's key and a point in front.

    >>> list(every_tensor({"net": {"weight": torch.ones(1, 2)}, "step": torch.ones(())}))
    ['step', 'net.weight']
    """
    if not isinstance(content, Mapping):
        return {}
    found = {name: content[name] for name in _named(content)}
    for place, part in _dicts(content):
        found |= {f"{place}.{name}": part[name] for name in _named(part)}
    return found


def under(tensors: Mapping[str, Tensor], prefix: str, where: Place) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the tensors whose names begin with a prefix, without it, and a sentence on what is left out.

    Raises:
        InputError: there are none.

    >>> under({"actor.weight": torch.ones(1), "critic.weight": torch.ones(1)}, "actor", Place("model", "net.pt"))[1]
    ('The network is what the file has under actor; not used: critic.weight.',)
    """
    whole = prefix.rstrip(".") + "."
    found = {name.removeprefix(whole): tensor for name, tensor in tensors.items() if name.startswith(whole)}
    if not found:
        names = few(list(dict.fromkeys(name.partition(".")[0] for name in tensors)), NAMED)
        raise InputError("prefix", f"no name in {where.part} begins with {whole!r}; they begin with {names}")
    rest = [name for name in tensors if not name.startswith(whole)]
    return found, (left_out(prefix.rstrip("."), rest),) if rest else ()


def left_out(prefix: str, rest: list[str]) -> str:
    """Return a sentence on the part of a file that is not the network's."""
    return f"The network is what the file has under {shown(prefix)}; not used: {few(rest)}."


def fitting(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], where: Place) -> str | None:
    """Return the prefix under which a file has exactly a network's tensors; None if no prefix has.

    Raises:
        InputError: there are several.

    >>> W = torch.ones(1, 2)
    >>> fitting({"a.b.weight": W, "a.c.weight": W}, {"weight": W}, Place("model", "net.pt"))
    Traceback (most recent call last):
    ...
    nfa.common.errors.InputError: model: net.pt fits the network under several prefixes (a.b, a.c); choose one with \
--prefix a.b (prefix='a.b')
    """
    by_prefix: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        parts = name.split(".")
        for depth in range(1, len(parts)):
            by_prefix.setdefault(".".join(parts[:depth]), {})[".".join(parts[depth:])] = tensor
    found = [prefix for prefix, inside in by_prefix.items() if inside.keys() == own.keys()]
    if len(found) > 1:
        found = [
            prefix for prefix in found if all(by_prefix[prefix][name].shape == own[name].shape for name in own)
        ] or found
    if len(found) > 1:
        raise where.error(
            f"fits the network under several prefixes ({few(found, NAMED)}); {_choose('prefix', found[0], where)}"
        )
    return found[0] if found else None


def check_one_chain(groups: list[Group], where: Place, ordered: bool) -> None:
    """Refuse layers that may be those of several networks side by side, such as actor and critic.

    Where all names have parts in common, what comes behind these counts. Names that are numbers are places in one
    network, unless the layers under each have the same sizes.

    Args:
        groups: The layers.
        where: What messages begin with.
        ordered: Whether they come in the network's order.

    Raises:
        InputError: under each of two names there is a chain of two linear layers or more.
    """
    paths = [group.name.split(".") for group in groups]
    common = 0
    while all(len(path) > common + 1 for path in paths) and len({path[common] for path in paths}) == 1:
        common += 1
    branches: dict[str, list[Group]] = {}
    for path, group in zip(paths, groups, strict=True):
        if len(path) > common + 1:
            branches.setdefault(".".join(path[: common + 1]), []).append(group)
    chains = {name: branch for name, branch in branches.items() if _is_chain(branch, where, ordered)}
    if len(chains) < 2:
        return
    numbered = all(name.rpartition(".")[2].isdecimal() for name in chains)
    if numbered and len({tuple((group.d, group.k) for group in branch) for branch in chains.values()}) > 1:
        return
    raise where.error(
        f"holds several chains of layers ({few(list(chains), NAMED)}), which may be networks of their own; "
        f"{_choose('prefix', next(iter(chains)), where)}, or {ADVICE}"
    )


def _is_chain(groups: list[Group], where: Place, ordered: bool) -> bool:
    if sum(group.kind == "linear" for group in groups) < 2:
        return False
    try:
        (chained if ordered else in_some_order)(groups, where)
    except InputError:
        return False
    return True


def _choose(option: str, name: str, where: Place) -> str:
    """Return what to do about several networks; a call of Python's takes neither key nor prefix for an init."""
    call = f"{option}={shown(name)!r}"
    if where.argument == "init":
        call = f"init=nfa.load(..., model=net, {call})"
    return f"choose one with --{option} {shown(name)} ({call})"


def _dicts(content: Mapping[Any, Any], before: str = "") -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Yield the dicts within a dict, by their keys with points between."""
    for key, value in content.items():
        if isinstance(key, str) and isinstance(value, Mapping) and before.count(".") < DEPTH:
            yield before + key, value
            yield from _dicts(value, f"{before}{key}.")


def _named(part: Mapping[Any, Any]) -> list[str]:
    """Return the names of a dict's tensors."""
    return [name for name, value in part.items() if isinstance(name, str) and isinstance(value, Tensor)]


def _tensors(part: Mapping[Any, Any], where: Place) -> dict[str, Tensor]:
    """Return the tensors of a dict by name; other values are ignored, but tensors without a name are refused."""
    odd = [name for name, value in part.items() if isinstance(value, Tensor) and not isinstance(name, str)]
    if odd:
        raise where.error(f"names a tensor {shown(repr(odd[0]))}, expected text as every tensor's name")
    return {name: part[name].detach() for name in _named(part)}


def _endings(part: Mapping[Any, Any]) -> set[tuple[str, torch.Size]]:
    """Return names with shapes, and the ends of the names behind each point."""
    return {
        (name.split(".", depth)[-1], part[name].shape) for name in _named(part) for depth in range(name.count(".") + 1)
    }


def _candidates(inside: Mapping[str, Any], content: Mapping[Any, Any]) -> str:
    if inside:
        return f"there are some under {few(list(inside), NAMED)}"
    return f"it holds {few([str(key) for key in content], NAMED) or 'nothing'}"
