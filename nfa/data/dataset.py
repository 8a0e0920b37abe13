"""The one type of data set: rows, targets, names, and which rows are for what."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfa.common.checks import one_of, positive
from nfa.common.errors import InputError
from nfa.common.shown import shown
from nfa.data.label_words import unknown_classes
from nfa.data.labels import codes_of
from nfa.data.masked import refuse_masked
from nfa.data.targets import as_numbers, target_array

WHOLE = 1 << 24
"""float32 holds every whole number up to this one."""


def as_floats(X: NDArray[Any]) -> NDArray[Any]:
    """Return numbers as float32 where that holds each of them exactly, else as the nearest in float64.

    >>> as_floats(np.array([1, 2])).dtype, as_floats(np.array([1, 16777217])).dtype
    (dtype('float32'), dtype('float64'))
    """
    if X.dtype.kind not in "iufb":
        raise InputError("data", f"X holds {X.dtype}, expected numbers")
    if X.dtype.kind in "iu" and X.size and X.dtype.itemsize > 2:
        narrow = int(X.min()) >= -WHOLE and int(X.max()) <= WHOLE
    else:
        narrow = X.dtype.kind != "f" or X.dtype.itemsize <= 4
    return X.astype(np.float32 if narrow else np.float64, copy=False)


@dataclass(frozen=True, eq=False)
class Scaling:
    """The affine map x -> (x - shift) / scale of the inputs, fitted on training rows.

    Args:
        kind: "none", "max" (divide by the largest absolute entry; for pictures) or "standard" (every
            column to mean 0 and variance 1; constant columns are only shifted).
        shift: Shape (d,) or (), float64.
        scale: Shape (d,) or (), float64, nowhere 0.

    >>> Scaling.fit("max", np.array([[0.0, 8.0], [16.0, 4.0]])).apply(np.array([[4.0, 8.0]]))
    array([[0.25, 0.5 ]])
    """

    kind: str
    shift: NDArray[np.float64]
    scale: NDArray[np.float64]

    KINDS = ("none", "max", "standard")

    @classmethod
    def fit(cls, kind: str, X: NDArray[Any]) -> "Scaling":
        """Fit a scaling of the given kind on the rows of X (n x d)."""
        one_of("scaling", kind, cls.KINDS)
        shift, scale = np.zeros(()), np.ones(())
        if kind == "max":
            scale = np.asarray(float(np.abs(X).max()) or 1.0)
        elif kind == "standard":
            shift = X.mean(axis=0, dtype=np.float64)
            scale = X.std(axis=0, dtype=np.float64)
            scale[scale <= 1e-12 * np.abs(X).max(axis=0)] = 1.0
        return cls(kind, shift, scale)

    def apply(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return the scaled rows of X (n x d), in X's dtype.

        Raises:
            InputError: X has another number of columns than the rows this was fitted on.
        """
        if self.kind == "none":
            return X
        if self.shift.ndim and len(self.shift) != X.shape[1]:
            raise InputError("data", f"{X.shape[1]} features, but the inputs' scaling is for {len(self.shift)}")
        scaled: NDArray[Any] = X - self.shift.astype(X.dtype)
        scaled /= self.scale.astype(X.dtype)
        return scaled


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows X and targets y, with their names and the division of the rows.

    Args:
        X: Shape (n, d), float32 or float64; pictures flattened.
        y: Class numbers 0 ... C-1 (int64, shape (n,)), or real targets (float, shape (n,) or (n, c)),
            or None.
        name: What the set is called.
        feature_names: The d columns' names, where they have names.
        class_names: The C classes' names; None for real targets.
        feature_shape: The shape of one row as a picture, for example (28, 28) or (3, 32, 32).
        split: Row numbers of "train", "val" and "test"; empty when the rows are not divided.

    >>> data = Dataset(np.eye(4, dtype=np.float32), np.array([0, 1, 0, 1]), name="toy", class_names=("a", "b"))
    >>> data.divide(test=0.25).part("train").n
    3
    """

    X: NDArray[Any]
    y: NDArray[Any] | None = None
    name: str = "data"
    feature_names: tuple[str, ...] | None = None
    class_names: tuple[str, ...] | None = None
    feature_shape: tuple[int, ...] | None = None
    split: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    PARTS = ("train", "val", "test")

    def __post_init__(self) -> None:
        """Check the shapes; features become float32 where that holds them exactly, else float64."""
        for argument, values in (("X", self.X), ("y", self.y)):
            refuse_masked(argument, values)
        if self.X.ndim != 2:
            raise InputError("data", f"X has shape {self.X.shape}, expected (rows, features)")
        if 0 in self.X.shape:
            raise InputError("data", f"empty, X has shape {self.X.shape}")
        object.__setattr__(self, "X", as_floats(self.X))
        if self.y is not None and (self.y.ndim == 0 or len(self.y) != len(self.X)):
            rows = len(self.y) if self.y.ndim else "none"
            raise InputError("data", f"X has {len(self.X)} rows, y has {rows}")
        if self.y is not None and (self.y.ndim > 2 or self.y.size == 0):
            raise InputError("y", f"shape {self.y.shape}, expected (rows,) or (rows, targets)")
        if self.y is not None and self.y.dtype.kind != "f":
            y = target_array(self.y)
            if y.dtype.kind == "U":
                raise InputError("y", "holds text; give class numbers (n,) and class_names, or real targets")
            object.__setattr__(self, "y", as_floats(y) if y.dtype.kind == "f" else y.astype(np.int64))
        elif self.y is not None:
            object.__setattr__(self, "y", as_floats(self.y))

    def __repr__(self) -> str:
        """Show name, size and division in one line."""
        parts = ", ".join(f"{k} {len(v)}" for k, v in self.split.items()) or "not divided"
        return f"Dataset({self.name!r}, n={self.n}, d={self.d}, outputs={self.n_outputs}, rows: {parts})"

    @property
    def n(self) -> int:
        """The number of rows."""
        return len(self.X)

    @property
    def d(self) -> int:
        """The number of features."""
        return int(self.X.shape[1])

    @property
    def is_classification(self) -> bool:
        """Whether y holds class numbers."""
        return self.y is not None and np.issubdtype(self.y.dtype, np.integer)

    @property
    def n_outputs(self) -> int:
        """Classes, or real targets; 0 without y."""
        if self.y is None:
            return 0
        if self.is_classification:
            return len(self.class_names) if self.class_names else int(self.y.max()) + 1
        return 1 if self.y.ndim == 1 else int(self.y.shape[1])

    def divide(self, test: float = 0.2, val: float = 0.0, seed: int = 0) -> "Dataset":
        """Divide the rows at random into train, val and test, with each class in the same shares.

        A set that has test rows keeps them, whatever `test` is; `val` is taken from all its other rows.

        Args:
            test: The share of all rows for "test".
            val: The share of all rows for "val".
            seed: The division is a function of the rows' order, the shares and this number.

        Raises:
            InputError: a share is below 0, they leave nothing to train on, or a part has no row.
        """
        if not (0 <= test < 1 and 0 <= val < 1 and test + val < 1):
            raise InputError("split", f"test {test} and val {val} must be at least 0 and together below 1")
        positive("seed", seed, least=0)
        rows, parts = np.arange(self.n), dict[str, NDArray[np.int64]]()
        if "test" in self.split:
            parts["test"] = self.split["test"]
            rows = np.sort(np.concatenate([part for name, part in self.split.items() if name != "test"]))
        elif test:
            rows, parts["test"] = self._take(rows, test, seed, "test")
        if val:
            rows, parts["val"] = self._take(rows, val, seed + 1, "val")
        parts["train"] = rows
        return replace(self, split={name: parts[name] for name in self.PARTS if name in parts})

    def _take(
        self, rows: NDArray[np.int64], share: float, seed: int, part: str
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        from sklearn.model_selection import train_test_split

        count = round(share * self.n)
        if not 1 <= count < len(rows):
            raise InputError("split", f"{self.n} rows are too few for a {part} share of {share}")
        stratify = None
        if self.is_classification and self.y is not None:
            sizes = np.unique(self.y[rows], return_counts=True)[1]
            if sizes.min() >= 2 and len(sizes) <= min(count, len(rows) - count):
                stratify = self.y[rows]
        kept, taken = train_test_split(rows, test_size=count, random_state=seed, stratify=stratify)
        return np.sort(kept), np.sort(taken)

    def with_classes(self, names: tuple[str, ...]) -> "Dataset":
        """Return the same set with its classes numbered as in `names`.

        Raises:
            InputError: a class of this set is not among them.
        """
        if self.y is None or not self.is_classification or self.class_names is None:
            return self
        codes, unknown = codes_of(np.array(self.class_names)[self.y], names)
        if unknown:
            raise unknown_classes(unknown, names)
        return replace(self, y=codes, class_names=names)

    def with_features(self, names: tuple[str, ...]) -> "Dataset":
        """Return the same set with its columns in the order of `names`; without names of its own, as it is.

        Raises:
            InputError: a column is missing, or there is one too many.
        """
        if self.feature_names is None or self.feature_names == names:
            return self
        numbers, wanted = {name: number for number, name in enumerate(self.feature_names)}, set(names)
        missing = [name for name in names if name not in numbers]
        spare = [name for name in self.feature_names if name not in wanted]
        if missing or spare:
            which, column = ("no", missing[0]) if missing else ("a", spare[0])
            raise InputError(
                "data", f"{self.name} has {which} column {shown(column)!r}, unlike the network's training data"
            )
        order = [numbers[name] for name in names]
        return replace(self, X=self.X[:, order], feature_names=names)

    def with_real_targets(self) -> "Dataset":
        """Return the same set with its classes, which must be called by numbers, as real targets.

        Raises:
            InputError: a class is not called by a number.
        """
        if self.y is None or not self.is_classification:
            return self
        values = self.y if self.class_names is None else np.array(self.class_names)[self.y]
        return replace(self, y=as_numbers(values), class_names=None)

    def part(self, name: str) -> "Dataset":
        """Return the rows of one part of the division ("all": every row) as a set of their own.

        Raises:
            InputError: there is no such part.
        """
        one_of("split", name, (*self.PARTS, "all"))
        if name == "all":
            return replace(self, split={})
        if name not in self.split:
            have = ", ".join(self.split) or "none: the rows are not divided"
            raise InputError("split", f"{self.name} has no {name} rows (it has: {have})")
        return self._rows(self.split[name])

    def sample(self, count: int, seed: int = 0) -> "Dataset":
        """Return `count` rows drawn at random without replacement, in their order; all when there are no more."""
        positive("samples", count)
        positive("seed", seed, least=0)
        if count >= self.n:
            return replace(self, split={})
        return self._rows(np.sort(np.random.default_rng(seed).choice(self.n, count, replace=False)))

    def scaled(self, scaling: Scaling) -> "Dataset":
        """Return the same set with scaled inputs."""
        return replace(self, X=scaling.apply(self.X))

    def _rows(self, rows: NDArray[np.int64]) -> "Dataset":
        return replace(self, X=self.X[rows], y=None if self.y is None else self.y[rows], split={})
