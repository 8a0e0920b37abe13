"""What analyses have in common: the data sets by name, small enough, and networks trained on them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from analyses.analysis import Options
from nfa.common import InputError
from nfa.data import Dataset, Scaling, load_data
from nfa.network.mlp import MLP
from nfa.network.training import Training, train

OFFLINE = ("digits", "fashion-mnist")
"""Real sets for machines without internet: scikit-learn's, and Debian's where it is installed."""


def dataset_names(options: Options) -> list[str]:
    """Return the data sets asked for; else those of `OFFLINE` that are there, the first alone for a quick run."""
    if options.datasets is not None:
        return list(options.datasets)
    return [name for name in OFFLINE[: 1 if options.quick else None] if _is_there(name, options)]


def _is_there(name: str, options: Options) -> bool:
    try:
        load_data(name, None, options.folder, options.download)
    except InputError:  # which says how to get it: to be shown to whoever asks for it by name
        return False
    return True


def small(name: str, n_train: int, n_test: int, seed: int, options: Options) -> Dataset:
    """Return a data set of at most so many rows, divided into train and test, scaled as `nfa train` scales.

    Args:
        name: As `nfa.load_data` knows it.
        n_train: Training rows, drawn at random with the seed.
        n_test: Test rows.
        seed: Of division and draws.
        options: Where the set lies.
    """
    data = load_data(name, None, options.folder, options.download)
    data = data.divide(test=0.2, seed=seed)
    train_rows, test_rows = data.part("train").sample(n_train, seed), data.part("test").sample(n_test, seed)
    return joined(train_rows, test_rows)


def joined(train_rows: Dataset, test_rows: Dataset) -> Dataset:
    """Return training and test rows as one divided set, scaled by the training rows."""
    X, y = np.concatenate([train_rows.X, test_rows.X]), np.concatenate([train_rows.y, test_rows.y])
    rows = np.arange(len(X))
    split = {"train": rows[: train_rows.n], "test": rows[train_rows.n :]}
    about = {"class_names": train_rows.class_names, "feature_shape": train_rows.feature_shape}
    kind = "standard" if train_rows.feature_shape is None else "max"
    return Dataset(X, y, train_rows.name, split=split, **about).scaled(Scaling.fit(kind, train_rows.X))


def network(cell: Mapping[str, Any], data: Dataset) -> MLP:
    """Return the untrained network that a cell's `width`, `depth`, `activation`, `init` and `seed` describe."""
    return MLP(
        data.d, cell["width"], cell["depth"], data.n_outputs, cell["activation"], init=cell["init"], seed=cell["seed"]
    )


def trained(cell: Mapping[str, Any], data: Dataset, **others: Any) -> Training:
    """Train a cell's network by its `loss`, `optimizer`, `lr`, `epochs`, `batch_size`, `weight_decay` and `seed`.

    Args:
        cell: Settings.
        data: A divided set.
        **others: Arguments of `nfa.network.train` in place of the cell's.
    """
    names = ("loss", "optimizer", "lr", "epochs", "batch_size", "weight_decay", "seed")
    return train(network(cell, data), data, **{name: cell[name] for name in names} | others)
