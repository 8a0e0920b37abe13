"""The median distance under the current M, which is the unit of a bandwidth, and the bandwidths that can be used."""

import math

import torch
from torch import Tensor

from nfa.common.errors import InputError
from nfa.common.scale import relative
from nfa.rfm.kernels import Kernel
from nfa.rfm.points import Points

MEDIAN_ROWS = 1000
"""Of more rows than this, as many are taken, evenly spaced in an order drawn with the seed."""

LEAST_BANDWIDTH = 1e-50
"""The least bandwidth, and its inverse the largest, where the rows' largest entry is 1. Beyond these, all rows are the
same to the kernel, or none are, and the squares of its gradients leave float64."""


def median_distance(
    kernel: Kernel,
    points: Points,
    weights: Tensor | None,
    generator: torch.Generator,
) -> float:
    """Return the median distance over pairs of rows that differ; 1, about the largest entry, where none do.

    A pair counts by the product of its rows' weights, so that a row of weight 2 counts as two equal rows.

    Args:
        kernel: Its distance is taken.
        points: n points.
        weights: Shape (n,), or None for 1.
        generator: Draws `MEDIAN_ROWS` of more rows.

    >>> from nfa.rfm.kernels import Laplace
    >>> median_distance(Laplace(), Points(torch.tensor([[0.0], [1.0], [3.0]])), None, torch.Generator())
    2.0
    """
    device = points.rows.device
    if len(points) > MEDIAN_ROWS:
        drawn = torch.randperm(len(points), generator=generator)[:MEDIAN_ROWS].to(device)
        points, weights = points[drawn], None if weights is None else weights[drawn]
    distances = kernel.distances(points)
    if weights is None:
        # Each pair once. Selection among the zeros of the others takes twice the time.
        entries = distances.triu_(1).cpu().numpy()
        entries = entries[entries > 0]
        if not len(entries):
            return 1.0
        place = (len(entries) - 1) // 2
        entries.partition(place)
        return float(entries[place])
    i, j = torch.triu_indices(len(points), len(points), 1, device=device)
    distances = distances[i, j]
    apart = distances > 0
    found, order = distances[apart].sort()
    weights = relative(weights)
    share = (weights[i] * weights[j])[apart][order].cumsum(0)
    if not len(found) or share[-1] == 0:
        return 1.0
    return float(found[torch.searchsorted(share, share[-1:] / 2).clamp(max=len(found) - 1)])


def check_bandwidth(kernel: Kernel, points: Points, L: float, length: float) -> None:
    """Raise if a kernel cannot be computed.

    Args:
        kernel: The kernel.
        points: The rows, scaled so that their largest entry is about 1.
        L: The bandwidth in their units.
        length: `Metric.length`.

    Raises:
        InputError: the bandwidth is so far from the rows' size, or the kernel so large, that its values or gradients
            are no finite numbers of the rows' dtype.
    """
    if not (LEAST_BANDWIDTH < L < 1 / LEAST_BANDWIDTH and 0 < L * length < math.inf):
        raise InputError(
            "bandwidth",
            f"{L * length:.3g} in the units of X under M, where rows are up to about {length:.3g} apart; "
            f"expected between {LEAST_BANDWIDTH:g} and {1 / LEAST_BANDWIDTH:g} times as much, and a float64",
        )
    largest, digits = kernel.largest(points, L), torch.finfo(points.rows.dtype)
    if not largest <= digits.max * digits.eps:
        dtype = str(points.rows.dtype).removeprefix("torch.")
        raise InputError("bandwidth", f"the kernel is as large as {largest:.3g}, beyond {dtype}; expected a larger one")
