"""Simplicity bias: where a simple and a complex picture both tell the class, the features are the simple one's.

Claim (arXiv:2212.13881, section on simplicity biases): networks and RFMs trained on a simple picture beside a complex
one of the same class (in the paper MNIST beside CIFAR-10) use the simple half: NFM, AGOP and M lie on it, and without
its help little is left, though the complex half alone tells the class too.

Each half is shifted to mean 0 and scaled to mean variance 1, so that neither is larger. Of the picture set, the first
classes (at most ten) stand beside the digits of the same numbers, enlarged (beside CIFAR-10: MNIST). With the digits
themselves as the complex half, the simple picture is a 0 or a 1, and the complex one any other digit, even or odd.

Refuted where the simple half's share of the trace is no larger than its share of the pixels, or where a model on both
halves keeps as much accuracy with the simple half shuffled as one that was trained on the complex half alone.

Columns: the settings (bandwidth in median distances; halves: "both", or the one that is trained on, the other being
0), then rows of `quantity` and `value`:

- `intact`, `simple_shuffled`, `complex_shuffled`: accuracy on test rows, as they are, and with one half taken from
  other rows, drawn at random;
- `nfm`, `agop`, `init_nfm` (a network's first layer; before training), `M`: the simple half's share of the trace;
- `pixels`: its share of the coordinates;
- of seed 0 with both halves, `nfm_at`, `agop_at`, `M_at`: the diagonal's part of the trace at `row` and `column`,
  channels added up; `sample_at`, the first row.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analyses.analysis import Analysis, Cell, Options, Row
from analyses.coordinates import NETWORK, RFM, learned, picture_rows, share
from analyses.pairs import renumbered
from analyses.setting import pictures, pictures_of
from analyses.spread import spread
from nfa.data import Dataset

SEEDS = (0, 1, 2)
SIMPLE = {"cifar10": "mnist"}
"""By complex set; beside others stand the digits."""
CLASSES = 10
TRAINING = {"init": "first-normal:0.001", "optimizer": "sgd", "lr": 0.1}
"""A small first layer and gradient descent, as in the paper: what the NFM holds then is what was learned."""
HALVES = ("both", "simple", "complex")
Array = NDArray[np.float32]


def cells(options: Options) -> list[Cell]:
    """Both models on both halves and on each alone."""
    sizes = {"n": 600, "n_test": 300} if options.quick else {"n": 2000, "n_test": 2000}
    epochs = 20 if options.quick else 40
    return [
        {"dataset": name, "simple": SIMPLE.get(name, "digits"), **sizes, "seed": seed, **model, "halves": halves}
        for name in pictures_of(options)
        for model in (RFM, NETWORK | {"epochs": epochs, **TRAINING})
        for seed in SEEDS
        for halves in HALVES
    ]


def side_by_side(complex_set: Dataset, simple_set: Dataset, seed: int) -> Dataset:
    """Return rows with a simple picture on the left and a complex one on the right.

    A row's simple picture is drawn at random, with replacement, among those of its class and part (training or test).

    Args:
        complex_set: Gives the rows, their classes and the size of a half.
        simple_set: Pictures no larger, of the same classes.
        seed: Of the draw.
    """
    assert complex_set.y is not None
    assert simple_set.y is not None
    generator, drawn = np.random.default_rng(seed), np.empty(complex_set.n, dtype=np.int64)
    for part, rows in complex_set.split.items():
        others = simple_set.split[part]
        for number in np.unique(complex_set.y[rows]):
            wanted = rows[complex_set.y[rows] == number]
            drawn[wanted] = generator.choice(others[simple_set.y[others] == number], len(wanted))
    shape = _shape(complex_set)
    halves = [enlarged(simple_set.X.reshape(-1, *_shape(simple_set))[drawn], shape), complex_set.X.reshape(-1, *shape)]
    train = complex_set.split["train"]
    X = np.concatenate([_scaled(half, train) for half in halves], axis=-1)
    return Dataset(
        X.reshape(len(X), -1).astype(np.float32),
        complex_set.y,
        name=f"{simple_set.name} beside {complex_set.name}",
        class_names=complex_set.class_names,
        feature_shape=X.shape[1:],
        split=complex_set.split,
    )


def enlarged(X: Array, shape: tuple[int, ...]) -> Array:
    """Return pictures (n x channels x height x width) in another shape: pixels repeated, a margin of zeros around.

    >>> enlarged(np.ones((1, 1, 2, 2)), (1, 5, 4))[0, 0, :, 0]
    array([1., 1., 1., 1., 0.])
    """
    times = min(shape[1] // X.shape[2], shape[2] // X.shape[3])
    X = X.repeat(times, axis=2).repeat(times, axis=3)
    rest = [shape[axis] - X.shape[axis + 1] for axis in (1, 2)]
    X = np.pad(X, [(0, 0), (0, 0), *((each // 2, each - each // 2) for each in rest)])
    return X if X.shape[1] == shape[0] else X.mean(axis=1, keepdims=True).repeat(shape[0], axis=1)


def _shape(data: Dataset) -> tuple[int, ...]:
    assert data.feature_shape is not None
    return data.feature_shape if len(data.feature_shape) == 3 else (1, *data.feature_shape)


def _scaled(half: Array, train: NDArray[np.int64]) -> Array:
    half = half - half[train].mean(axis=0)
    return half / np.sqrt((half[train] ** 2).mean())


def halves_of(cell: Cell, options: Options) -> Dataset:
    """Return a cell's rows, both halves."""
    n, n_test, seed = cell["n"], cell["n_test"], cell["seed"]
    complex_set = pictures(cell["dataset"], options, n, n_test, seed)
    # The whole of it: rows of a class are drawn again and again.
    simple_set = pictures(cell["simple"], options, 10**9, 10**9, seed)
    if cell["dataset"] == cell["simple"]:
        parity = renumbered(complex_set, {number: number % 2 for number in range(2, complex_set.n_outputs)})
        return side_by_side(parity, renumbered(simple_set, {0: 0, 1: 1}), seed)
    same = {number: number for number in range(min(CLASSES, complex_set.n_outputs))}
    return side_by_side(renumbered(complex_set, same), renumbered(simple_set, same), seed)


