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
) -> Dataset:
    """Load a data set by name or from a file.

    Args:
        source: A name of `NAMES`, or the path of an `.npz`, `.npy`, `.csv` or `.parquet` file.
        target: The column that is y in a table, or CelebA's attribute.
        folder: Where a picture set lies (see `load_vision`).
        download: Whether a picture set may be downloaded.

    Raises:
        InputError: the name is unknown (the nearest is suggested), or the source cannot be used.

    >>> load_data("digits")
    Dataset('digits', n=1797, d=64, outputs=10, rows: not divided)
    """
    text = os.fspath(source)
    if Path(text).suffix.lower() in SUFFIXES or (text not in NAMES and Path(text).exists()):
        return load_file(text, target)
    name = one_of("data", text, NAMES)
    if name == "digits":
        return _digits(target)
    return load_vision(name, folder, download, target)


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
