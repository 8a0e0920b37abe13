"""The features of a layer: diagonals and leading eigenvectors of its matrices, over its inputs."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfa.audits.audit import Audit, LayerAudit
from nfa.common.errors import InputError
from nfa.common.shown import shown, writable
from nfa.data.masked import refuse_masked
from nfa.features.factored import FactoredMatrix
from nfa.features.powers import PowerScan, rotated_scan
from nfa.tables.networks import layer_of

BARS = 12
"""A bar chart shows at most this many features."""

DENSE = 4096
"""Matrices of layers with at most this many inputs are drawn entry by entry."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One vector over a layer's inputs.

    Args:
        matrix: "NFM", "AGOP", "init's NFM", "M" or "sample".
        what: "diagonal", "eigenvector 1", ..., or "" for a sample.
        role: The role whose colour the matrix has.
        values: Shape (d,): shares of the trace, entries of the eigenvector, or the sample.
        share: The eigenvector's share of the trace; NaN for anything else.
    """

    matrix: str
    what: str
    role: str
    values: NDArray[np.float64]
    share: float = math.nan

    @property
    def signed(self) -> bool:
        """Whether the sign of entries is to be seen."""
        return self.what.startswith("eigenvector")


@dataclass(frozen=True, eq=False)
class LayerFeatures:
    """A layer's panels, with the shape and names of its inputs.

    Args:
        layer: The layer's name.
        shape: The picture shape of its inputs, or ().
        names: The names of its inputs.
        panels: In the order in which they are drawn.
    """

    layer: str
    shape: tuple[int, ...]
    names: tuple[str, ...]
    panels: tuple[Panel, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each panel and input: layer, matrix, what, share, index, input, value."""
        frames = [
            pd.DataFrame(
                {
                    "layer": self.layer,
                    "matrix": panel.matrix,
                    "what": panel.what,
                    "share": panel.share,
                    "index": range(len(panel.values)),
                    "input": self.names,
                    "value": panel.values,
                }
            )
            for panel in self.panels
        ]
        return pd.concat(frames, ignore_index=True)


def layer_features(
    audit: Audit, layer: str | int, eigenvectors: int = 3, sample: Any = None, M: Any = None
) -> LayerFeatures:
    """Return diagonals and leading eigenvectors of a layer's NFM, AGOP and M, and the diagonal of init's NFM.

    An eigenvector has no sign of its own: those of the NFM have their largest entry positive, and those of the AGOP and
    of M the sign with which their inner product with the NFM's of the same number is not negative.

    Args:
        audit: The audit.
        layer: Name or number.
        eigenvectors: How many of each matrix.
        sample: A row of the layer's inputs, of d entries in any shape; a row of pandas is read by its names.
        M: The feature matrix of a machine on the same inputs: d x d, its diagonal, or an estimator with `M_`, which is
            read by its columns' names.

    Raises:
        InputError: no such layer, a sample or an M of another size or of other columns than the data's, or no matrix
            that is not 0.
    """
    found = layer_of(audit, layer)
    panels = []
    if sample is not None:
        values = _sample(sample, audit, found)
        if len(values) != found["d_in"]:
            deeper = "" if _of_data(found) else "; a row of the data (--data) fits a first layer that takes the data"
            raise InputError(
                "sample", f"{len(values)} entries, but layer {found['name']} has {found['d_in']} inputs{deeper}"
            )
        panels.append(Panel("sample", "", "sample", values))
    matrices = [("NFM", "nfm", found.nfm), ("AGOP", "agop", found.agop)]
    if M is not None:
        matrices.append(("M", "rfm", _machine(M, audit, found)))
    for label, role, matrix in matrices:
        if matrix.norm() == 0:
            continue
        panels.append(Panel(label, "diagonal", role, share_of_trace(matrix)))
        beside = {panel.what: panel.values for panel in panels if panel.matrix == "NFM"}
        for number, (share, vector) in enumerate(top_eigenvectors(matrix, eigenvectors), 1):
            what = f"eigenvector {number}"
            opposite = what in beside and beside[what] @ vector < 0
            panels.append(Panel(label, what, role, -vector if opposite else vector, share))
    if found.init_nfm is not None and found.init_nfm.norm() > 0:
        panels.append(Panel("init's NFM", "diagonal", "init", share_of_trace(found.init_nfm)))
    if all(panel.matrix == "sample" for panel in panels):
        raise InputError("layer", f"the matrices of {found['name']} are 0: there is nothing to draw")
    return LayerFeatures(writable(found["name"]), input_shape(audit, found), input_names(audit, found), tuple(panels))


