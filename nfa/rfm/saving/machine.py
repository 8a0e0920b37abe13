"""A kernel machine as tensors of a file, and back."""

from dataclasses import replace

import torch
from torch import Tensor

from nfa.common.shown import shown
from nfa.rfm.kernels import kernel_named
from nfa.rfm.machine import KernelMachine
from nfa.rfm.metric import Metric, checked_matrix
from nfa.rfm.saving.header import Header, above_zero, expect, typed

ROOT = 1e-6
"""How far a matrix root computed elsewhere may be off: a root of 0 is off by the root of what 0 is off by."""


def tensors_of(machine: KernelMachine, weights: Tensor | None) -> tuple[dict[str, Tensor], list[str]]:
    """Return a machine's tensors, and the names of those that are transposed.

    Those are matrices that lie column by column in memory, as LAPACK leaves them: products of the same numbers laid out
    otherwise round otherwise.
    """
    metric = machine.metric
    found = {"M": metric.M, "center": metric.center, "rows": machine.centers, "coefficients": machine.a}
    if metric.root is not None:
        # An eigendecomposition elsewhere would give another one by rounding, and equal rows would not stay equal.
        found["root"] = metric.root
    if metric.terms is not None:
        found["usual"] = metric.terms
    if weights is not None:
        found["weights"] = weights
    transposed = [name for name, tensor in found.items() if tensor.ndim == 2 and not tensor.is_contiguous()]
    for name, tensor in found.items():
        laid = tensor.T if name in transposed else tensor
        # A copy: safetensors refuses tensors that share memory.
        found[name] = laid.detach().cpu().clone(memory_format=torch.contiguous_format)
    return found, transposed


def machine_of(found: Header, tensors: dict[str, Tensor], place: torch.device) -> KernelMachine:
    """Return the kernel machine, once its tensors are known to fit each other."""
    names = {"M", "center", "rows", "coefficients"}
    optional = {"root", "usual", "weights"}
    expect(names <= set(tensors) <= names | optional, f"holds the tensors {shown(sorted(tensors))}")
    for name, tensor in tensors.items():
        kinds = (torch.float32, torch.float64) if name in ("rows", "coefficients", "weights") else (torch.float64,)
        expect(tensor.dtype in kinds, f"{name} is {tensor.dtype}, expected {' or '.join(map(str, kinds))}")
        expect(bool(torch.isfinite(tensor).all()), f"{name} holds NaN or infinity")
    M, center, rows, a = (tensors[name] for name in ("M", "center", "rows", "coefficients"))
    expect(rows.ndim == a.ndim == 2 and min(*rows.shape, *a.shape) > 0, "rows and coefficients are no tables")
    (n, d), same = rows.shape, rows.dtype == a.dtype
    expect(len(a) == n and same, f"coefficients of {len(a)} {a.dtype} rows, expected {n} of {rows.dtype}")
    expect(center.shape == (d,), f"center: shape {tuple(center.shape)}, expected ({d},)")
    checked_matrix("M", M, d)
    metric = Metric.of(M, center, above_zero(found, "x_unit"))
    root, expected = tensors.get("root"), metric.root
    expect((root is None) == (expected is None), "M has a root that is not in the file, or the other way round")
    if root is not None and expected is not None:
        fits = root.shape == expected.shape and float((root - expected).abs().max()) <= ROOT
        expect(fits, "root is not that of M")
    usual = tensors.get("usual")
    fits = usual is None or (usual.shape == (d,) and float(usual.min()) >= 0)
    expect(fits, f"usual: expected {d} numbers of at least 0")
    exponent = float(typed(found, "exponent", float, int))
    kernel = kernel_named(typed(found, "kernel", str), exponent)
    bandwidth, unit = above_zero(found, "bandwidth"), above_zero(found, "unit")
    # Copies, which torch aligns in memory: products may round otherwise where the file begins anywhere.
    placed = {name: tensor.to(place, copy=True) for name, tensor in tensors.items()}
    root, terms = placed.get("root"), placed.get("usual")
    metric = replace(metric, M=placed["M"], center=placed["center"], root=root, terms=terms)
    return KernelMachine(kernel, metric, bandwidth, placed["rows"], placed["coefficients"], unit)


def weights_of(weights: Tensor | None, machine: KernelMachine) -> Tensor | None:
    """Return the training rows' weights on the machine's device."""
    if weights is None:
        return None
    fits = weights.shape == (len(machine.a),) and weights.dtype == machine.a.dtype and bool((weights > 0).all())
    expect(fits, f"weights: expected {len(machine.a)} numbers above 0, {machine.a.dtype}")
    return weights.to(machine.a.device, copy=True)
