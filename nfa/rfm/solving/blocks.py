"""Kernel ridge regression beyond the memory budget: preconditioned conjugate gradients on blocks of the kernel."""

import math
import warnings
from collections.abc import Callable

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from nfa.rfm.kernels import Kernel
from nfa.rfm.solving.choosing import MATRICES, ROWS, Plan
from nfa.rfm.solving.dense import SingularKernelWarning

LANDMARKS = 1000
"""Rows that the preconditioner knows the kernel by."""
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}
"""Residual, as a share of the target's norm, at which the solution counts as found."""
STEPS = 300
"""The most products with the kernel matrix."""
DRIFT = 10
"""How many times the tolerance is left, at most, when the residual is computed anew."""
FALLBACK = {torch.float32: 1e-3, torch.float64: 1e-5}
"""The ridge, as a share of the kernel matrix's largest entry, taken in the place of next to none."""
DIVERGED = 1e6
"""A residual that has grown this much from its least comes from a singular matrix, and goes on growing."""


def solve_in_blocks(
    kernel: Kernel, rows: Tensor, L: float, ridge: Tensor, Y: Tensor, plan: Plan, generator: torch.Generator
) -> Tensor:
    """Return a with (K + diag(ridge)) a = Y, by conjugate gradients; K is made anew, in blocks, for every product.

    The preconditioner is B B' + D: B B' the Nystrom approximation of K from some of the rows, D = diag(ridge) plus the
    mean of what it leaves of K's diagonal. Where that does not converge and the ridge is next to nothing, it is begun
    again with a ridge of `FALLBACK`, and a warning says so.

    Args:
        kernel: The kernel.
        rows: Shape (n, d).
        L: The bandwidth.
        ridge: Shape (n,), at least 0.
        Y: Shape (n, c).
        plan: Says how many rows of K fit.
        generator: Draws the preconditioner's rows.
    """
    step = max(1, plan.budget // (4 * MATRICES * len(rows) * plan.itemsize))

    def product(V: Tensor) -> Tensor:
        return torch.cat([kernel.value(kernel.pairs(part, rows).values, L) @ V for part in rows.split(step)])

    def attempt(ridge: Tensor) -> tuple[Tensor, float]:
        precondition = _preconditioner(kernel, rows, L, ridge, plan, generator)
        return _conjugate_gradients(lambda V: product(V) + ridge[:, None] * V, precondition, Y)

    tolerance = DRIFT * TOLERANCE[Y.dtype]
    a, left = attempt(ridge)
    largest = float(_own(kernel, rows, L).max())
    least, asked = FALLBACK[Y.dtype] * largest, float(ridge.min())
    if left > tolerance and asked <= len(rows) * torch.finfo(Y.dtype).eps * largest and asked < least:
        warnings.warn(
            f"the kernel matrix of {len(rows):,} rows plus ridge is singular to conjugate gradients; took a ridge of "
            f"{least:.1e}. A larger ridge avoids this.",
            SingularKernelWarning,
            stacklevel=2,
        )
        a, left = attempt(ridge.clamp(min=least))
    if left > tolerance:
        warnings.warn(
            f"conjugate gradients left a residual of {left:.1e} of the targets, expected {tolerance:.0e}; took the "
            f"best of up to {STEPS} steps. A larger ridge or memory_budget, or float64, helps.",
            ConvergenceWarning,
            stacklevel=2,
        )
    return a


def _conjugate_gradients(
    product: Callable[[Tensor], Tensor], precondition: Callable[[Tensor], Tensor], Y: Tensor
) -> tuple[Tensor, float]:
    """Return the best solution found, and its residual as a share of Y's norm, of the worst column."""
    norms = Y.double().norm(dim=0)
    targets = Y.double() / norms.where(norms > 0, 1)
    tolerance = TOLERANCE[Y.dtype]
    # Sums of few numbers cost nothing in float64; products with the kernel and the preconditioner are in Y's dtype.
    a, residual, rz = torch.zeros_like(targets), targets, torch.zeros_like(norms)
    best, least, direction = a, residual.norm(dim=0), a
    restarted = False
    for _ in range(STEPS):
        if bool((residual.norm(dim=0) <= tolerance).all()):
            # What is subtracted step by step drifts from what is left: it is computed anew, and once begun again.
            residual = targets - product(a.to(Y.dtype)).double()
            best, least = a, residual.norm(dim=0)
            if restarted or bool((least <= DRIFT * tolerance).all()):
                break
            rz, restarted = torch.zeros_like(norms), True
        z = precondition(residual.to(Y.dtype)).double()
        new = (residual * z).sum(0)
        direction, rz = z + torch.where(rz > 0, new / rz.where(rz > 0, 1), 0) * direction, new
        image = product(direction.to(Y.dtype)).double()
        curvature = (direction * image).sum(0)
        # Columns that are solved, or whose direction the kernel does not see, stay as they are.
        length = torch.where(curvature > 0, rz / curvature.where(curvature > 0, 1), 0)
        a, residual = a + length * direction, residual - length * image
        size = residual.norm(dim=0)
        if not bool((size < DIVERGED * least.clamp(min=tolerance)).all()):
            break
        best, least = torch.where(size < least, a, best), torch.minimum(size, least)
    return (best * norms).to(Y.dtype), float(least.max())


def _own(kernel: Kernel, rows: Tensor, L: float) -> Tensor:
    """Return the diagonal of the kernel matrix, (n,)."""
    parts = (kernel.value(kernel.pairs(part).values, L).diagonal() for part in rows.split(ROWS))
    return torch.cat([each.clone() for each in parts])


def _preconditioner(
    kernel: Kernel, rows: Tensor, L: float, ridge: Tensor, plan: Plan, generator: torch.Generator
) -> Callable[[Tensor], Tensor]:
    """Return the function that divides by B B' + D (Woodbury)."""
    n = len(rows)
    size = min(n, LANDMARKS, max(1, plan.budget // (8 * n * plan.itemsize)))
    drawn = torch.randperm(n, generator=generator)[:size].to(rows.device)
    Z = rows[drawn]
    small = kernel.value(kernel.pairs(Z).values, L).double()
    small.diagonal().add_(1e-6 * small.diagonal().max() + torch.finfo(torch.float64).tiny)
    factor = torch.linalg.cholesky(small)
    parts = rows.split(ROWS)
    across = [kernel.value(kernel.pairs(part, Z).values, L).double() for part in parts]
    B = torch.cat([torch.linalg.solve_triangular(factor, each.T, upper=False).T.to(rows.dtype) for each in across])
    own = _own(kernel, rows, L)
    left = (own - (B * B).sum(1)).clamp(min=0).mean()
    # Below its own rounding the approximation says nothing.
    floor = torch.finfo(rows.dtype).eps * math.sqrt(n) * float(own.max()) + torch.finfo(rows.dtype).tiny
    inverse = 1 / (ridge + left).clamp(min=floor)[:, None]
    inner = (B.T @ (B * inverse)).double()
    inner.diagonal().add_(1)
    root = torch.linalg.cholesky(inner)

    def divide(R: Tensor) -> Tensor:
        scaled = R * inverse
        return scaled - (B @ torch.cholesky_solve((B.T @ scaled).double(), root).to(R.dtype)) * inverse

    return divide