def matrix_table(audit: Audit, layer: str | int, alpha: float = 1.0) -> pd.DataFrame:
    """Return the entries of a layer's NFM and AGOP^alpha, each divided by its norm.

    Columns: layer, alpha, matrix ("NFM" or "AGOP"), row, column, input (the column's name), value; and their cosine and
    its null, S turned at random, in every row: for alpha = 1 the audit's `rotated_cosine`, else the mean of draws.

    Raises:
        InputError: no such layer, more than `DENSE` inputs, an alpha that is not above 0, or a matrix that is 0.
    """
    found = layer_of(audit, layer)
    d, name = found["d_in"], found["name"]
    if d > DENSE:
        raise InputError("layer", f"{name} has {d} inputs; matrices are drawn of layers with {DENSE} at most")
    if not (alpha > 0 and math.isfinite(alpha)):
        raise InputError("alpha", f"got {alpha}, expected a power above 0")
    if 0 in (found.nfm.norm(), found.agop.norm()):
        raise InputError("layer", f"the NFM or the AGOP of {name} is 0: there is nothing to compare")
    cosine = PowerScan(found.nfm, found.agop).cosine(alpha)
    null = found.row.get("rotated_cosine", math.nan) if alpha == 1 else math.nan
    if math.isnan(null):
        (null,) = rotated_scan(found.nfm, found.agop, (alpha,))
    power = found.agop if alpha == 1 else found.agop.power(alpha)
    frames, names = [], np.array(input_names(audit, found), dtype=object)
    for label, matrix in (("NFM", found.nfm), ("AGOP", power)):
        dense = matrix.dense()
        rows, columns = np.indices((d, d))
        values = (dense / dense.norm()).numpy().ravel()
        entries = {"row": rows.ravel(), "column": columns.ravel(), "input": names[columns.ravel()], "value": values}
        frames.append(pd.DataFrame({"matrix": label} | entries))
    return pd.concat(frames, ignore_index=True).assign(layer=writable(name), alpha=alpha, cosine=cosine, null=null)


def input_shape(audit: Audit, layer: LayerAudit) -> tuple[int, ...]:
    """Return the picture shape of a layer's inputs: the data's, or a kernel's of one channel; else ()."""
    shape = audit.about.feature_shape
    if _of_data(layer) and len(shape) in (2, 3) and math.prod(shape) == layer["d_in"]:
        return shape
    kernel = layer.row_shape
    return kernel if len(kernel) == 3 and kernel[0] == 1 and min(kernel[1:]) > 1 else ()


def channels_last(shape: tuple[int, ...]) -> bool:
    """Return whether a picture's shape is (height, width, 1 or 3); else its channels are in front, or it has none.

    (3, h, w) and (1, h, w) have them in front whatever h and w, and so has (c, h, 3) of no more than three rows, as of
    a 3 x 3 kernel.

    >>> [channels_last(shape) for shape in ((8, 8, 3), (8, 8, 1), (1, 3, 3), (3, 8, 3), (5, 3, 3), (8, 3))]
    [True, True, False, False, False, False]
    """
    return len(shape) == 3 and shape[0] not in (1, 3) and (shape[2] == 1 or (shape[2] == 3 and shape[1] > 3))


def in_colour(shape: tuple[int, ...]) -> bool:
    """Return whether a picture has three channels.

    >>> [in_colour(shape) for shape in ((3, 8, 8), (8, 8, 3), (1, 3, 3), (5, 3, 3), (3, 8))]
    [True, True, False, False, False]
    """
    return len(shape) == 3 and (shape[2] if channels_last(shape) else shape[0]) == 3


def input_names(audit: Audit, layer: LayerAudit) -> tuple[str, ...]:
    """Return the names of a layer's inputs: the data's columns, else their numbers; all names differ."""
    if not has_names(audit, layer):
        word = "token" if layer.one_hot else "input" if layer["layer"] == 0 else "unit"
        return tuple(f"{word} {i}" for i in range(layer["d_in"]))
    written = [writable(name) for name in audit.about.feature_names]
    times = Counter(written)
    return tuple(f"{name} ({i})" if times[name] > 1 else name for i, name in enumerate(written))


def has_names(audit: Audit, layer: LayerAudit) -> bool:
    """Return whether a layer's inputs are named columns of the data."""
    return _of_data(layer) and len(audit.about.feature_names) == layer["d_in"]


def _of_data(layer: LayerAudit) -> bool:
    """Return whether a layer's inputs may be the data's columns: it is the first one, and no look-up."""
    return bool(layer["layer"] == 0 and not layer.one_hot)


