"""One call for every source of data: a built-in name, a picture set's name, or a file."""

import os
from pathlib import Path

import numpy as np

from nfa.common.checks import one_of
from nfa.common.errors import InputError
from nfa.data.dataset import Dataset
from nfa.data.files import SUFFIXES, load_file
from nfa.data.vision import LOADERS, load_vision

NAMES = ("digits", *LOADERS)
"""The data sets that go by a name."""


def load_data(
    source: str | os.PathLike[str] = "digits",
    target: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    download: bool = False,
    max_memory: float | None = None,
) -> Dataset:
    """Load a data set by name or from a file.

    Args:
        source: A name of `NAMES`, or the path of an `.npz`, `.npy`, `.csv`, `.tsv` or `.parquet` file.
        target: The column that is y in a table, or CelebA's attribute.
        folder: Where a picture set lies (see `load_vision`).
        download: Whether a picture set may be downloaded.
        max_memory: GiB that the data of a file may take; by default 64 times what it takes on disk, at least a quarter
            GiB, at most half of the machine's memory.

    Raises:
        InputError: the name is unknown (the nearest is suggested), or the source cannot be used.

    >>> load_data("digits")
    Dataset('digits', n=1797, d=64, outputs=10, rows: not divided)
    """
    if not isinstance(source, (str, os.PathLike)):
        raise InputError("data", f"got {type(source).__name__}, expected a name or the path of a file")
    text = os.fspath(source)
    if Path(text).suffix.lower() in SUFFIXES or (text not in NAMES and _exists(text)):
        return load_file(text, target, max_memory)
    name = one_of("data", text, NAMES)
    if name == "digits":
        return _digits(target)
    return load_vision(name, folder, download, target)


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except OSError:
        return False  # too long for a name of a file


def _digits(target: str | None) -> Dataset:
    """The 1,797 handwritten digits of 8 x 8 pixels that scikit-learn bundles."""
    from sklearn.datasets import load_digits

    if target is not None:
        raise InputError("target", "digits has one target, its classes")
    bunch = load_digits()
    return Dataset(
        bunch.data.astype(np.float32),
        bunch.target.astype(np.int64),
        name="digits",
        feature_names=tuple(bunch.feature_names),
        class_names=tuple(str(name) for name in bunch.target_names),
        feature_shape=(8, 8),
    )
