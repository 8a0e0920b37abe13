"""The overlap of the subspaces that the leading eigenvectors of NFM and AGOP span."""

import math

from nfa.features.factored import FactoredMatrix

DIRECTIONS = 10
"""The number of leading eigenvectors that are compared, where both ranks allow it."""


def subspace_overlap(nfm: FactoredMatrix, agop: FactoredMatrix) -> tuple[float, float]:
    """Return |U'V|^2 / r for the top r eigenvectors of NFM and AGOP, and r / d, its value for random directions.

    r = min(10, both ranks), a rank being the number of eigenvalues above 1e-6 of the largest. NaN, NaN
    where a matrix is 0.

    >>> import torch
    >>> subspace_overlap(FactoredMatrix(torch.eye(2)), FactoredMatrix(torch.eye(2), torch.eye(2)))
    (1.0, 1.0)
    """
    U, V = (matrix.top(DIRECTIONS)[1] for matrix in (nfm, agop))
    r = min(U.shape[1], V.shape[1])
    if r == 0:
        return math.nan, math.nan
    overlap = float(((U[:, :r].T @ V[:, :r]) ** 2).sum()) / r
    return min(overlap, 1.0), r / nfm.d