def share_of_trace(matrix: FactoredMatrix) -> NDArray[np.float64]:
    """Return the diagonal as shares of the trace, shape (d,); all 0 for the zero matrix."""
    diagonal = matrix.diagonal().clamp(min=0)
    return (diagonal / (diagonal.sum() or 1.0)).numpy()


def top_eigenvectors(matrix: FactoredMatrix, r: int) -> list[tuple[float, NDArray[np.float64]]]:
    """Return up to r eigenvectors, shape (d,), each with its share of the trace; their largest entry is positive."""
    values, vectors = matrix.top(r)
    trace = matrix.trace()
    return [(float(value) / trace, _upright(vector)) for value, vector in zip(values, vectors.T, strict=True)]


def bar_table(panels: list[Panel], names: tuple[str, ...]) -> pd.DataFrame:
    """Return the entries of panels at the inputs that count most: feature, series, role and value.

    For diagonals these are the inputs with the largest share of the AGOP's; for eigenvectors those with the largest
    entries in any of them.
    """
    values = [each.values for each in panels]
    if panels[0].signed:
        order = np.abs(np.stack(values)).max(0)
        series = [f"{each.matrix}, {100 * each.share:.0f} %" for each in panels]
    else:
        series = [each.matrix for each in panels]
        order = sum((1e-9 if each.matrix != "AGOP" else 1.0) * each.values for each in panels)
    chosen = np.argsort(-np.asarray(order), kind="stable")[:BARS]
    rows = [
        {"feature": names[i], "series": label, "role": panel.role, "value": float(entries[i])}
        for label, panel, entries in zip(series, panels, values, strict=True)
        for i in chosen
    ]
    return pd.DataFrame(rows)


def _upright(vector: Tensor) -> NDArray[np.float64]:
    largest = vector[vector.abs().argmax()]
    return (vector * largest.sign()).numpy()


def _order(argument: str, given: Sequence[Any], audit: Audit, layer: LayerAudit) -> list[int] | None:
    """Return where each of the layer's inputs stands among given names; None where one of both has no names.

    Raises:
        InputError: a name is missing or there is one too many, or two are the same.
    """
    names = audit.about.feature_names
    if (
        not given
        or not has_names(audit, layer)
        or not all(isinstance(name, str) for name in given)
        or tuple(given) == names
    ):
        return None
    if len(set(given)) < len(given) or len(set(names)) < len(names):
        raise InputError(argument, "two columns have one name, and the order is not that of the audit's data")
    for which, others in (("no", set(names) - set(given)), ("a", set(given) - set(names))):
        for name in sorted(others):
            raise InputError(argument, f"has {which} column {shown(name)!r}, unlike the audit's data")
    places = {name: place for place, name in enumerate(given)}
    return [places[name] for name in names]


def _sample(given: Any, audit: Audit, layer: LayerAudit) -> NDArray[np.float64]:
    """Return a sample's entries in the order of the layer's inputs."""
    values = _flat("sample", given)
    named = isinstance(given, (pd.Series, pd.DataFrame))
    labels = list(given.columns if isinstance(given, pd.DataFrame) else given.index) if named else []
    order = _order("sample", labels, audit, layer) if len(labels) == len(values) else None
    return values if order is None else values[order]


def _flat(argument: str, given: Any) -> NDArray[np.float64]:
    refuse_masked(argument, given)
    try:
        values = np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(argument, f"got {type(given).__name__}, expected numbers") from error
    if values.dtype.kind == "O" and all(isinstance(each, (Real, np.bool_)) for each in values.ravel().tolist()):
        values = values.astype(np.float64)
    if values.dtype.kind not in "biuf":
        raise InputError(argument, f"got {type(given).__name__} of {values.dtype}, expected real numbers")
    values = values.astype(np.float64).ravel()
    if not np.isfinite(values).all():
        raise InputError(argument, "every entry must be finite")
    return values


def _machine(M: Any, audit: Audit, layer: LayerAudit) -> FactoredMatrix:
    """Return a machine's feature matrix in factored form."""
    given = getattr(M, "M_", M)
    shape, d = np.shape(given), layer["d_in"]
    values = _flat("M", given)
    if shape not in ((d, d), (d,)):
        raise InputError("M", f"shape {shape}, expected {(d, d)} or {(d,)} as layer {layer['name']} has {d} inputs")
    dense = torch.from_numpy(values)
    dense = dense.reshape(d, d) if len(shape) == 2 else dense.diag()
    order = _order("M", list(getattr(M, "feature_names_in_", ())), audit, layer)
    if order is not None:
        dense = dense[order][:, order]
    return FactoredMatrix(torch.eye(d, dtype=torch.float64), dense)
