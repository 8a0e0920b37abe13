"""Varied tables with raw columns, none of which has to be fetched: scikit-learn's, matplotlib's, and generated ones.

Each stands for something that tables have: columns in different units, targets far from zero, few rows, more columns
than rows, columns of noise, categories, flipped labels, rare classes. `steps` is what trees are good at, `linear` what
linear models are good at, `rings` what a support vector machine is good at. Nothing is scaled or encoded. Columns of
categories have pandas' dtype `category`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import cbook
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.model_selection import train_test_split

Array = NDArray[Any]
Drawn = tuple[pd.DataFrame, Array]
"""Columns, and a number (or several) or a label for each row."""

TEST_ROWS = 700
"""Of a generated set: many, so that scores differ by more than luck."""


@dataclass(frozen=True)
class VariedSet:
    """A data set.

    Args:
        draw: From the number of rows and a seed; a set that is not generated has its own rows, whatever is asked for.
        n_train: Rows to train on; the others are test rows.
    """

    draw: Callable[[int, int], Drawn]
    n_train: int = 250


@dataclass(frozen=True, eq=False)
class Divided:
    """A data set whose rows are divided into those to train on and those to test.

    Args:
        X_train: Columns, n x d.
        X_test: The same columns of the test rows.
        y_train: Targets, (n,) or (n, c), or whole numbers that are labels.
        y_test: Those of the test rows.
        classes: Whether targets are labels.
    """

    X_train: pd.DataFrame
    X_test: pd.DataFrame
    y_train: Array
    y_test: Array
    classes: bool

    @property
    def categories(self) -> list[str]:
        """The names of the columns that are categories."""
        return list(self.X_train.select_dtypes("category").columns)


def divided(task: str, name: str, split: int) -> Divided:
    """Return a set of `SETS[task]`, drawn and divided with the seed `split`.

    >>> data = divided("classification", "imbalance", split=0)
    >>> data.X_train.shape, data.X_test.shape
    ((500, 20), (700, 20))
    """
    classes, chosen = task == "classification", SETS[task][name]
    X, y = chosen.draw(chosen.n_train + TEST_ROWS, split)
    parts = train_test_split(X, y, train_size=chosen.n_train, random_state=split, stratify=y if classes else None)
    return Divided(*parts, classes)


def _frame(X: Array, **more: Any) -> pd.DataFrame:
    return pd.DataFrame(X, columns=[f"x{number}" for number in range(X.shape[1])]).assign(**more)


def _bundled(name: str, **options: Any) -> Callable[[int, int], Drawn]:
    def draw(n: int, seed: int) -> Drawn:
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True, **options)
        return _frame(X), y

    return draw


def _elevation(n: int, seed: int) -> Drawn:
    """Heights above the sea around a fault, by longitude and latitude: matplotlib's sample of the USGS's data."""
    with cbook.get_sample_data("jacksboro_fault_dem.npz") as grid:
        heights = grid["elevation"]
        longitudes = np.linspace(float(grid["xmin"]), float(grid["xmax"]), heights.shape[1])
        latitudes = np.linspace(float(grid["ymin"]), float(grid["ymax"]), heights.shape[0])
    row, column = np.unravel_index(np.random.default_rng(seed).choice(heights.size, n, replace=False), heights.shape)
    X = pd.DataFrame({"longitude": longitudes[column], "latitude": latitudes[row]})
    return X, heights[row, column].astype(np.float64)


def _friedman1(d: int = 10, offset: float = 0.0) -> Callable[[int, int], Drawn]:
    def draw(n: int, seed: int) -> Drawn:
        X, y = datasets.make_friedman1(n, d, noise=1.0, random_state=seed)
        return _frame(X), y + offset

    return draw


def _friedman2(n: int, seed: int) -> Drawn:
    X, y = datasets.make_friedman2(n, noise=50.0, random_state=seed)
    return _frame(X), y


def _friedman3(n: int, seed: int) -> Drawn:
    X, y = datasets.make_friedman3(n, noise=0.1, random_state=seed)
    return _frame(X), y


def _row_number(draw: Callable[[int, int], Drawn]) -> Callable[[int, int], Drawn]:
    def numbered(n: int, seed: int) -> Drawn:
        X, y = draw(n, seed)
        return X.assign(number=10_000.0 * np.arange(n)), y

    return numbered


def _two_targets(n: int, seed: int) -> Drawn:
    X, y = datasets.make_friedman1(n, 6, noise=1.0, random_state=seed)
    return _frame(X), np.column_stack([y, 1e4 * np.sin(6 * X[:, 5])])


def _shops(n: int, seed: int) -> Drawn:
    """Four numbers and two columns of categories, one of which changes level and slope."""
    rng = np.random.default_rng(seed)
    X, shop, day = rng.uniform(size=(n, 4)), rng.integers(8, size=n), rng.integers(7, size=n)
    level, slope = np.random.default_rng(0).normal(size=(2, 8))
    y = 2 * level[shop] + 3 * slope[shop] * X[:, 0] + np.sin(6 * X[:, 1]) + 0.3 * rng.normal(size=n)
    words = {"shop": [f"shop {each}" for each in shop], "day": [f"day {each}" for each in day]}
    return _frame(X, **{name: pd.Categorical(each) for name, each in words.items()}), y


def _linear(n: int, seed: int) -> Drawn:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 20))
    return _frame(X), X @ np.linspace(1, 0, 20) + rng.logistic(size=n)


def _noisy(n: int, seed: int) -> Drawn:
    """Nine tenths of the variance is noise."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 10))
    return _frame(X), X[:, 0] + np.sin(2 * X[:, 1]) + 3.6 * rng.normal(size=n)


