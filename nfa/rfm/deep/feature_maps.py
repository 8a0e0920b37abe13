"""Random features: maps whose inner products approximate a kernel, drawn once and then fixed."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nfa.common.checks import one_of

FEATURE_MAPS = ("relu", "gaussian", "laplace")
"""Names that `feature_map_named` knows."""


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """Phi: rows z (m x d) to rows of random features (m x width).

    Args:
        directions: G, shape (d, width).
        phases: b, shape (width,), of Fourier features; None for ReLU features.
    """

    directions: Tensor
    phases: Tensor | None

    def __call__(self, Z: Tensor) -> Tensor:
        """Return (2 / width)^(1/2) times relu(G'z), or cos(G'z + b), for each row z."""
        angles = Z @ self.directions.to(Z.dtype)
        values = angles.relu_() if self.phases is None else angles.add_(self.phases.to(Z.dtype)).cos_()
        return values.mul_(math.sqrt(2 / values.shape[1]))

    def to(self, device: torch.device) -> "FeatureMap":
        """Return the map on a device."""
        return FeatureMap(self.directions.to(device), None if self.phases is None else self.phases.to(device))


def feature_map_named(name: str, d: int, width: int, L: float, generator: torch.Generator) -> FeatureMap:
    """Draw a feature map.

    - "relu": G standard normal. |Phi(z)|^2 is |z|^2 on average; inner products approximate the kernel
      |x| |z| (sin t + (pi - t) cos t) / pi, with t the angle between x and z. L is not used.
    - "gaussian": Fourier features of exp(-r^2 / (2 L^2)): G normal, of deviation 1 / L, phases uniform.
    - "laplace": of exp(-r / L): G as above, each column divided by the size of a normal number (a Cauchy law).

    Args:
        name: One of `FEATURE_MAPS`.
        d: Entries of a row.
        width: Features.
        L: The bandwidth.
        generator: On the CPU; it draws in float64, so that all dtypes have the same features.

    Raises:
        InputError: an unknown name.

    Source: Cho and Saul, "Kernel methods for deep learning" (2009); Rahimi and Recht, "Random features for large-scale
    kernel machines" (2007).

    >>> feature_map_named("relu", 3, 8, 1.0, torch.Generator().manual_seed(0))(torch.zeros(2, 3)).shape
    torch.Size([2, 8])
    """
    one_of("feature_map", name, FEATURE_MAPS)
    G = torch.randn(d, width, generator=generator, dtype=torch.float64)
    if name == "relu":
        return FeatureMap(G, None)
    phases = 2 * math.pi * torch.rand(width, generator=generator, dtype=torch.float64)
    if name == "laplace":
        G = G / torch.randn(width, generator=generator, dtype=torch.float64).abs()
    return FeatureMap(G / L, phases)


def unit_rows(X: Tensor) -> Tensor:
    """Return rows scaled to norm 1; a row of zeros stays as it is.

    >>> unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    # Divided by the largest entry first, since its square may be beyond the dtype.
    largest = X.abs().amax(1, keepdim=True)
    X = X / torch.where(largest > 0, largest, 1.0)
    norms = torch.linalg.vector_norm(X, dim=1, keepdim=True)
    return X / torch.where(norms > 0, norms, 1.0)
