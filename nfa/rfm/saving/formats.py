"""The versions of the format, and how a file of an older version is upgraded."""

from collections.abc import Callable

import torch
from torch import Tensor

from nfa.common.checks import one_of
from nfa.rfm.saving.header import Header, expect, typed

FORMAT = 3
"""The version that is written."""

Upgrade = Callable[[Header, dict[str, Tensor]], tuple[Header, dict[str, Tensor]]]


def upgraded(header: Header, tensors: dict[str, Tensor]) -> tuple[Header, dict[str, Tensor]]:
    """Return a file's header and tensors as the newest version holds them.

    Raises:
        HeaderError: an unknown version.
    """
    found = typed(header, "format", int)
    expect(found == FORMAT or found in UPGRADES, f"format {found}, expected one from {min(UPGRADES)} to {FORMAT}")
    for version in range(found, FORMAT):
        # A pipeline upgrades the machines in it, each as it restores it.
        if "pipeline" not in header:
            header, tensors = UPGRADES[version](header, tensors)
    return header, tensors


def _from_1(header: Header, tensors: dict[str, Tensor]) -> tuple[Header, dict[str, Tensor]]:
    """Upgrade version 1, which also kept what follows from M, and kept some matrices transposed."""
    for name in typed(header, "transposed", list):
        matrix = tensors[one_of("transposed", name, tensors)]
        expect(matrix.ndim == 2, f"transposed: {name} is no matrix")
        tensors[name] = matrix.T
    return header, {name: tensor for name, tensor in tensors.items() if name not in ("root", "usual")}


def _from_2(header: Header, tensors: dict[str, Tensor]) -> tuple[Header, dict[str, Tensor]]:
    """Upgrade version 2, of machines that had no intercept, scaled nothing and were told their ridge."""
    zeros = torch.zeros(typed(tensors, "coefficients", Tensor).shape[-1], dtype=torch.float64)
    fitted = typed(header, "fitted", dict)
    old = OLD_PARAMETERS | ({"scale_targets": False} if fitted.get("classes") is None else {"temperature": None})
    told = typed(fitted, "parameters", dict)
    fitted = fitted | {"parameters": old | told, "ridge": typed(told, "ridge", float, int)}
    parameters = old | typed(header, "parameters", dict)
    return header | {"parameters": parameters, "fitted": fitted}, tensors | {"offset": zeros, "target_scale": zeros + 1}


OLD_PARAMETERS: Header = {"fit_intercept": False, "scale": None}
"""Parameters that machines before version 3 did not have, as they were fitted."""
UPGRADES: dict[int, Upgrade] = {1: _from_1, 2: _from_2}
"""By version, the function that upgrades a file to the next one."""
