"""Block-diagonal matrices: the weight of a convolution in groups, each of which is a linear map of its own."""

import torch
from torch import Tensor


def diagonal_blocks(M: Tensor, groups: int) -> Tensor:
    """Return the blocks on the diagonal of M (k x d), shape (groups, k / groups, d / groups).

    >>> diagonal_blocks(torch.arange(8).reshape(2, 4), 2).tolist()
    [[[0, 1]], [[6, 7]]]
    """
    k, d = M.shape
    blocks: Tensor = M.reshape(groups, k // groups, groups, d // groups).diagonal(dim1=0, dim2=2).permute(2, 0, 1)
    return blocks


def block_diagonal(blocks: Tensor) -> Tensor:
    """Return the matrix that has these blocks (groups x k x d) on its diagonal, and zeros elsewhere.

    >>> block_diagonal(torch.tensor([[[1, 2]], [[3, 4]]])).tolist()
    [[1, 2, 0, 0], [0, 0, 3, 4]]
    """
    matrix: Tensor = torch.block_diag(*blocks)
    return matrix


def within_blocks(M: Tensor, groups: int) -> Tensor:
    """Return M (k x d) with zeros outside of the blocks on its diagonal; M itself for one group."""
    return M if groups == 1 else block_diagonal(diagonal_blocks(M, groups))
