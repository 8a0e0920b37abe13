"""Kernel ridge regression beyond the memory budget: preconditioned conjugate gradients on blocks of the kernel."""

import warnings
from collections.abc import Callable

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from nfa.rfm.kernels import Kernel
from nfa.rfm.solving.choosing import ROWS, Plan

LANDMARKS = 1000
"""Rows that the preconditioner knows the kernel by."""
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}
"""Residual, as a share of the target's norm, at which the solution counts as found."""
STEPS = 300
"""The most products with the kernel matrix."""


def solve_in_blocks(
    kernel: Kernel, rows: Tensor, L: float, ridge: Tensor, Y: Tensor, plan: Plan, generator: torch.Generator
) -> Tensor:
    """Return a with (K + diag(ridge)) a = Y, by conjugate gradients; K is made anew, in blocks, for every product.

    The preconditioner is B B' + D: B B' the Nystrom approximation of K from some of the rows, D = diag(ridge) plus the
    mean of what it leaves of K's diagonal.

    Args:
        kernel: The kernel.
        rows: Shape (n, d).
        L: The bandwidth.
        ridge: Shape (n,), at least 0.
        Y: Shape (n, c).
        plan: Says how many rows of K fit.
        generator: Draws the preconditioner's rows.
    """
    n = len(rows)
    precondition = _preconditioner(kernel, rows, L, ridge, plan, generator)
    step = max(ROWS, plan.budget // (4 * 3 * n * plan.itemsize))

    def product(V: Tensor) -> Tensor:
        parts = [kernel.value(kernel.pairs(part, rows).values, L) @ V for part in rows.split(step)]
        return torch.cat(parts) + ridge[:, None] * V

    norms = Y.norm(dim=0)
    unit = norms.where(norms > 0, 1)
    a, residual = torch.zeros_like(Y), Y / unit
    z = precondition(residual)
    direction, rz = z.clone(), (residual * z).sum(0)
    worst = 1.0
    for _ in range(STEPS):
        worst = float(residual.norm(dim=0).max())
        if worst <= TOLERANCE[Y.dtype]:
            return a * unit
        image = product(direction)
        curvature = (direction * image).sum(0)
        # Columns that are solved, or whose direction the kernel does not see, stay as they are.
        length = torch.where(curvature > 0, rz / curvature.where(curvature > 0, 1), 0)
        a, residual = a + length * direction, residual - length * image
        z = precondition(residual)
        new = (residual * z).sum(0)
        direction, rz = z + torch.where(rz > 0, new / rz.where(rz > 0, 1), 0) * direction, new
    warnings.warn(
        f"conjugate gradients reached a residual of {worst:.1e} of the targets in {STEPS} steps, expected "
        f"{TOLERANCE[Y.dtype]:.0e}. A larger ridge or memory_budget helps.",
        ConvergenceWarning,
        stacklevel=2,
    )
    return a * unit


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
    own = torch.cat([kernel.value(kernel.pairs(part).values, L).diagonal() for part in parts])
    left = (own - (B * B).sum(1)).clamp(min=0).mean()
    inverse = 1 / (ridge + left).clamp(min=1e-12)[:, None]
    inner = (B.T @ (B * inverse)).double()
    inner.diagonal().add_(1)
    root = torch.linalg.cholesky(inner)

    def divide(R: Tensor) -> Tensor:
        scaled = R * inverse
        return scaled - (B @ torch.cholesky_solve((B.T @ scaled).double(), root).to(R.dtype)) * inverse

    return divide
