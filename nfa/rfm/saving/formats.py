"""The versions of the format, and how a file of an older version is upgraded."""

from collections.abc import Callable

from torch import Tensor

from nfa.common.checks import one_of
from nfa.rfm.saving.header import Header, expect, typed

FORMAT = 2
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
        header, tensors = UPGRADES[version](header, tensors)
    return header, tensors


def _from_1(header: Header, tensors: dict[str, Tensor]) -> tuple[Header, dict[str, Tensor]]:
    """Upgrade version 1, which also kept what follows from M, and kept some matrices transposed."""
    for name in typed(header, "transposed", list):
        matrix = tensors[one_of("transposed", name, tensors)]
        expect(matrix.ndim == 2, f"transposed: {name} is no matrix")
        tensors[name] = matrix.T
    return header, {name: tensor for name, tensor in tensors.items() if name not in ("root", "usual")}


UPGRADES: dict[int, Upgrade] = {1: _from_1}
"""By version, the function that upgrades a file to the next one."""
