"""A kernel machine as tensors of a file, and back."""

from dataclasses import replace

import torch
from torch import Tensor

from nfa.common.shown import shown
from nfa.rfm.estimators.support import Support
from nfa.rfm.kernels import Kernel, kernel_named
from nfa.rfm.machine import KernelMachine
from nfa.rfm.metric import Metric, checked_matrix
from nfa.rfm.saving.header import Header, above_zero, expect, typed
from nfa.rfm.targets import TargetScaling

OPTIONAL = ("weights", "scales", "deviations", "basis", "support")
"""Tensors that may be missing."""
KINDS = dict.fromkeys(("rows", "coefficients", "weights"), (torch.float32, torch.float64)) | {"support": (torch.int64,)}
"""Dtypes of tensors that are not float64."""
ORTHONORMAL = 1e-8
"""The most by which products of a basis' columns may differ from 0 and 1."""


def tensors_of(machine: KernelMachine) -> dict[str, Tensor]:
    """Return a machine's tensors: M, center, rows in M's coordinates, coefficients, scaling of targets and columns.

    Where M is V A V' with a basis V of the rows' span, A is in M's place, and V beside it.
    """
    metric, scaling = machine.metric, machine.scaling
    assert scaling is not None, "an estimator's machine has scaled targets"
    found = {"M": metric.M, "center": metric.center, "rows": machine.centers, "coefficients": machine.a}
    found |= {"offset": scaling.offset, "target_scale": scaling.scale}
    more = {"scales": metric.scales, "basis": metric.basis}
    return found | {name: each.contiguous() for name, each in more.items() if each is not None}


def machine_of(found: Header, tensors: dict[str, Tensor], place: torch.device) -> KernelMachine:
    """Return the kernel machine, after checking that its tensors fit each other."""
    names = {"M", "center", "rows", "coefficients", "offset", "target_scale"}
    expect(names <= set(tensors) <= names | set(OPTIONAL), f"holds the tensors {shown(sorted(tensors))}")
    for name, tensor in tensors.items():
        kinds = KINDS.get(name, (torch.float64,))
        expect(tensor.dtype in kinds, f"{name} is {tensor.dtype}, expected {' or '.join(map(str, kinds))}")
        expect(bool(torch.isfinite(tensor).all()), f"{name} holds NaN or infinity")
    M, center, rows, a = (tensors[name] for name in ("M", "center", "rows", "coefficients"))
    expect(rows.ndim == a.ndim == 2 and min(*rows.shape, *a.shape) > 0, "rows and coefficients are no tables")
    (n, q), same = rows.shape, rows.dtype == a.dtype
    basis = tensors.get("basis")
    d = q if basis is None else len(basis)
    if basis is not None:
        expect(basis.shape == (d, q) and d > q and M.shape == (q, q), "basis: does not fit M and rows")
        expect(bool(((basis.T @ basis - torch.eye(q)).abs() < ORTHONORMAL).all()), "basis: not orthonormal")
    expect(len(a) == n and same, f"coefficients of {len(a)} {a.dtype} rows, expected {n} of {rows.dtype}")
    expect(center.shape == (d,), f"center: shape {tuple(center.shape)}, expected ({d},)")
    checked_matrix("M", M, q)
    offset, scale = (tensors[name].to(place) for name in ("offset", "target_scale"))
    fits = offset.shape == scale.shape == a.shape[1:] and bool((scale > 0).all())
    expect(fits, f"offset and target_scale: expected {a.shape[1]} numbers each, scales above 0")
    exponent = float(typed(found, "exponent", float, int))
    kernel = kernel_named(typed(found, "kernel", str), exponent)
    bandwidth, unit = above_zero(found, "bandwidth"), above_zero(found, "unit")
    scales = positive_columns("scales", tensors, d, place)
    metric = metric_of(M.to(place), center.to(place), above_zero(found, "x_unit"), rows.to(place), scales)
    if basis is not None:
        metric = replace(metric, basis=basis.to(place))
    return KernelMachine(kernel, metric, bandwidth, rows.to(place), a.to(place), unit, TargetScaling(offset, scale))


def positive_columns(
    name: str, tensors: dict[str, Tensor], d: int, place: torch.device, zero: bool = False
) -> Tensor | None:
    """Return a tensor with a number above 0 (or 0, with `zero`) for each of d columns; None where there is none."""
    if name not in tensors:
        return None
    found = tensors[name]
    fits = found.shape == (d,) and bool(((found > 0) | ((found == 0) & zero)).all())
    expect(fits, f"{name}: expected {d} numbers {'of at least' if zero else 'above'} 0")
    return found.to(place)


def metric_of(M: Tensor, center: Tensor, unit: float, rows: Tensor, scales: Tensor | None) -> Metric:
    """Return the metric of M, given rows z = F (x - center) / unit in its coordinates.

    The rounding of a row depends on x, which is F^+ z, but for the part that F removes.
    """
    metric = Metric.of(M, center, unit, scales=scales)
    if metric.root is None or metric.root.ndim == 1:
        return metric
    spread = (rows.double() @ torch.linalg.pinv(metric.root, hermitian=True)).square().mean(0)
    return Metric.of(M, center, unit, spread, scales)


def weights_of(weights: Tensor | None, machine: KernelMachine) -> Tensor | None:
    """Return the training rows' weights on the machine's device."""
    if weights is None:
        return None
    fits = weights.shape == (len(machine.a),) and weights.dtype == machine.a.dtype and bool((weights > 0).all())
    expect(fits, f"weights: expected {len(machine.a)} numbers above 0, {machine.a.dtype}")
    return weights.to(machine.a.device)


def support_of(columns: Tensor | None, n_features: int, d: int, kernel: Kernel) -> Support | None:
    """Return what the machine's rows of d columns are short for; None where they are the rows themselves."""
    if columns is None:
        return None
    inside = columns.shape == (d - 1,) and bool(((columns >= 0) & (columns < n_features)).all())
    expect(inside and bool((columns.diff() > 0).all()), f"support: expected {d - 1} columns of {n_features}, ascending")
    return Support(columns.cpu().numpy(), n_features, kernel.name == "l1")
