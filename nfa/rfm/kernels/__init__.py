"""Kernels of recursive feature machines: a file for each kind, with its values and its gradients."""

from nfa.rfm.kernels.base import Expansion, Kernel, Sample
from nfa.rfm.kernels.l1 import ProductLaplace
from nfa.rfm.kernels.quadratic import Quadratic
from nfa.rfm.kernels.radial import ExponentialPower, Gaussian, Laplace, Radial
from nfa.rfm.kernels.registry import KERNELS, kernel_named

__all__ = [
    "KERNELS",
    "Expansion",
    "ExponentialPower",
    "Gaussian",
    "Kernel",
    "Laplace",
    "ProductLaplace",
    "Quadratic",
    "Radial",
    "Sample",
    "kernel_named",
]
