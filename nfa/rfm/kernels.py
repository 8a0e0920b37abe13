"""Kernels of two rows, in the coordinates z = M^(1/2) x where M is the identity."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from nfa.common.checks import one_of
from nfa.common.errors import InputError
from nfa.rfm.moments import Moments, product_moments, quadratic_moments, radial_moments
from nfa.rfm.pairs import TILE, Pairs, euclidean, manhattan


class Kernel(ABC):
    """A kernel k(x, z), and the sums of its machine's gradients."""

    name: str
    radial = True
    translation_invariant = True

    @property
    def exponent(self) -> float:
        """The exponent of exp(-(r / L)^q), where a kernel has one to choose; else 1."""
        return 1.0

    def pairs(
        self, X: Tensor, Z: Tensor | None = None, out: Tensor | None = None, usual: Tensor | None = None
    ) -> Pairs:
        """Return what the kernel's value depends on, for each pair of rows; Z = None stands for X itself.

        Args:
            X: Shape (m, d).
            Z: Shape (n, d), or None.
            out: Memory (m, n) that may be used for it.
            usual: `Metric.usual` of the rows; None where they are as given.
        """
        return euclidean(X, Z, out, usual)

    def distances(self, X: Tensor, usual: Tensor | None = None) -> Tensor:
        """Return the distances among rows whose median is the bandwidth's unit."""
        return self.pairs(X, usual=usual).values

    def value(self, pairs: Tensor, L: float, out: Tensor | None = None) -> Tensor:
        """Return the kernel's values from `Pairs.values` at the bandwidth L, in new memory or in `out`."""
        K = torch.empty_like(pairs) if out is None else out
        # Tile by tile, so that what is computed on the way stays in the processor's cache.
        for source, target in zip(pairs.split(TILE), K.split(TILE), strict=True):
            self.tile(source, L, target)
        return K

    @abstractmethod
    def tile(self, pairs: Tensor, L: float, out: Tensor) -> None:
        """Put the kernel's values of one tile into `out`."""

    @abstractmethod
    def moments(
        self,
        X: Tensor,
        Z: Tensor,
        a: Tensor,
        L: float,
        root: Tensor | None,
        diag: bool,
        pairs: Pairs | None = None,
        usual: Tensor | None = None,
    ) -> Moments:
        """Return sums over the rows of X: of the gradients of f_j(x) = sum_i a_ij k(x, z_i), of their outer products.

        Args:
            X: Shape (m, d).
            Z: Shape (n, d).
            a: Shape (n, c).
            L: The bandwidth.
            root: Square roots of the rows' weights, shape (m,), or None for 1.
            diag: Only the diagonal of the outer products.
            pairs: `self.pairs(X, Z)` where it is at hand.
            usual: `Metric.usual` of the rows; None where they are as given.
        """


class Radial(Kernel):
    """k(x, z) = phi(|x - z| / L)."""

    def tile(self, pairs: Tensor, L: float, out: Tensor) -> None:
        """Put phi(r / L) into `out`."""
        self.phi_(torch.mul(pairs, 1 / L, out=out))

    @abstractmethod
    def phi_(self, t: Tensor) -> Tensor:
        """Overwrite t = r / L with phi(t), and return it."""

    @abstractmethod
    def rate_(self, t: Tensor) -> Tensor:
        """Overwrite t = r / L with phi'(t) / (t phi(t)), and return it; it may be infinite at t = 0."""

    def slopes(self, r: Tensor, L: float, K: Tensor | None = None, out: Tensor | None = None) -> Tensor:
        """Return phi'(t) / t at t = r / L, and 0 at t = 0, from K = phi(t) where at hand; `out` is memory for it."""
        t = torch.div(r, L, out=out)
        K = self.phi_(t.clone()) if K is None else K
        return self.rate_(t).mul_(K).nan_to_num_(posinf=0.0, neginf=0.0)

    def moments(
        self,
        X: Tensor,
        Z: Tensor,
        a: Tensor,
        L: float,
        root: Tensor | None,
        diag: bool,
        pairs: Pairs | None = None,
        usual: Tensor | None = None,
    ) -> Moments:
        """Return the gradients' sums, by the cheaper of two forms."""
        return radial_moments(self, X, Z, a, L, root, diag, pairs, usual)


