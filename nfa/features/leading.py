"""The largest eigenvalues of a symmetric matrix and their eigenvectors, without a whole decomposition.

torch decomposes all of a dense matrix or none of it, and scipy's solvers for a part take one vector at a time, which
reads a large weight hundreds of times. Blocks of vectors make matrix products of it.
"""

from collections.abc import Callable

import torch
from torch import Tensor

SMALL = 256
"""Matrices of at most this size are decomposed whole."""

ROUNDINGS = 64
"""Residuals are at most this many roundings of the largest eigenvalue."""

LOST = 1e-8
"""An image that is smaller than this share of the matrix, beside the basis, has no direction of its own."""

GROWTH = 1.3
"""The basis grows by this factor between two looks at the residuals."""


def leading(
    product: Callable[[Tensor], Tensor], n: int, r: int, eps: float, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Return the r largest eigenvalues of a positive semidefinite matrix, descending, and eigenvectors (float64).

    Block Lanczos with full reorthogonalisation: Ritz pairs in the Krylov space of a random block of r vectors, which
    grows until residuals are at the level of rounding, at the latest to the whole space.

    Args:
        product: Maps a block of vectors (n x m, float64) to their images.
        n: The matrix is n x n.
        r: How many; all where n is smaller.
        eps: The rounding of the product.
        device: Where the product takes its vectors; small matrices are decomposed on the processor in any case.

    Source: Golub and Van Loan, Matrix Computations, section 10.3 (block Lanczos).

    >>> values, vectors = leading(lambda X: torch.diag(torch.arange(5.0).double()) @ X, 5, 2, 1e-16)
    >>> values.tolist()
    [4.0, 3.0]
    """
    r = min(r, n)
    if n <= SMALL:
        values, vectors = _largest(product(torch.eye(n, dtype=torch.float64, device=device)).cpu(), r)
        return values.to(device), vectors.to(device)
    generator = torch.Generator().manual_seed(0)
    block = _orthonormal(torch.randn(n, r, dtype=torch.float64, generator=generator, device="cpu").to(device))
    room, T, old, looked = block.new_empty(n, 0), torch.zeros(0, 0, dtype=torch.float64, device="cpu"), 0, 0
    while True:
        size = old + block.shape[1]
        if size > room.shape[1]:
            room = torch.cat([room[:, :old], block.new_empty(n, min(n, 2 * size) - old)], 1)
        room[:, old:size] = block
        basis, image = room[:, :size], product(block)
        # Twice, since the first pass leaves rounding in the directions of the basis.
        column, image = _split(basis, image)
        again, image = _split(basis, image)
        T = torch.nn.functional.pad(T, (0, size - old, 0, size - old))
        column = (column + again).cpu()
        T[:, old:] = column
        T[old:, :old] = column[:old].T
        Q, R = torch.linalg.qr(image)
        R = R.cpu()
        if size == n or size >= GROWTH * looked:
            looked = size
            values, vectors = _largest(T, r)
            residuals = torch.linalg.vector_norm(R @ vectors[old:], dim=0)
            if size == n or float(residuals.amax()) <= ROUNDINGS * eps * float(values[0]):
                return values.to(device), basis @ vectors.to(device)
        if float(R.diagonal().abs().amin()) <= LOST * float(T.diagonal().amax()):
            # Rounding made these directions, which lie anywhere.
            Q = _orthonormal(_split(basis, Q)[1])
        block, old = Q[:, : n - size], size


def _split(basis: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return the coordinates of vectors in an orthonormal basis, and what is left of them."""
    coordinates = basis.T @ vectors
    return coordinates, torch.addmm(vectors, basis, coordinates, alpha=-1)


def _largest(A: Tensor, r: int) -> tuple[Tensor, Tensor]:
    values, vectors = torch.linalg.eigh((A + A.T) / 2)
    return values[-r:].flip(0), vectors[:, -r:].flip(1)


def _orthonormal(block: Tensor) -> Tensor:
    Q: Tensor = torch.linalg.qr(block).Q
    return Q