def _steps(n: int, seed: int) -> Drawn:
    """Thresholds along the axes, the home of trees."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n, 8))
    y = 2.0 * (X[:, 0] > 0.3) + 3 * ((X[:, 1] > 0.6) & (X[:, 2] < 0.5)) + np.floor(3 * X[:, 3])
    return _frame(X), y + 0.3 * rng.normal(size=n)


def _wide(n: int, seed: int) -> Drawn:
    """Many more columns than rows, of few factors, as of genes."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n, 5))
    X = factors @ np.random.default_rng(0).normal(size=(5, 400)) + 2 * rng.normal(size=(n, 400))
    return _frame(X), factors[:, 0] + factors[:, 1] * factors[:, 2] + 0.3 * rng.normal(size=n)


def _skewed(n: int, seed: int) -> Drawn:
    """Columns like incomes: nearly all small, a few large; targets go with their logarithms."""
    rng = np.random.default_rng(seed)
    logarithms = rng.normal(size=(n, 8))
    y = logarithms[:, 0] + np.abs(logarithms[:, 1]) + 0.5 * logarithms[:, 2] * logarithms[:, 3]
    return _frame(np.exp(2 * logarithms)), y + 0.3 * rng.normal(size=n)


def _above_median(draw: Callable[[int, int], Drawn]) -> Callable[[int, int], Drawn]:
    def labelled(n: int, seed: int) -> Drawn:
        X, y = draw(n, seed)
        return X, (y > np.median(y)).astype(np.int64)

    return labelled


def _informative(**options: Any) -> Callable[[int, int], Drawn]:
    def draw(n: int, seed: int) -> Drawn:
        X, y = datasets.make_classification(n, n_informative=5, n_redundant=0, random_state=seed, **options)
        return _frame(X), y

    return draw


def _flipped(n: int, seed: int) -> Drawn:
    """Three labels of ten are those of the other class."""
    X, y = _informative(n_features=20, flip_y=0.0)(n, seed)
    return X, np.where(np.random.default_rng(seed).random(n) < 0.3, 1 - y, y)


def _units(n: int, seed: int) -> Drawn:
    X, y = _informative(n_features=10)(n, seed)
    return X * np.random.default_rng(0).permutation(10.0 ** np.arange(-4, 6)), y


def _blobs(n: int, seed: int) -> Drawn:
    centers = np.random.default_rng(0).uniform(-5, 5, size=(30, 8))
    X, y = datasets.make_blobs(n, centers=centers, cluster_std=2.0, random_state=seed)
    return _frame(X), y


def _moons(n: int, seed: int) -> Drawn:
    X, y = datasets.make_moons(n, noise=0.3, random_state=seed)
    return _frame(X), y


def _hastie(n: int, seed: int) -> Drawn:
    X, y = datasets.make_hastie_10_2(n, random_state=seed)
    return _frame(X), (y > 0).astype(np.int64)


def _rings(n: int, seed: int) -> Drawn:
    X, y = datasets.make_gaussian_quantiles(n_samples=n, n_features=4, n_classes=5, random_state=seed)
    return _frame(X), y


def _xor(n: int, seed: int) -> Drawn:
    X = np.random.default_rng(seed).normal(size=(n, 10))
    return _frame(X), (X[:, 0] * X[:, 1] > 0).astype(np.int64)


REGRESSION: Mapping[str, VariedSet] = {
    "diabetes": VariedSet(_bundled("diabetes", scaled=False), 330),
    "elevation": VariedSet(_elevation),
    "friedman1": VariedSet(_friedman1()),
    "friedman1+200": VariedSet(_friedman1(offset=200)),
    "friedman1+2000": VariedSet(_friedman1(offset=2000)),
    "friedman2": VariedSet(_friedman2),
    "friedman3": VariedSet(_friedman3),
    "row-number": VariedSet(_row_number(_friedman1(5))),
    "noise-columns": VariedSet(_friedman1(60)),
    "few-rows": VariedSet(_friedman1(), 40),
    "categories": VariedSet(_shops),
    "two-targets": VariedSet(_two_targets),
    "linear": VariedSet(_linear),
    "noisy": VariedSet(_noisy),
    "steps": VariedSet(_steps),
    "wide": VariedSet(_wide, 80),
    "skewed": VariedSet(_skewed),
}
CLASSIFICATION: Mapping[str, VariedSet] = {
    "iris": VariedSet(_bundled("iris"), 100),
    "wine": VariedSet(_bundled("wine"), 120),
    "breast-cancer": VariedSet(_bundled("breast_cancer"), 300),
    "breast-cancer-40": VariedSet(_bundled("breast_cancer"), 40),
    "digits": VariedSet(_bundled("digits"), 500),
    "flipped": VariedSet(_flipped),
    "noise-columns": VariedSet(_informative(n_features=100)),
    "imbalance": VariedSet(_informative(n_features=20, weights=[0.96], flip_y=0.01), 500),
    "many-classes": VariedSet(_blobs, 450),
    "categories": VariedSet(_above_median(_shops)),
    "units": VariedSet(_units),
    "row-number": VariedSet(_row_number(_moons)),
    "hastie": VariedSet(_hastie),
    "rings": VariedSet(_rings),
    "xor": VariedSet(_xor),
    "steps": VariedSet(_above_median(_steps)),
    "linear": VariedSet(_above_median(_linear)),
    "wide": VariedSet(_above_median(_wide), 80),
    "skewed": VariedSet(_above_median(_skewed)),
}
SETS: Mapping[str, Mapping[str, VariedSet]] = {"regression": REGRESSION, "classification": CLASSIFICATION}
