"""What is unusual about the rows that reach a layer, in words."""

import torch
from torch import Tensor


def unusual_rows(H: Tensor) -> list[str]:
    """Return what a layer does that is wider than there are samples, or that sees the same for every sample.

    Args:
        H: The rows that reach it, (n, d), or (n, p, d) where each sample has several.

    >>> unusual_rows(torch.ones(2, 3))[0]
    'takes 3 entries, but there are 2 samples'
    """
    found = []
    n, d = len(H), H.shape[-1]
    if n < d:
        found.append(f"takes {d} entries, but there are {n} samples")
    if n > 1 and torch.equal(H, H[:1].expand_as(H)):
        found.append("sees the same for every sample: what comes before it is dead on X")
    return found
