"""A layer's weight W, with results that several of its feature matrices share."""

import math
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from nfa.common.scale import unit_of
from nfa.features.alignment import ROWS, Moments
from nfa.features.leading import leading

CUTOFF = 1e-6
"""Eigenvalues at or below this share of the largest count as 0, in powers and in ranks."""


def working_dtype(*tensors: Tensor) -> torch.dtype:
    """Return the dtype of products: float64 if any tensor is float64, else float32.

    >>> working_dtype(torch.zeros(1, dtype=torch.bfloat16))
    torch.float32
    """
    return torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors) else torch.float32


WIDE = 512
"""Layers of fewer units are computed on the processor: a GPU would have next to nothing to do at each step."""


def place_of(rows: Tensor) -> torch.device:
    """Return where the matrices of a layer are computed, from a weight (k x d), or from rows of k entries transposed.

    That is its own device if this is a GPU with float64 and the layer is wide, and the processor if not.

    >>> place_of(torch.zeros(3, 2))
    device(type='cpu')
    """
    return rows.device if rows.device.type == "cuda" and len(rows) >= WIDE else torch.device("cpu")


INNER = 1024
"""The most terms that a float32 product adds up; longer sums go on in float64."""


def product(A: Tensor, B: Tensor) -> Tensor:
    """Return AB', adding up long sums in float64 by pieces of `INNER` terms.

    >>> product(torch.ones(1, 3), torch.ones(2, 3))
    tensor([[3., 3.]])
    """
    if A.dtype == torch.float64 or A.shape[1] <= INNER:
        return A @ B.T
    pieces = zip(A.split(INNER, 1), B.split(INNER, 1), strict=True)
    total = torch.zeros(len(A), len(B), dtype=torch.float64, device=A.device)
    for a, b in pieces:
        total += a @ b.T
    return total.to(A.dtype)


SIDE = 256
"""The least side of a block of a symmetric product."""


