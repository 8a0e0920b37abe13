"""What a tracker knows its data by, so that a run that is resumed does not go on with others."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from nfa.audits.rows import Rows
from nfa.data.inputs import leaves
from nfa.data.samples import ArraySamples, MappedSamples, StreamSamples

Known = dict[str, int | list[float]]
"""The number of rows and sketches of their entries, by what they are called."""

SKETCHES = 4
"""So many numbers stand for an array; other data have the same by chance once in 10^13 times."""

SAME = 1e-3
"""Sketches of the same data differ by less than this share of the data's norm.

It leaves room for rows that were scaled, or computed by a network, on another machine. One other row among 512 changes
a sketch by about 0.06 of the norm.
"""


def known_by(data: Any, rows: Rows, batch_size: int) -> Known:
    """Return what a tracker's rows are known by.

    A loader's rows may be others each time, so they are known by nothing. Rows in a memory-mapped file are counted, not
    read.

    Args:
        data: As they were handed over.
        rows: As they are measured.
        batch_size: Rows at a time.

    >>> from nfa.audits.rows import rows_of
    >>> from nfa.network.model import Model
    >>> X = torch.eye(3)
    >>> found = known_by(X, rows_of(Model(torch.nn.Linear(3, 2), "net"), X), 2)
    >>> found["rows"], len(found["inputs"])
    (3, 5)
    """
    found: Known = {}
    if isinstance(data, (DataLoader, TorchDataset, StreamSamples)):
        return found
    held_out = {"held-out ": rows.scored} if rows.scored is not rows.measured else {}
    for part, samples in ({"": rows.measured} | held_out).items():
        if not isinstance(samples, ArraySamples):
            continue
        n = int(samples.n or 0)
        found[f"{part}rows"] = n
        if not isinstance(samples, MappedSamples):
            batches = ((name, x, b.samples) for b in samples.batches(batch_size) for name, x in leaves(b.x))
            found[f"{part}inputs"] = _sketch(batches, n)
        if samples.y is not None:
            found[f"{part}targets"] = _sketch(iter([("y", samples.y, torch.arange(n, device="cpu"))]), n)
    return found


def differing(saved: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """Return how saved data differ from one's own, in words; "" where they do not, or where nobody knows.

    >>> differing({"rows": 3}, {"rows": 4}), differing({"inputs": [5.0, 1.0]}, {"inputs": [5.0, 1.001], "rows": 4})
    ('3 rows, this tracker has 4', '')
    """
    for name in (name for name in own if name in saved):
        if type(own[name]) is int:
            if own[name] != saved[name]:
                return f"{saved[name]} {name}, this tracker has {own[name]}"
        elif not np.allclose(own[name], saved[name], rtol=0, atol=SAME * own[name][0]):
            return f"other {name} than this tracker has"
    return ""


def check_known(saved: Mapping[str, Any]) -> None:
    """Check that a file holds what `known_by` returns.

    Raises:
        AttributeError, TypeError: it is something else.
    """
    for name, found in saved.items():
        counted = name.endswith("rows")
        if counted and type(found) is int:
            continue
        if counted or len(found) != 1 + SKETCHES or not all(type(number) is float for number in found):
            raise TypeError(f"{name}: got {found!r}")


def _sketch(arrays: Iterator[tuple[str, Tensor, Tensor]], n: int) -> list[float]:
    """Return the norm of arrays of n rows, and r'Xc, summed over them, for each of some vectors of signs r and c.

    Args:
        arrays: Names, rows (b x ...), and their numbers (b,).
        n: The number of all rows.
    """
    of_rows = _signs(n, 0)
    of_entries: dict[str, Tensor] = {}
    norm, sums = 0.0, torch.zeros(SKETCHES, dtype=torch.float64, device="cpu")
    for name, x, numbers in arrays:
        flat = x.detach().cpu().double().reshape(len(x), -1)
        if name not in of_entries:
            of_entries[name] = _signs(flat.shape[1], 1 + len(of_entries))
        norm = math.hypot(norm, float(torch.linalg.vector_norm(flat)))
        sums += (of_rows[numbers] * (flat @ of_entries[name])).sum(0)
    return [norm, *sums.tolist()]


def _signs(count: int, seed: int) -> Tensor:
    """Return signs (count x SKETCHES), the same ones with every version of NumPy."""
    words = np.random.PCG64(seed).random_raw(-(-count * SKETCHES // 64)).astype("<u8")
    bits = np.unpackbits(words.view(np.uint8))[: count * SKETCHES]
    return torch.from_numpy(2.0 * bits.reshape(count, SKETCHES) - 1.0)
