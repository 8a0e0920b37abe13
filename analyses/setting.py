"""What several analyses share: picture sets by name, small and scaled, and networks trained as a cell says."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from analyses.analysis import Cell, Options
from nfa.common.checks import one_of
from nfa.data import Dataset, load_data
from nfa.data.dataset import Scaling
from nfa.data.loading import NAMES
from nfa.data.vision import DEBIAN_FASHION_MNIST
from nfa.network import MLP, Training, train

PAPERS: dict[str, Any] = {"fit_intercept": False, "scale": None, "agop_power": 1.0}
"""The paper's machines have no intercept, and columns as they are: not the defaults of `nfa.rfm`."""
TEST_SHARE = 0.2
"""Of a set that comes without a division into training and test rows."""


def pictures_of(options: Options) -> list[str]:
    """Return the picture sets to look at: those asked for, else the digits, and Fashion-MNIST where it is there.

    Raises:
        InputError: a name that `nfa.load_data` does not know.
    """
    if options.datasets is not None:
        return [one_of("dataset", name, NAMES) for name in options.datasets]
    return ["digits", "fashion-mnist"] if DEBIAN_FASHION_MNIST.is_dir() and not options.quick else ["digits"]


def pictures(name: str, options: Options, n: int, n_test: int, seed: int) -> Dataset:
    """Return a picture set with at most n training and n_test test rows, drawn at random, pixels from 0 to 1.

    Args:
        name: Of `nfa.load_data`.
        options: Where it lies.
        n: Training rows.
        n_test: Test rows.
        seed: Of the draw, and of the division where the set comes without one.
    """
    data = _loaded(name, options.folder, options.download)
    if not data.split:
        data = data.divide(TEST_SHARE, seed=seed)
    generator = np.random.default_rng(seed)
    chosen = {}
    for part, most in (("train", n), ("test", n_test)):
        rows = data.split[part]
        chosen[part] = np.sort(generator.permutation(rows)[:most])
    rows = np.concatenate(list(chosen.values()))
    assert data.y is not None
    split = {"train": np.arange(len(chosen["train"])), "test": np.arange(len(chosen["train"]), len(rows))}
    small = replace(data, X=data.X[rows], y=data.y[rows], split=split)
    return small.scaled(Scaling.fit("max", small.part("train").X))


@lru_cache(maxsize=1)
def _loaded(name: str, folder: Path | None, download: bool) -> Dataset:
    return load_data(name, folder=folder, download=download)


def untrained(data: Dataset, cell: Cell) -> MLP:
    """Return the network of a cell: its width, depth, activation, init, seed."""
    return MLP(
        data.d,
        cell["width"],
        cell["depth"],
        data.n_outputs,
        activation=cell["activation"],
        init=cell["init"],
        seed=cell["seed"],
    )


def trained(data: Dataset, cell: Cell, net: MLP | None = None, checkpoint: Path | None = None) -> Training:
    """Train on the training rows: loss, optimizer, lr, epochs, batch_size, weight_decay, seed of the cell.

    Args:
        data: Rows scaled as the network shall see them.
        cell: The settings.
        net: What to train; by default `untrained`.
        checkpoint: A file to go on from, and to write (see `nfa.train`).
    """
    return train(
        untrained(data, cell) if net is None else net,
        data,
        loss=cell["loss"],
        optimizer=cell["optimizer"],
        lr=cell["lr"],
        epochs=cell["epochs"],
        batch_size=cell["batch_size"],
        weight_decay=cell["weight_decay"],
        seed=cell["seed"],
        checkpoint=checkpoint,
    )
