"""The first M of a machine: the identity, a given matrix, or a power of one of a network's matrices."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nfa.audits.audit import Audit, LayerAudit
from nfa.common.checks import number, one_of
from nfa.common.errors import InputError
from nfa.data.masked import refuse_masked
from nfa.features.factored import FactoredMatrix
from nfa.features.measuring import measure
from nfa.features.polar import Polar, Spectral, random_directions
from nfa.probe import Probe
from nfa.rfm.metric import Metric, checked_matrix
from nfa.rfm.network import check_audit

LAYER_MATRICES: dict[str, Callable[[LayerAudit], FactoredMatrix | None]] = {
    "identity": lambda layer: None,
    "nfm": lambda layer: layer.nfm,
    "agop": lambda layer: layer.agop,
    "agop_centered": lambda layer: layer.agop_centered,
    "init_nfm": lambda layer: layer.init_nfm,
    "random": lambda layer: layer.agop,  # only its spectrum is used
}
"""A layer's matrices from which a machine may start, by name."""

WEIGHT_MATRICES = ("agop", "nfm")
"""The matrices that may also become a weight with the directions of the network's own."""


def first_matrix(M_init: Any, d: int, diag: bool) -> Tensor:
    """Return M before the first update, float64.

    Args:
        M_init: None for the identity; a matrix (d, d) or a diagonal (d,), as array or tensor; a `FactoredMatrix`; a
            layer of an audit, for its AGOP. A convolution's is that of patches: for rows that are whole inputs of the
            layer, flat and channels first, it is spread over all places (`Patches.spread`).
        d: The number of features.
        diag: M stays diagonal, so that only the diagonal is taken.

    Raises:
        InputError: another size, not symmetric, not positive semidefinite, or 0.

    >>> first_matrix(None, 2, diag=True)
    tensor([1., 1.], dtype=torch.float64)
    """
    if M_init is None:
        made = torch.ones if diag else torch.eye
        return made(d, dtype=torch.float64, device="cpu")
    patches = M_init.patches if isinstance(M_init, LayerAudit) else None
    found = M_init.agop if isinstance(M_init, LayerAudit) else M_init
    if isinstance(found, FactoredMatrix):
        whole = patches is not None and patches.size == d != found.d
        if found.d != d and not whole:
            beside = "" if patches is None else f", or {patches.size} of its whole inputs {patches.shape}"
            raise InputError("M_init", f"a matrix of {found.d} features{beside}, expected {d} as in X")
        found = found.dense()
        if patches is not None and whole:
            found = patches.spread(found.diagonal() if diag else found)
    M = checked_matrix("M_init", found if isinstance(found, Tensor) else _as_tensor(found), d).cpu()
    if not bool(M.any()):
        raise InputError("M_init", "is 0, so that every two rows would be equal")
    if diag:
        return M.diagonal().clone() if M.ndim == 2 else M
    return M if M.ndim == 2 else torch.diag(M)


def _as_tensor(values: Any) -> Tensor:
    if isinstance(values, Audit):
        raise InputError("M_init", "an audit of all layers; take the one that X reaches, such as audit[0]")
    refuse_masked("M_init", values)
    try:
        if np.iscomplexobj(values):
            raise TypeError  # numpy would only warn
        found = np.array(values)  # a copy, as the values may be read-only
        # The dtype shows how it was rounded.
        return torch.from_numpy(found if found.dtype in (np.float16, np.float32) else found.astype(np.float64))
    except (TypeError, ValueError) as error:
        raise InputError("M_init", f"{type(values).__name__} is no matrix of numbers") from error


@dataclass(frozen=True)
class Start:
    """The start of a layer's machine.

    Args:
        M: The feature matrix; None for the identity.
        undefined: Why there is none, in words; empty where there is one.
    """

    M: FactoredMatrix | None
    undefined: str = ""


