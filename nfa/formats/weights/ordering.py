"""The order in which the layers of a file follow one another."""

import itertools
import re
from dataclasses import dataclass
from typing import Literal

from nfa.common.errors import Place
from nfa.common.shown import shown

ADVICE = "give the network that it belongs to with --model package.module:factory"
"""The advice for weights that are no plain chain."""

PATIENCE = 20_000
"""At most this many beginnings of orders are tried; there are more only where hundreds of layers look alike."""


@dataclass(frozen=True)
class Group:
    """The tensors of one layer.

    Args:
        kind: What the layer is.
        name: The prefix of its tensors.
        d: Entries it takes.
        k: Entries it gives.
    """

    kind: Literal["linear", "batch norm", "layer norm"]
    name: str
    d: int
    k: int


def chained(groups: list[Group], where: Place) -> list[Group]:
    """Return the layers, after checking that each takes what the one before gives.

    Raises:
        InputError: two neighbours do not fit.

    >>> chained([Group("linear", "a", 3, 4), Group("linear", "b", 5, 1)], Place("model", "net.pt"))
    Traceback (most recent call last):
    ...
    nfa.common.errors.InputError: model: net.pt: layer a gives 4 (4 x 3), but b takes 5 (1 x 5)
    """
    for before, after in itertools.pairwise(groups):
        if before.k != after.d:
            raise where.because(
                f"layer {shown(before.name)} gives {before.k} ({_shape(before)}), "
                f"but {shown(after.name)} takes {after.d} ({_shape(after)})"
            )
        if before.kind != "linear" and after.kind != "linear":
            raise where.because(
                f"two norms, {shown(before.name)} and {shown(after.name)}, follow one another; {ADVICE}"
            )
    if groups[-1].kind != "linear":
        raise where.error(f"ends in a norm ({shown(groups[-1].name)}), not a linear layer; {ADVICE}")
    return groups


def in_some_order(groups: list[Group], where: Place) -> list[Group]:
    """Return the layers in the one order that their names and shapes allow.

    Layers whose names differ by numbers alone follow one another as the numbers do; series of different
    names are merged so that the shapes chain.

    Raises:
        InputError: no order makes the shapes chain, or several do.

    >>> two = [Group("linear", "head", 4, 2), Group("linear", "hidden", 3, 4)]
    >>> [group.name for group in in_some_order(two, Place("model", "net.safetensors"))]
    ['hidden', 'head']
    """
    series: dict[str, list[Group]] = {}
    for group in sorted(groups, key=lambda group: _natural(group.name)):
        series.setdefault(re.sub(r"[0-9]+", "#", group.name), []).append(group)
    queues = list(series.values())
    if len(queues) == 1:
        return chained(queues[0], where)
    found = _merges(queues, len(groups))
    if len(found) == 1:
        return found[0]
    reason = "no order makes the shapes chain" if found == [] else "names and shapes allow several orders"
    names = ", ".join(shown(queue[0].name) for queue in queues[:3])
    raise where.error(f"does not tell in which order its layers ({names}, ...) come: {reason}; {ADVICE}")


def _merges(queues: list[list[Group]], total: int) -> list[list[Group]]:
    """Return the orders in which the shapes chain: none, one, or two where there are more or too many to try."""
    found: list[list[Group]] = []
    tried = 0
    # Beginnings still to be continued: how far each queue is used up, and the order so far.
    open_ones: list[tuple[tuple[int, ...], list[Group]]] = [((0,) * len(queues), [])]
    while open_ones and len(found) < 2:
        used, order = open_ones.pop()
        tried += 1
        if tried > PATIENCE:
            return [order, order]
        if len(order) == total:
            found.extend([order] if order[-1].kind == "linear" else [])
            continue
        for place, queue in enumerate(queues):
            if used[place] == len(queue):
                continue
            group = queue[used[place]]
            if not order or (order[-1].k == group.d and "linear" in (order[-1].kind, group.kind)):
                open_ones.append(((*used[:place], used[place] + 1, *used[place + 1 :]), [*order, group]))
    return found


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts numbers in names as numbers."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part.isdecimal()), int(part[:18]) if part.isdecimal() else 0, part) for part in parts]


def _shape(group: Group) -> str:
    return f"{group.k} x {group.d}" if group.kind == "linear" else group.kind
