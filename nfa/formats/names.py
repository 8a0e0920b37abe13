"""Names of tensors without what wrappers around a network put in front of them or between."""

from torch import Tensor


def without_prefixes(tensors: dict[str, Tensor], wrapped: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """Return tensors under the names that the network itself gives them.

    Args:
        tensors: By name.
        wrapped: Attributes that are removed like "module." where all names begin with one.

    >>> import torch
    >>> list(without_prefixes({"module._orig_mod.0.weight": torch.zeros(1)}))
    ['0.weight']
    """
    names = {name: name.split(".") for name in tensors}
    while names:
        first = {parts[0] for parts in names.values()}
        if len(first) > 1 or not first <= {"module", "_orig_mod", *wrapped}:
            break
        if min(len(parts) for parts in names.values()) < 2:
            break
        names = {name: parts[1:] for name, parts in names.items()}
    cleaned = [uncompiled(".".join(parts)) for parts in names.values()]
    if len(set(cleaned)) < len(cleaned):
        return tensors
    return dict(zip(cleaned, tensors.values(), strict=True))


def uncompiled(name: str) -> str:
    """Return a name without the mark that torch.compile, of the whole network or of a part, leaves in it.

    >>> uncompiled("net._orig_mod.0.weight")
    'net.0.weight'
    """
    return ".".join(part for part in name.split(".") if part != "_orig_mod")