def left_half(data: Dataset) -> NDArray[np.bool_]:
    """Return which coordinates are the simple picture's."""
    assert data.feature_shape is not None
    mask = np.zeros(data.feature_shape, dtype=bool)
    mask[..., : data.feature_shape[-1] // 2] = True
    return mask.ravel()


def rows(cell: Cell, options: Options) -> Iterator[Row]:
    """Train on both halves or one, and see which the features hold, and which the model needs."""
    data = halves_of(cell, options)
    assert data.feature_shape is not None
    simple = left_half(data)
    if cell["halves"] != "both":
        data = replace(data, X=np.where(simple == (cell["halves"] == "simple"), data.X, np.float32(0)))
    model, test = learned(data, cell), data.part("test")
    assert test.y is not None
    found = {"intact": model.accuracy(test.X, test.y), "pixels": float(simple.mean())}
    generator = np.random.default_rng(cell["seed"])
    for name, half in (("simple_shuffled", simple), ("complex_shuffled", ~simple)):
        others = test.X[generator.permutation(test.n)]
        found[name] = model.accuracy(np.where(half, others, test.X), test.y)
    found |= {name: share(diagonal, simple) for name, diagonal in model.diagonals.items()}
    for quantity, value in found.items():
        yield {"quantity": quantity, "value": value, "row": None, "column": None}
    if cell["seed"] == SEEDS[0] and cell["halves"] == "both":
        for name, diagonal in model.diagonals.items():
            if name != "init_nfm":
                yield from picture_rows(f"{name}_at", diagonal / diagonal.sum(), data)
        yield from picture_rows("sample_at", data.X[0], data)


def findings(table: pd.DataFrame) -> list[str]:
    """Return, for each data set and model, where the features lie, and what is left without a half."""
    said = []
    for (dataset, simple, model), part in table.groupby(["dataset", "simple", "model"], sort=False):
        name = f"{simple} beside {dataset}, {model}"

        def values(quantity: str, halves: str = "both", part: pd.DataFrame = part) -> pd.Series:
            return 100 * part.loc[(part["quantity"] == quantity) & (part["halves"] == halves), "value"]

        shares = [
            f"{label} {spread(values(key))} %"
            for key, label in (("nfm", "NFM"), ("agop", "AGOP"), ("M", "M"), ("init_nfm", "NFM before training"))
            if len(values(key))
        ]
        if shares:
            said.append(
                f"{name}: the simple half holds of {', '.join(shares)} (of the pixels {spread(values('pixels'))} %)."
            )
        accuracies = [
            f"{label} {spread(values(key, halves))}"
            for key, halves, label in (
                ("intact", "both", "intact"),
                ("simple_shuffled", "both", "simple half shuffled"),
                ("complex_shuffled", "both", "complex half shuffled"),
                ("intact", "simple", "trained on the simple half alone"),
                ("intact", "complex", "trained on the complex half alone"),
            )
            if len(values(key, halves))
        ]
        if accuracies:
            said.append(f"{name}: test accuracy, %: {', '.join(accuracies)}.")
    return said


ANALYSIS = Analysis(cells, rows, findings)
