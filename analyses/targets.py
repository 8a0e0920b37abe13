"""Targets of few directions: polynomials of U'x for known U, and one that depends on every direction alike."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nfa.data import Dataset

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Target:
    """y = function(U'x), x ~ N(0, scale^2 I).

    Args:
        label: What figures call it.
        d: Entries of x.
        directions: Columns of U; d where every direction counts.
        function: Of z = U'x (n x directions).
        scale: Standard deviation of x.
        rotated: Whether U is random; else the first unit vectors.
    """

    label: str
    d: int
    directions: int
    function: Callable[[Array], Array]
    scale: float = 1.0
    rotated: bool = True


TARGETS = {
    # The authors' published example; there the third coordinate is the sixth.
    "product": Target(
        "$x_1x_2\\,1[x_3>0]$", 20, 3, lambda z: z[:, 0] * z[:, 1] * (z[:, 2] > 0), scale=0.5, rotated=False
    ),
    "square": Target("$z_1^2$", 50, 1, lambda z: z[:, 0] ** 2),
    "staircase": Target("$z_1+z_1z_2+z_1z_2z_3$", 20, 3, lambda z: np.cumprod(z, axis=1).sum(axis=1)),
    "all": Target("$|x|^2$, all directions", 20, 20, lambda z: (z**2).sum(axis=1), rotated=False),
}


def directions(name: str, seed: int) -> Array:
    """Return U (d x directions), orthonormal, of a target."""
    target = TARGETS[name]
    if not target.rotated:
        return np.eye(target.d)[:, : target.directions]
    generator = np.random.default_rng([seed, 1])
    return np.linalg.qr(generator.normal(size=(target.d, target.directions)))[0]


def drawn(name: str, n: int, n_test: int, seed: int) -> Dataset:
    """Return n training and n_test test rows; y is standardised by the training rows.

    The test rows, and the first training rows, do not depend on n.
    """
    target, U = TARGETS[name], directions(name, seed)
    test, train = (
        np.random.default_rng([seed, 2, part]).normal(0, target.scale, (rows, target.d))
        for part, rows in enumerate((n_test, n))
    )
    X = np.concatenate([train, test])
    y = target.function(X @ U)
    y = (y - y[:n].mean()) / y[:n].std()
    split = {"train": np.arange(n), "test": np.arange(n, n + n_test)}
    return Dataset(X.astype(np.float32), y.astype(np.float32), name=name, split=split)


def overlap(vectors: Array, U: Array) -> float:
    """Return the share of U's span that orthonormal vectors (d x r, r = U's columns) hold: |U'V|^2 / r.

    >>> overlap(np.eye(4)[:, [0, 2]], np.eye(4)[:, [0, 1]])
    0.5
    """
    return float(((U.T @ vectors) ** 2).sum() / U.shape[1])


def top_of(M: Array, r: int) -> Array:
    """Return the r leading eigenvectors of a symmetric matrix as columns, the largest first."""
    return np.asarray(np.linalg.eigh(M)[1][:, ::-1][:, :r])
