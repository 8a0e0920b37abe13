"""Kernel ridge regression beyond the memory budget: preconditioned conjugate gradients on blocks of the kernel."""

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from nfa.common.warned import ConvergenceWarning
from nfa.rfm.kernels import Kernel
from nfa.rfm.points import Points
from nfa.rfm.solving.choosing import BLOCK_ROWS, SOLVER_MATRICES, Plan
from nfa.rfm.solving.dense import Report, warn_singular

TOGETHER = 1 << 21
"""The most entries of a block of the kernel matrix: it stays in the processor's cache from distances to product."""
LANDMARKS = 2500
"""The preconditioner approximates the kernel from at most this many rows."""
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}
"""The residual, as a share of the target's norm, at which the solution counts as found."""
RESIDUAL_ROUNDINGS = 4
"""A residual of this many roundings of a product with the kernel matrix is enough; more steps would hardly lower it."""
SLACK = 100
"""But a residual above this many times the tolerance is never enough."""
STEPS = 300
"""The most products with the kernel matrix."""
DRIFT = 10
"""The most times the tolerance that may be left when the residual is computed anew."""
FALLBACK = {torch.float32: 1e-3, torch.float64: 1e-5}
"""The ridge, as a share of the kernel matrix's largest entry, that replaces one of next to nothing."""
DIVERGED = 1e6
"""A residual that has grown by this factor from its least shows a singular matrix, and will grow further."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """The kernel matrix of some points, never held whole: blocks of side x side are computed when they are needed.

    Args:
        kernel: The kernel.
        points: n points.
        L: The bandwidth.
        side: Rows and columns of a block.
    """

    kernel: Kernel
    points: Points
    L: float
    side: int

    def _block(self, X: Points, Z: Points | None) -> Tensor:
        """Return the kernel's values of points X and Z (None: X itself)."""
        pairs = self.kernel.pairs(X, Z).values
        return self.kernel.value(pairs, self.L, out=pairs)

    def times(self, V: Tensor) -> Tensor:
        """Return K V, (n, c). K is symmetric, so a block off its diagonal serves twice."""
        image = torch.zeros_like(V)
        parts = list(zip(self.points.split(self.side), V.split(self.side), image.split(self.side), strict=True))
        for number, (X, v, out) in enumerate(parts):
            out += self._block(X, None) @ v
            for Z, w, other in parts[:number]:
                block = self._block(X, Z)
                out += block @ w
                other += block.T @ v
        return image

    def diagonal(self) -> Tensor:
        """Return the diagonal of K, (n,)."""
        return torch.cat([self._block(part, None).diagonal().clone() for part in self.points.split(BLOCK_ROWS)])

    def among(self, drawn: Tensor) -> Tensor:
        """Return the part of K between drawn rows."""
        return self._block(self.points[drawn], None)

    def against(self, drawn: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Yield K between all rows and drawn ones, `BLOCK_ROWS` rows at a time, with the first row's number."""
        Z = self.points[drawn]
        for start in range(0, len(self.points), BLOCK_ROWS):
            yield start, self._block(self.points[start : start + BLOCK_ROWS], Z)


def solve_in_blocks(
    kernel: Kernel,
    points: Points,
    L: float,
    ridge: Tensor,
    Y: Tensor,
    plan: Plan,
    generator: torch.Generator,
    report: Report = warn_singular,
) -> Tensor:
    """Return a with (K + diag(ridge)) a = Y, by conjugate gradients; K is computed anew, in blocks, for every product.

    The preconditioner is B B' + D, with B B' the Nystrom approximation of K from some of the rows, and D = diag(ridge)
    plus the mean of what it leaves of K's diagonal. If this does not converge and the ridge is next to nothing, it
    begins again with a ridge of `FALLBACK`, and a warning says so.

    Args:
        kernel: The kernel.
        points: n points.
        L: The bandwidth.
        ridge: Shape (n,), at least 0.
        Y: Shape (n, c).
        plan: Has the memory budget.
        generator: Draws the preconditioner's rows.
        report: Called with a message about a singular system, instead of a warning.
    """
    together = min(TOGETHER, plan.budget // (4 * SOLVER_MATRICES * plan.itemsize))
    matrix = Blocks(kernel, points, L, side=math.isqrt(together))

    def attempt(ridge: Tensor) -> tuple[Tensor, float]:
        precondition = _preconditioner(matrix, diagonal, ridge, plan, generator)
        return _conjugate_gradients(lambda V: matrix.times(V) + ridge[:, None] * V, precondition, Y, rounding)

    diagonal = matrix.diagonal()
    largest = float(diagonal.max())
    rounding = RESIDUAL_ROUNDINGS * torch.finfo(Y.dtype).eps * math.sqrt(len(points)) * largest
    a, left = attempt(ridge)
    least, asked = FALLBACK[Y.dtype] * largest, float(ridge.min())
    if left > 1 and asked <= len(points) * torch.finfo(Y.dtype).eps * largest and asked < least:
        report(
            f"the kernel matrix of {len(points):,} rows plus ridge is singular to conjugate gradients; took a ridge of "
            f"{least:.1e}"
        )
        a, left = attempt(ridge.clamp(min=least))
    if left > 1:
        warnings.warn(
            f"conjugate gradients left {left:.2g} times the residual that is expected; took the best of up to {STEPS} "
            "steps. A larger ridge or memory_budget, or float64, helps.",
            ConvergenceWarning,
            stacklevel=2,
        )
    return a


def _conjugate_gradients(
    product: Callable[[Tensor], Tensor], precondition: Callable[[Tensor], Tensor], Y: Tensor, rounding: float
) -> tuple[Tensor, float]:
    """Return the best solution found, and the worst column's residual as a share of the largest accepted.

    Args:
        product: Multiplies by the matrix.
        precondition: Multiplies by an approximate inverse.
        Y: Shape (n, c).
        rounding: The residual that rounding makes for a solution of norm 1; no smaller one is sought.
    """
    norms = Y.double().norm(dim=0)
    targets = Y.double() / norms.where(norms > 0, 1)
    tolerance = TOLERANCE[Y.dtype]
    # All in float64, but for products with the kernel, which take nearly all of the time.
    a, residual, rz = torch.zeros_like(targets), targets, torch.zeros_like(norms)
    best, least, direction = a, residual.norm(dim=0), a
    restarted = False
    for _ in range(STEPS):
        enough = (rounding * a.norm(dim=0)).clamp(tolerance, SLACK * tolerance)
        if bool((residual.norm(dim=0) <= enough).all()):
            # The updated residual drifts from the true one. So it is computed anew, and steps begin again once.
            residual = targets - product(a.to(Y.dtype)).double()
            best, least = a, residual.norm(dim=0)
            if restarted or bool((least <= DRIFT * enough).all()):
                break
            rz, restarted = torch.zeros_like(norms), True
        z = precondition(residual)
        new = (residual * z).sum(0)
        direction, rz = z + torch.where(rz > 0, new / rz.where(rz > 0, 1), 0) * direction, new
        image = product(direction.to(Y.dtype)).double()
        curvature = (direction * image).sum(0)
        # Columns that are solved, or whose direction the kernel maps to 0, stay as they are.
        length = torch.where(curvature > 0, rz / curvature.where(curvature > 0, 1), 0)
        a, residual = a + length * direction, residual - length * image
        size = residual.norm(dim=0)
        if not bool((size < DIVERGED * least.clamp(min=tolerance)).all()):
            break
        best, least = torch.where(size < least, a, best), torch.minimum(size, least)
    accepted = DRIFT * (rounding * best.norm(dim=0)).clamp(tolerance, SLACK * tolerance)
    return (best * norms).to(Y.dtype), float((least / accepted).max())


def _preconditioner(
    matrix: Blocks, diagonal: Tensor, ridge: Tensor, plan: Plan, generator: torch.Generator
) -> Callable[[Tensor], Tensor]:
    """Return the function that divides by B B' + D (Woodbury), in float64.

    It removes nearly all of the part along the largest eigenvectors; in float32 only rounding would be left.
    """
    n, device = len(matrix.points), ridge.device
    # B, and four matrices among the landmarks, take half of the budget at most: 8 m (n + 4 m) bytes.
    size = min(n, LANDMARKS, max(1, (math.isqrt(n * n + plan.budget) - n) // 8))
    drawn = torch.randperm(n, generator=generator)[:size].to(device)
    small = matrix.among(drawn).double()
    factor = _factor(small, max(1e-6, 100 * torch.finfo(ridge.dtype).eps))
    B = ridge.new_empty(n, size, dtype=torch.float64)
    for start, across in matrix.against(drawn):
        part = torch.linalg.solve_triangular(factor, across.double().T, upper=False).T
        B[start : start + len(part)] = part
    left = (diagonal.double() - torch.linalg.vector_norm(B, dim=1).square()).clamp(min=0).mean()
    # Below the kernel's own rounding the approximation means nothing.
    digits = torch.finfo(ridge.dtype)
    floor = digits.eps * math.sqrt(n) * float(diagonal.max()) + digits.tiny
    inverse = 1 / (ridge + left).clamp(min=floor)[:, None]
    inner = torch.eye(size, dtype=torch.float64, device=B.device)
    for part, scale in zip(B.split(BLOCK_ROWS), inverse.split(BLOCK_ROWS), strict=True):
        inner.addmm_(part.T, part * scale)
    root = torch.linalg.cholesky(inner)

    def divide(R: Tensor) -> Tensor:
        scaled = R * inverse
        return scaled - (B @ torch.cholesky_solve(B.T @ scaled, root)) * inverse

    return divide


def _factor(small: Tensor, share: float) -> Tensor:
    """Return the Cholesky factor of a kernel matrix plus a share of its largest entry, raised until it succeeds."""
    largest, eye = small.diagonal().max() + torch.finfo(small.dtype).tiny, torch.eye(len(small)).to(small)
    while True:
        factor, info = torch.linalg.cholesky_ex(small + share * largest * eye)
        if int(info) == 0:
            return factor
        share *= 10
