"""Names of tensors, without the parts that wrappers around a network add."""

from torch import Tensor

from nfa.common.errors import Place
from nfa.common.shown import shown

DEPTH = 100
"""The most parts of a tensor's name. They are modules within modules, which torch visits by recursion."""


def without_prefixes(tensors: dict[str, Tensor], wrapped: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """Return tensors under the names that the network itself gives them.

    Args:
        tensors: By name.
        wrapped: Attributes that are removed as "module." is, where all names begin with one of them.

    >>> import torch
    >>> list(without_prefixes({"module._orig_mod.0.weight": torch.zeros(1)}))
    ['0.weight']
    """
    parts = [name.split(".") for name in tensors]
    # The number of leading parts of wrappers that all names share; each name keeps at least one part.
    skipped = 0
    while parts and skipped < min(map(len, parts)) - 1:
        first = {each[skipped] for each in parts}
        if len(first) > 1 or not first <= {"module", "_orig_mod", *wrapped}:
            break
        skipped += 1
    cleaned = [uncompiled(".".join(each[skipped:])) for each in parts]
    if len(set(cleaned)) < len(cleaned):
        return tensors
    return dict(zip(cleaned, tensors.values(), strict=True))


def uncompiled(name: str) -> str:
    """Return a name without the parts that torch.compile adds, of the whole network or of a module.

    >>> uncompiled("net._orig_mod.0.weight")
    'net.0.weight'
    """
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


def check_depth(tensors: dict[str, Tensor], where: Place) -> None:
    """Check that no name has more parts than a network can have modules within modules.

    Raises:
        InputError: one is.
    """
    for name in tensors:
        if name.count(".") >= DEPTH:
            depth = f"{name.count('.')} modules within one another, at most {DEPTH - 1} are read"
            raise where.error(f"names a tensor in {depth}: {shown(name)}")
