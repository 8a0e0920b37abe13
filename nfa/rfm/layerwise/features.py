"""Where a layer's first M comes from, and how near an M is to what was measured."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nfa.audits.audit import LayerAudit
from nfa.features.factored import FactoredMatrix
from nfa.features.polar import random_directions
from nfa.features.similarity import cosine_of

FEATURES = ("identity", "nfm", "agop", "agop_centered", "init_nfm", "random")
"""What a layer's machine may start from."""


@dataclass(frozen=True)
class Start:
    """What a layer's machine starts from.

    Args:
        M: The feature matrix; None for the identity.
        undefined: Why there is none, in words; empty where there is one.
    """

    M: FactoredMatrix | None
    undefined: str = ""


def first_features(layer: LayerAudit, features: str, power: float, seed: int) -> Start:
    """Return what a layer's machine starts from.

    Args:
        layer: The layer.
        features: One of `FEATURES`: "nfm" W'W, "agop" W'SW, "agop_centered", "init_nfm" of the network before training;
            "random" has the spectrum of "agop" and eigenvectors drawn at random.
        power: The matrix is taken to this power, on its range.
        seed: Of what is drawn.

    >>> import nfa
    >>> audit = nfa.audit(nfa.MLP(3, 4, 1, 2), torch.ones(9, 3))
    >>> first_features(audit[0], "init_nfm", 1.0, seed=0).undefined
    'the network before training is not known'
    """
    if features == "identity":
        return Start(None)
    if features == "agop_centered" and layer["trivial"]:
        return Start(None, "trivial: delta is the same for every row, so the centered AGOP is 0")
    measured = {
        "nfm": layer.nfm,
        "agop": layer.agop,
        "agop_centered": layer.agop_centered,
        "init_nfm": layer.init_nfm,
        "random": layer.agop,
    }[features]
    if measured is None:
        return Start(None, "the network before training is not known")
    if not measured.norm() > 0:
        return Start(None, "the weight is 0" if "nfm" in features else "dead: no output depends on this layer on X")
    M = measured if power == 1 else measured.power(power)
    return Start(rotated(M, seed) if features == "random" else M)


def rotated(M: FactoredMatrix, seed: int) -> FactoredMatrix:
    """Return a matrix with M's eigenvalues and random orthonormal eigenvectors.

    >>> M = FactoredMatrix(torch.tensor([[3.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    >>> [round(float(value), 6) for value in torch.linalg.eigvalsh(rotated(M, seed=0).dense())[1:]]
    [1.0, 9.0]
    """
    values, _ = M.top(M.rank())
    directions = random_directions(M.d, len(values), torch.Generator().manual_seed(seed))
    return FactoredMatrix(directions.T.contiguous(), torch.diag(values))


def cosine_with(M: Tensor, measured: FactoredMatrix) -> float:
    """Return the cosine of a feature matrix (d, d), float64, and a measured one; NaN where one of them is 0."""
    # <M, W'SW> = <WM, SW>: k d^2 operations, and nothing of size d x d but M.
    W = measured.weight.W.double()
    SW = W if measured.S is None else measured.S.double() @ W
    inner = float(((W @ M) * SW).sum()) * measured.weight.unit**2
    return cosine_of(inner, float((M * M).sum()), measured.square)
