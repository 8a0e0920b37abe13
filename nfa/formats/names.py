"""Names of tensors without what wrappers around a network put in front of them or between."""

from torch import Tensor

from nfa.common.errors import Place
from nfa.common.shown import shown

DEPTH = 100
"""Parts of a tensor's name, which are modules within modules; torch visits them by recursion."""


def without_prefixes(tensors: dict[str, Tensor], wrapped: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """Return tensors under the names that the network itself gives them.

    Args:
        tensors: By name.
        wrapped: Attributes that are removed like "module." where all names begin with one.

    >>> import torch
    >>> list(without_prefixes({"module._orig_mod.0.weight": torch.zeros(1)}))
    ['0.weight']
    """
    parts = [name.split(".") for name in tensors]
    # How many parts all names have in common that belong to wrappers; each name keeps one part at least.
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
    """Return a name without the mark that torch.compile, of the whole network or of a part, leaves in it.

    >>> uncompiled("net._orig_mod.0.weight")
    'net.0.weight'
    """
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


def check_depth(tensors: dict[str, Tensor], where: Place) -> None:
    """See that no name is of more modules within modules than a network can have.

    Raises:
        InputError: one is.
    """
    for name in tensors:
        if name.count(".") >= DEPTH:
            depth = f"{name.count('.')} modules within one another, at most {DEPTH - 1} are read"
            raise where.error(f"names a tensor in {depth}: {shown(name)}")
