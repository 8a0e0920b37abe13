"""Kernels by name.

A new kernel is a file beside this one, an entry here, its formula in `tests/rfm/kernel_reference.py`, which tests every
kernel of this table, and its words in the docstring of `RFMRegressor`.
"""

import math

from nfa.common.checks import one_of
from nfa.common.errors import InputError
from nfa.rfm.kernels.base import Kernel
from nfa.rfm.kernels.l1 import ProductLaplace
from nfa.rfm.kernels.quadratic import Quadratic
from nfa.rfm.kernels.radial import ExponentialPower, Gaussian, Laplace
from nfa.rfm.plain import plain

CLASSES: tuple[type[Kernel], ...] = (Laplace, Gaussian, ExponentialPower, Quadratic, ProductLaplace)
for _kernel in CLASSES:
    plain(_kernel)
KERNELS = tuple(kernel.name for kernel in CLASSES)
"""Names that `kernel_named` knows."""
OTHER_NAMES = {"rbf": "'gaussian', exp(-r^2 / (2 L^2)); scikit-learn's gamma is 1 / (2 L^2)"}
"""Names of kernels in other libraries, and what to write instead."""


def kernel_named(name: str, exponent: float = 1.0) -> Kernel:
    """Return a kernel by name.

    Args:
        name: One of `KERNELS`.
        exponent: q of the kernel "power"; must be left at 1 for the others.

    Raises:
        InputError: an unknown name, or an exponent that the kernel does not have.

    >>> kernel_named("power", 0.7)
    ExponentialPower(q=0.7)
    """
    if isinstance(name, str) and name in OTHER_NAMES:
        raise InputError("kernel", f"{name!r} is called {OTHER_NAMES[name]}")
    found = CLASSES[KERNELS.index(one_of("kernel", name, KERNELS))]
    if found.has_exponent:
        return found(exponent)  # type: ignore[call-arg]
    if not math.isclose(exponent, 1.0):
        raise InputError("exponent", f"got {exponent}, but the kernel {name!r} has none; expected 1")
    return found()