@dataclass(frozen=True)
class Laplace(Radial):
    """exp(-r / L).

    >>> Laplace().value(torch.tensor([[2.0]]), 1.0)
    tensor([[0.1353]])
    """

    name = "laplace"

    def tile(self, pairs: Tensor, L: float, out: Tensor) -> None:
        """Put exp(-r / L) into `out`, in one pass less."""
        torch.mul(pairs, -1 / L, out=out).exp_()  # a product: dividing takes as long as all the rest

    def slopes(self, r: Tensor, L: float, K: Tensor | None = None, out: Tensor | None = None) -> Tensor:
        """Return -exp(-t) / t at t = r / L, and 0 at t = 0, with a single division."""
        K = (r * (-1 / L)).exp_() if K is None else K
        return torch.div(K, r, out=out).mul_(-L).nan_to_num_(posinf=0.0, neginf=0.0)

    def phi_(self, t: Tensor) -> Tensor:
        """Return exp(-t)."""
        return t.neg_().exp_()

    def rate_(self, t: Tensor) -> Tensor:
        """Return -1 / t."""
        return t.neg_().reciprocal_()


@dataclass(frozen=True)
class Gaussian(Radial):
    """exp(-r^2 / (2 L^2))."""

    name = "gaussian"

    def phi_(self, t: Tensor) -> Tensor:
        """Return exp(-t^2 / 2)."""
        return t.square_().mul_(-0.5).exp_()

    def rate_(self, t: Tensor) -> Tensor:
        """Return -1."""
        return t.fill_(-1)


@dataclass(frozen=True)
class ExponentialPower(Radial):
    """exp(-(r / L)^q), positive definite for 0 < q <= 2; q = 1 is the Laplace kernel.

    Args:
        q: The exponent.

    Raises:
        InputError: q is not in (0, 2].
    """

    q: float = 1.0
    name = "power"

    def __post_init__(self) -> None:
        """Check q."""
        if not 0 < self.q <= 2:
            raise InputError("exponent", f"got {self.q}, expected a number above 0 and at most 2")

    @property
    def exponent(self) -> float:
        """The exponent, as given."""
        return self.q

    def phi_(self, t: Tensor) -> Tensor:
        """Return exp(-t^q)."""
        return t.pow_(self.q).neg_().exp_()

    def rate_(self, t: Tensor) -> Tensor:
        """Return -q t^(q-2)."""
        return t.pow_(self.q - 2).mul_(-self.q)


@dataclass(frozen=True)
class Quadratic(Kernel):
    """(x'z / L^2)^2: not radial, so the origin matters."""

    name = "quadratic"
    radial = False
    translation_invariant = False

    def pairs(
        self, X: Tensor, Z: Tensor | None = None, out: Tensor | None = None, usual: Tensor | None = None
    ) -> Pairs:
        """Return the inner products."""
        none = torch.empty(0, dtype=torch.long, device=X.device)
        return Pairs(torch.mm(X, (X if Z is None else Z).T, out=out), (none, none))

    def distances(self, X: Tensor, usual: Tensor | None = None) -> Tensor:
        """Return Euclidean distances."""
        return euclidean(X, usual=usual).values

    def tile(self, pairs: Tensor, L: float, out: Tensor) -> None:
        """Put (x'z / L^2)^2 into `out`."""
        torch.div(pairs, L**2, out=out).square_()

    def moments(
        self,
        X: Tensor,
        Z: Tensor,
        a: Tensor,
        L: float,
        root: Tensor | None,
        diag: bool,
        pairs: Pairs | None = None,
        usual: Tensor | None = None,
    ) -> Moments:
        """Return the gradients' sums: the gradient is linear in x."""
        return quadratic_moments(X, Z, a, L, root, diag)


@dataclass(frozen=True)
class ProductLaplace(Kernel):
    """exp(-sum_k |x_k - z_k| / L): a product of Laplace kernels, one for each coordinate of M^(1/2) x."""

    name = "l1"
    radial = False

    def pairs(
        self, X: Tensor, Z: Tensor | None = None, out: Tensor | None = None, usual: Tensor | None = None
    ) -> Pairs:
        """Return the l1 distances."""
        return manhattan(X, Z, usual)

    def tile(self, pairs: Tensor, L: float, out: Tensor) -> None:
        """Put exp(-r / L) into `out`."""
        torch.mul(pairs, -1 / L, out=out).exp_()

    def moments(
        self,
        X: Tensor,
        Z: Tensor,
        a: Tensor,
        L: float,
        root: Tensor | None,
        diag: bool,
        pairs: Pairs | None = None,
        usual: Tensor | None = None,
    ) -> Moments:
        """Return the gradients' sums, coordinate by coordinate."""
        return product_moments(X, Z, a, L, root, diag, pairs, usual)


KERNELS = ("laplace", "gaussian", "power", "quadratic", "l1")
"""Names that `kernel_named` knows."""


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
    one_of("kernel", name, KERNELS)
    if name == "power":
        return ExponentialPower(exponent)
    if not math.isclose(exponent, 1.0):
        raise InputError("exponent", f"got {exponent}, but the kernel {name!r} has none; expected 1")
    others: dict[str, Kernel] = {
        "laplace": Laplace(),
        "gaussian": Gaussian(),
        "quadratic": Quadratic(),
        "l1": ProductLaplace(),
    }
    return others[name]