def symmetric(n: int, block: Callable[[int, int], Tensor]) -> Tensor:
    """Return a symmetric n x n matrix of which only the blocks on and above the diagonal are computed.

    Args:
        n: Its size.
        block: Returns rows a to b of the columns from a on.

    >>> A = torch.tensor([[1.0, 2.0]])
    >>> symmetric(2, lambda a, b: A.T[a:b] @ A[:, a:])
    tensor([[1., 2.],
            [2., 4.]])
    """
    side = max(SIDE, -(-n // 8))
    if n <= side:
        return block(0, n)
    blocks = {start: block(start, min(n, start + side)) for start in range(0, n, side)}
    matrix = blocks[0].new_empty(n, n)
    for start, part in blocks.items():
        stop = start + len(part)
        matrix[start:stop, start:] = part
        matrix[stop:, start:stop] = part[:, len(part) :].T
    return matrix


GRAM_KEPT = 2048
"""Gram matrices up to this size are made whole; sums over larger ones are taken tile by tile."""

TILE = 1024
"""Rows of a tile."""


class Weight:
    """W (k x d) in its place (see `place_of`), in float32 or float64, divided by `unit`.

    Every matrix W'SW lives in W's row space, so a matrix of size min(k, d) answers every question about it: `compact`
    has the same trace and inner products, and `core` is symmetric with the same eigenvalues.

    Args:
        W: Shape (k, d), any floating-point dtype and device.
        unit: A factor of W that stays beside it.
        place: Where it is computed, if that is known already.

    >>> Weight(torch.eye(2, 3)).gram.shape
    torch.Size([2, 2])
    """

    def __init__(self, W: Tensor, unit: float = 1.0, place: torch.device | None = None) -> None:
        W = W.detach().to(place or place_of(W), working_dtype(W))
        own = unit_of(W)
        self.unit = own * unit
        self.W = W if own == 1.0 else W / own
        self.k, self.d = self.W.shape

    @cached_property
    def gram(self) -> Tensor:
        """The smaller of C = WW' (d >= k) and the NFM W'W (d < k)."""
        return _gram(self.W if self.d >= self.k else self.W.T)

    @cached_property
    def C(self) -> Tensor:
        """C = WW' (k x k), the Gram matrix of W's rows; `gram` itself where d >= k."""
        return self.gram if self.d >= self.k else _gram(self.W)

    @cached_property
    def moments(self) -> Moments:
        """The moments of C, in the unit of `W`; nothing of the size of `gram` is kept for it where that is large."""
        n, trace = min(self.k, self.d), self.trace
        level, spread = trace / n, 0.0
        V = self.W if self.d >= self.k else self.W.T
        tile = ROWS if self.gram_kept else TILE
        for start in range(0, n, tile):
            stop = min(n, start + tile)
            rows = self.gram[start:stop, start:] if self.gram_kept else product(V[start:stop], V[start:])
            rows = rows.to(torch.float64, copy=True)
            rows.diagonal().sub_(level)
            own, beside = rows[:, : stop - start], rows[:, stop - start :]
            # What is right of the diagonal block stands for its mirror image too.
            spread += float(torch.linalg.vecdot(own, own).sum()) + 2 * float(torch.linalg.vecdot(beside, beside).sum())
        if self.d < self.k:
            spread += trace**2 * (1 / self.d - 1 / self.k)  # C has k - d further eigenvalues, which are 0
        found = self.W.new_tensor([trace / self.k, spread], dtype=torch.float64)
        return Moments(self.k, found[:1], found[1:], torch.finfo(self.W.dtype).eps)

    @property
    def gram_kept(self) -> bool:
        """Whether `gram` is small enough to be made whole."""
        return min(self.k, self.d) <= GRAM_KEPT

    @cached_property
    def trace(self) -> float:
        """The trace of `gram`, |W|^2."""
        if self.gram_kept:
            return float(self.gram.diagonal().sum(dtype=torch.float64))
        return self._square()

    @cached_property
    def gram_square(self) -> float:
        """The squared norm of `gram`, and of C."""
        return self.moments.square

    @cached_property
    def dense(self) -> Tensor:
        """W'W (d x d) as a matrix; `gram` itself where d < k."""
        return self.gram if self.d < self.k else _gram(self.W.T)

    @cached_property
    def basis(self) -> Tensor:
        """K (k x r) with W = K Q', Q (d x r) with orthonormal columns.

        Where d <= k, W itself with Q = I; else the Cholesky factor of C, or if C is singular, of W' = QK'.
        """
        if self.d <= self.k:
            return self.W
        K: Tensor
        K, failed = torch.linalg.cholesky_ex(self.gram.double())
        if failed:
            K = torch.linalg.qr(self.W.T, mode="r").R.T
        return K.to(self.W.dtype)

    def norm(self) -> float:
        """Return |W|, the Frobenius norm."""
        return self.unit * math.sqrt(self._square())

    @cached_property
    def row_sums(self) -> Tensor:
        """W1, float64, shape (k,)."""
        sums: Tensor = self.W.sum(1)
        return sums.double()

    def compact(self, S: Tensor | None) -> Tensor:
        """Return T with tr T = tr W'SW and <W'S1W, W'S2W> = tr(T1 T2): SC where d >= k, W'SW where d < k.

        Args:
            S: Shape (k, k), symmetric; None for the identity.
        """
        if S is None:
            return self.gram
        S = S.to(self.W.dtype)
        if self.d >= self.k:
            return S @ self.gram
        SW = S @ self.W
        return symmetric(self.d, lambda a, b: self.W.T[a:b] @ SW[:, a:])

    def core(self, S: Tensor, compact: Tensor) -> Tensor:
        """Return K'SK (r x r, float64): symmetric, with the nonzero eigenvalues of W'SW."""
        if self.d < self.k:
            return compact.double()
        K, SK = self.basis, S.to(self.W.dtype) @ self.basis
        return symmetric(K.shape[1], lambda a, b: K[:, a:b].T @ SK[:, a:]).double()

    def top(self, r: int) -> tuple[Tensor, Tensor]:
        """Return the NFM's r largest eigenvalues, descending, and eigenvectors (d x r), float64.

        Directions of eigenvalue 0 come as zero vectors.
        """
        dtype = self.W.dtype
        lam, P = leading(self._gram_times, min(self.k, self.d), r, torch.finfo(dtype).eps, self.W.device)
        lam = lam.clamp(min=0)
        if self.d < self.k:
            return lam, P
        # W'p has norm sqrt(lam).
        scale = torch.where(lam > torch.finfo(lam.dtype).eps * lam[0], lam.rsqrt(), 0.0)
        return lam, (self.W.T @ P.to(dtype)).double() * scale

    def _gram_times(self, X: Tensor) -> Tensor:
        """Return the image of vectors (float64) under `gram`."""
        rows = X.T.to(self.W.dtype).contiguous()  # of a few columns, products are several times slower
        if self.gram_kept:
            return (rows @ self.gram).T.double().contiguous()
        W = self.W if self.d >= self.k else self.W.T
        return (rows @ W @ W.T).T.double().contiguous()

    def _square(self) -> float:
        """Return |W|^2 in the unit of `W`."""
        return sum(float(rows.double().square().sum()) for rows in self.W.split(TILE))


def _gram(V: Tensor) -> Tensor:
    """Return VV'."""
    return symmetric(len(V), lambda a, b: product(V[a:b], V[a:]))
