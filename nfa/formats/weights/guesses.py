"""What the numbers in names tell of a chain of which only the weights are known, and what has to be guessed."""

import itertools
import re

from nfa.common.errors import Place
from nfa.common.shown import few, shown
from nfa.formats.weights.chain import EPS
from nfa.formats.weights.ordering import ADVICE, Group

NAMED = 12
"""A note names at most this many layers."""


def check_room(groups: list[Group], where: Place) -> None:
    """Refuse a chain whose names have room for activations between some layers of a `Sequential`, but not all.

    Where all numbers follow one another, the activation is a function, which has no number.

    Args:
        groups: Layers and norms, in order.
        where: What messages begin with.

    Raises:
        InputError: there is room for a module between some neighbours, and none between others.

    >>> check_room([Group("linear", name, 4, 4) for name in ("0", "2", "3")], Place("model", "net.pt"))
    Traceback (most recent call last):
    ...
    nfa.common.errors.InputError: model: net.pt has room for an activation between 0 and 2, but not between 2 and 3; \
give the network that it belongs to with --model package.module:factory
    """
    roomy: dict[str, str] = {}
    tight: dict[str, str] = {}
    for before, between, after in _pairs(groups):
        first, second = _place(before), _place(after)
        if first is None or second is None or first[0] != second[0]:
            continue
        norms = sum(_place(norm) is not None for norm in between)
        kind = roomy if second[1] - first[1] - 1 > norms else tight
        kind.setdefault(first[0], f"{shown(before.name)} and {shown(after.name)}")
    for parent in roomy:
        if parent in tight:
            raise where.error(
                f"has room for an activation between {roomy[parent]}, but not between {tight[parent]}; {ADVICE}"
            )


def chain_note(groups: list[Group], activation: str | None) -> str:
    """Return a sentence on the chain that was made, and on what was guessed.

    >>> chain_note([Group("linear", "encoder.0", 4, 4), Group("linear", "decoder.0", 4, 4)], "relu")
    'Rebuilt as a chain: encoder.0, decoder.0, with relu after each but the last; between encoder.0 and decoder.0 it \
is an assumption.'
    """
    norms = [group for group in groups if group.kind != "linear"]
    names = [f"{group.name} ({group.kind})" if group in norms else group.name or "one layer" for group in groups]
    said = f"Rebuilt as a chain: {few(names, NAMED)}"
    if activation is not None and len(groups) - len(norms) > 1:
        said += f", with {activation} after each {'linear layer ' if norms else ''}but the last"
        changes = [
            f"{shown(before.name)} and {shown(after.name)}"
            for before, _, after in _pairs(groups)
            if _parent(before) != _parent(after)
        ]
        if changes:
            said += f"; between {few(changes)} it is an assumption"
    if norms:
        said += f"; eps of the norms is taken to be {EPS:g}".replace("e-0", "e-")
    return f"{said}."


def activation_first(before: str, norm: str, after: str) -> bool | None:
    """Return whether the activation stands before a norm, by gaps in a `Sequential`'s numbers; None without such gaps.

    >>> activation_first("0", "1", "3"), activation_first("0", "2", "3"), activation_first("fc1", "bn1", "fc2")
    (False, True, None)
    """
    matches = [re.fullmatch(r"(.*?)([0-9]{1,9})", name) for name in (before, norm, after)]
    parents = {match and match[1] for match in matches}
    if len(parents) > 1 or None in parents:
        return None
    first, second, third = (int(match[2]) for match in matches if match)
    gaps = (second - first, third - second)
    if gaps[0] == 1 and gaps[1] > 1:
        return False
    return True if gaps[0] > 1 and gaps[1] == 1 else None


def _pairs(groups: list[Group]) -> list[tuple[Group, list[Group], Group]]:
    """Return neighbouring linear layers, and the norms between them."""
    places = [place for place, group in enumerate(groups) if group.kind == "linear"]
    return [(groups[a], groups[a + 1 : b], groups[b]) for a, b in itertools.pairwise(places)]


def _place(group: Group) -> tuple[str, int] | None:
    """Return the container that a layer is in, and its number there; None where it has a name instead."""
    match = re.fullmatch(r"(.*\.|)([0-9]{1,9})", group.name)
    return None if match is None else (match[1], int(match[2]))


def _parent(group: Group) -> str:
    """Return the name of the module that a layer is part of, without numbers: similar blocks have one name."""
    return re.sub(r"[0-9]+", "#", group.name.rpartition(".")[0])