def layer_matrix(layer: LayerAudit, name: str, power: float, seed: int) -> Start:
    """Return the start of a layer's machine.

    Args:
        layer: The layer.
        name: One of `LAYER_MATRICES`: "nfm" W'W, "agop" W'SW, "agop_centered", "init_nfm" of the network before
            training; "random" has the spectrum of "agop" and eigenvectors drawn at random.
        power: The matrix is taken to this power, on its range.
        seed: Of the random eigenvectors.

    >>> import nfa
    >>> audit = nfa.audit(nfa.MLP(3, 4, 1, 2), torch.ones(9, 3))
    >>> layer_matrix(audit[0], "init_nfm", 1.0, seed=0).undefined
    'the network before training is not known: give init='
    """
    if name == "identity":
        return Start(None)
    if name == "agop_centered" and layer["trivial"]:
        return Start(None, "trivial: delta is the same for every row, so the centered AGOP is 0")
    measured = LAYER_MATRICES[name](layer)
    if measured is None:
        return Start(None, "the network before training is not known: give init=")
    if not measured.norm() > 0:
        return Start(None, "the weight is 0" if "nfm" in name else "dead: no output depends on this layer on X")
    M = measured if power == 1 else measured.power(power)
    return Start(rotated(M, seed) if name == "random" else M)


def rotated(M: FactoredMatrix, seed: int) -> FactoredMatrix:
    """Return a matrix with M's eigenvalues and random orthonormal eigenvectors.

    >>> M = FactoredMatrix(torch.tensor([[3.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    >>> [round(float(value), 6) for value in torch.linalg.eigvalsh(rotated(M, seed=0).dense())[1:]]
    [1.0, 9.0]
    """
    values, _ = M.top(M.rank())
    directions = random_directions(M.d, len(values), torch.Generator().manual_seed(seed))
    return FactoredMatrix(directions.T.contiguous(), torch.diag(values))


def weight_starts(probe: Probe, name: str, power: float, audit: Audit | None) -> dict[str, "WeightStart"]:
    """Return the first M of every layer of a network: NFM or AGOP, to a power, at the scale of the NFM.

    Args:
        probe: An entered probe of the rows.
        name: One of `WEIGHT_MATRICES`.
        power: M is this power of it, above 0.
        audit: Of the network on these rows; without one the AGOP is measured.

    Raises:
        InputError: an audit of another network; the AGOP of a layer is 0; the power is not above 0.
    """
    one_of("features", name, WEIGHT_MATRICES)
    power = number("power", power, above_zero=True)
    names = [layer.name for layer in probe.layers]
    if audit is not None:
        check_audit(audit, names, probe.layers)
    S: dict[str, Tensor | None] = dict.fromkeys(names)
    if name == "agop" and audit is not None:
        S |= {each: audit[each].S for each in names}
    elif name == "agop":
        S |= {each.layer.name: each.S for each in measure(probe, list(probe.layers), grouped=False)}
    found = {}
    for layer in probe.layers:
        polar, of_layer = Polar(layer.weight), S[layer.name]
        M = polar.nfm if of_layer is None else polar.agop(of_layer)
        if M.rank == 0:
            raise InputError("features", f"the {name.upper()} of layer {layer.name} is 0 on X (a dead layer)")
        found[layer.name] = WeightStart(polar, M.power(power).scaled(polar.nfm.size))
    return found


class WeightStart:
    """A first M that can also become a weight: M, and the SVD of the layer's weight.

    Args:
        polar: Of the weight.
        M: At the NFM's scale.
    """

    def __init__(self, polar: Polar, M: Spectral) -> None:
        self.polar, self.M = polar, M

    @property
    def factor(self) -> Tensor:
        """R (d x m) with M = RR'."""
        vectors = self.M.vectors if self.M.basis is None else self.M.basis @ self.M.vectors
        return vectors * self.M.roots

    @property
    def dense(self) -> Tensor:
        """M (d x d)."""
        R = self.factor
        return R @ R.T

    def replaced(self, metric: Metric) -> "WeightStart":
        """Return the start with the M of a kernel machine, at the NFM's scale."""
        root = torch.ones(self.polar.d) if metric.root is None else metric.root
        R = torch.diag(root) if root.ndim == 1 else root
        if metric.scales is not None:
            R = R / metric.scales[:, None]
        return WeightStart(self.polar, Spectral.of_factor(R).scaled(self.polar.nfm.size))

    def weight(self, like: Tensor) -> Tensor:
        """Return U_M M^(1/2), with dtype and device of the weight it is for."""
        return self.polar.weight(self.M).to(like.device, like.dtype)
