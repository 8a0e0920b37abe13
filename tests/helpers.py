"""What tests share: networks, data and the comparison with the reference."""

import copy
import math
import re

import numpy as np
import torch
from torch.utils.data import Dataset


def perturbed(net, size=0.3, seed=5):
    """A copy of a network whose weights have moved."""
    generator = torch.Generator().manual_seed(seed)
    moved = copy.deepcopy(net)
    with torch.no_grad():
        for p in moved.parameters():
            p.add_(size * p.abs().mean() * torch.randn(p.shape, generator=generator).to(p.dtype))
    return moved


def gaussian(n, d, seed=1, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def softly_cut(f, prior=None):
    """Return what probabilities are made of, by NumPy: 1 + f / softness, with soft ends at 0 and 1."""
    softness = 0.05 if prior is None else 0.05 * np.clip(len(prior) * prior, 0.1, 1)
    return 1 + np.logaddexp(0, f / softness) - np.logaddexp(0, (f - 1) / softness)


def assert_rows_equal(audit, expected, tolerance, skip=()):
    """Compare an audit with reference rows; traces relatively, everything else absolutely."""
    assert len(audit) == len(expected)
    for layer, row in zip(audit, expected, strict=True):
        for column, value in row.items():
            if column in skip:
                continue
            got = layer[column]
            where = f"{layer['name']}, {column}: got {got}, expected {value}"
            if isinstance(value, float) and math.isnan(value):
                assert math.isnan(got), where
                continue
            scale = abs(value) if "trace" in column or "rank" in column else 1.0
            if column.endswith("_z"):
                scale = max(1.0, abs(value))
            assert abs(got - value) <= tolerance * max(scale, 1e-300), where


OTHERS = re.compile("^its weight is also that of [^:]*")


def assert_same_table(audit, expected, tolerance=1e-5, names=True):
    """Compare every number of two audits; `alpha_best` to its grid step."""
    assert len(audit) == len(expected)
    for layer, other in zip(audit, expected, strict=True):
        for column, value in other.row.items():
            if isinstance(value, str):
                same = layer[column] == value or (column == "name" and not names)
                if column == "note" and not names:  # the note of a tied weight names others
                    same = OTHERS.sub("", layer[column]) == OTHERS.sub("", value)
                assert same, f"{column}: got {layer[column]!r}, expected {value!r}"
                continue
            where = f"{other['name']}, {column}: got {layer[column]}, expected {value}"
            if isinstance(value, float) and math.isnan(value):
                assert math.isnan(layer[column]), where
                continue
            allowed = 0.05 if column == "alpha_best" else tolerance * max(1.0, abs(value))
            if column.endswith("_z"):  # a difference over a deviation of a hundredth or so
                allowed *= 100
            assert abs(layer[column] - value) <= allowed + 1e-15, where


def runner():
    """Typer's runner; older click mixes what goes to standard error into the output unless it is told not to."""
    from typer.testing import CliRunner

    try:
        return CliRunner(mix_stderr=False)
    except TypeError:
        return CliRunner()


class Labelled(Dataset):
    """Rows and their labels as dicts, as transformers takes them."""

    def __init__(self, X, Y):
        self.X, self.Y = X, Y

    def __len__(self):
        return len(self.X)

    def __getitem__(self, row):
        return {"x": self.X[row], "labels": self.Y[row]}
