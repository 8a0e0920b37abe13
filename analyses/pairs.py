"""Some classes of a picture set alone; two that look alike."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from analyses.analysis import Options
from analyses.setting import pictures
from nfa.data import Dataset

PAIRS = {"digits": (8, 9), "mnist": (4, 9), "fashion-mnist": (2, 4), "cifar10": (1, 9), "svhn": (3, 8), "stl10": (0, 9)}
"""By data set; others have their first two. Fashion-MNIST's are pullover and coat; STL-10's airplane and truck."""


def pair(name: str, options: Options, n: int, n_test: int, seed: int) -> Dataset:
    """Return `pictures` of two classes, numbered 0 and 1; at most n training and n_test test rows."""
    first, second = PAIRS.get(name, (0, 1))
    # Drawn from all classes, about one row in five is of the two.
    data = renumbered(pictures(name, options, 6 * n, 6 * n_test, seed), {first: 0, second: 1})
    rows = [data.split["train"][:n], data.split["test"][:n_test]]
    split = {"train": np.arange(len(rows[0])), "test": np.arange(len(rows[0]), len(rows[0]) + len(rows[1]))}
    both = np.concatenate(rows)
    assert data.y is not None
    return replace(data, X=data.X[both], y=data.y[both], split=split)


def renumbered(data: Dataset, numbers: Mapping[int, int]) -> Dataset:
    """Return the rows of some classes alone, with new numbers.

    Args:
        data: Classes, divided into training and test rows.
        numbers: From old to new, which are 0 ... C-1; several may become one.
    """
    assert data.y is not None
    assert data.class_names is not None
    rows = {part: of[np.isin(data.y[of], list(numbers))] for part, of in data.split.items()}
    both = np.concatenate(list(rows.values()))
    names = [
        ", ".join(data.class_names[old] for old in numbers if numbers[old] == new) for new in set(numbers.values())
    ]
    count = len(rows["train"])
    return replace(
        data,
        X=data.X[both],
        y=np.array([numbers[old] for old in data.y[both].tolist()]),
        class_names=tuple(names),
        split={"train": np.arange(count), "test": np.arange(count, len(both))},
    )
