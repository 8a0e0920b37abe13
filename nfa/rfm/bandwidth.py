"""The median distance under the current M: the unit in which a bandwidth is given."""

import torch
from torch import Tensor

from nfa.rfm.kernels import Kernel
from nfa.rfm.points import Points
from nfa.rfm.scale import relative

ROWS = 1000
"""More rows than this are represented by as many of them, evenly spaced in an order drawn with the seed."""


def median_distance(
    kernel: Kernel,
    points: Points,
    weights: Tensor | None,
    generator: torch.Generator,
) -> float:
    """Return the median distance over pairs of rows that differ; 1 where none do.

    A pair counts as often as the product of its rows' weights, so that a row of weight 2 is as two equal rows.

    Args:
        kernel: Says which distance.
        points: n points.
        weights: Shape (n,), or None for 1.
        generator: Draws `ROWS` of more rows.

    >>> from nfa.rfm.kernels import Laplace
    >>> median_distance(Laplace(), Points(torch.tensor([[0.0], [1.0], [3.0]])), None, torch.Generator())
    2.0
    """
    device = points.rows.device
    if len(points) > ROWS:
        drawn = torch.randperm(len(points), generator=generator)[:ROWS].to(device)
        points, weights = points[drawn], None if weights is None else weights[drawn]
    i, j = torch.triu_indices(len(points), len(points), 1, device=device)
    distances = kernel.distances(points)[i, j]
    apart = distances > 0
    if weights is None:
        found = distances[apart]
        return float(found.median()) if len(found) else 1.0
    found, order = distances[apart].sort()
    weights = relative(weights)
    share = (weights[i] * weights[j])[apart][order].cumsum(0)
    if not len(found) or share[-1] == 0:
        return 1.0
    return float(found[torch.searchsorted(share, share[-1:] / 2).clamp(max=len(found) - 1)])
