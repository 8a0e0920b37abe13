"""The UCI classification sets of Fernandez-Delgado et al. (2014), with their authors' divisions of the rows.

A folder holds each set either as one `NAME.npz` or as the authors' folder `NAME/`:

- `NAME.npz`: `X` (n x d), `y`, `tune_train`, `tune_val` and `fold0_train`, `fold0_test` ... `fold3_test`; optionally
  `n_classes`.
- `NAME/NAME.txt`: lines `key= value`: `n_clases=`, `n_entradas=` (d), `n_patrons1=` (n), `fich1=` (the data file),
  optionally `n_patrons2=` (rows of a second file, to which no division refers; they are not read). The data file: a
  header line, then a row number, d values and the class in each line. `conxuntos.dat`: two lines of row numbers,
  those to tune on. `conxuntos_kfold.dat`: eight lines, train and test four times.

Rows and classes are numbered from 0, in both. The four folds are random divisions, not a partition: a row may be
tested in several folds, or in none.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfa.common.budget import Budget
from nfa.common.errors import InputError, Place
from nfa.common.opened import opened
from nfa.data.arrays import arrays_of
from nfa.data.text import decoded

FOLDS = 4
PARTS = ("tune_train", "tune_val", *(f"fold{k}_{part}" for k in range(FOLDS) for part in ("train", "test")))
"""The ten parts of the rows: names in an .npz, and the order of the lines in the authors' two files."""

HELD = 32
"""Bytes in memory for each byte of text at the most: a number of two characters is an object and a place in a list."""

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class UciSet:
    """A data set, the rows to choose hyperparameters on, and four folds.

    Args:
        name: What the set is called.
        X: Shape (n, d), float64.
        y: Shape (n,), classes 0 ... C-1, each of which occurs.
        tune_train: Row numbers on which the authors fit when they choose hyperparameters.
        tune_val: Row numbers on which they score then.
        folds: Row numbers (train, test) of each fold.
    """

    name: str
    X: NDArray[np.float64]
    y: NDArray[np.int64]
    tune_train: Rows
    tune_val: Rows
    folds: tuple[tuple[Rows, Rows], ...]

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return int(self.y.max()) + 1


def uci_names(folder: str | os.PathLike[str]) -> list[str]:
    """Return the names of the sets in a folder, sorted.

    Raises:
        InputError: there is no such folder, or no set in it.
    """
    path = Path(folder)
    if not path.is_dir():
        raise InputError("data", f"no such folder: {path}")
    files = {file.stem for file in path.glob("*.npz")}
    folders = {file.parent.name for file in path.glob("*/*.txt") if file.stem == file.parent.name}
    if not files | folders:
        raise InputError("data", f"no data set in {path}, expected NAME.npz or NAME/NAME.txt")
    return sorted(files | folders)


def read_uci(folder: str | os.PathLike[str], name: str) -> UciSet:
    """Read one set: `NAME.npz`, else the authors' folder `NAME/`.

    Raises:
        InputError: there is no such set; a file or an array is missing or damaged; a value, a class or a row number
            is none; a header says something else than the data.
    """
    path = Path(folder)
    if (path / f"{name}.npz").exists():
        return _from_npz(path / f"{name}.npz", name)
    if (path / name / f"{name}.txt").exists():
        return _from_folder(path / name, name)
    raise InputError("data", f"no set {name!r} in {path}, expected {name}.npz or {name}/{name}.txt")


def _from_npz(file: Path, name: str) -> UciSet:
    arrays = arrays_of(file, ["X", "y", *PARTS], ["n_classes"])
    X = arrays["X"]
    if X.ndim != 2 or X.dtype.kind not in "iufb":
        raise InputError("data", f"X in {file.name} is {X.dtype} of shape {X.shape}, expected n x d numbers")
    for key in ("y", *PARTS):
        if arrays[key].ndim != 1 or arrays[key].dtype.kind not in "iu":
            got = f"{arrays[key].dtype} of shape {arrays[key].shape}"
            raise InputError("data", f"{key} in {file.name} is {got}, expected a list of whole numbers")
    classes = arrays.get("n_classes")
    if classes is not None and (classes.size != 1 or classes.dtype.kind not in "iu"):
        got = f"{classes.dtype} of shape {classes.shape}"
        raise InputError("data", f"n_classes in {file.name} is {got}, expected a whole number")
    return _checked(
        file.name,
        name,
        X.astype(np.float64),
        arrays["y"].astype(np.int64),
        {key: arrays[key].astype(np.int64) for key in PARTS},
        None if classes is None else int(classes.item()),
    )


def _from_folder(folder: Path, name: str) -> UciSet:
    header = _header(folder / f"{name}.txt")
    if Path(header["fich1"]).name != header["fich1"]:
        raise InputError("data", f"{name}.txt says fich1= {header['fich1']}, expected a file in the same folder")
    values = _numbers(folder / header["fich1"], skip=1)
    n, d, classes = (_whole(header, key, name) for key in ("n_patrons1", "n_entradas", "n_clases"))
    if "n_patrons2" in header:
        _whole(header, "n_patrons2", name)
    if len(values) != n:
        raise InputError("data", f"{header['fich1']} has {len(values)} rows, but {name}.txt says n_patrons1= {n}")
    for row, line in enumerate(values):
        if len(line) != d + 2:
            raise InputError(
                "data",
                f"{header['fich1']} has {len(line)} values at row {row}, expected {d + 2}: a row number, "
                f"n_entradas= {d} features and a class",
            )
    table = np.array(values)
    y = table[:, -1]
    whole = np.array([_is_whole(value) for value in y.tolist()])
    if not whole.all():
        row = int(whole.argmin())
        raise InputError("data", f"{header['fich1']} has class {y[row]:g} at row {row}, expected a whole number")
    lines = [
        line
        for file, expected in (("conxuntos.dat", 2), ("conxuntos_kfold.dat", 2 * FOLDS))
        for line in _row_numbers(folder / file, expected)
    ]
    parts = dict(zip(PARTS, lines, strict=True))
    return _checked(name, name, table[:, 1:-1].copy(), y.astype(np.int64), parts, classes)


def _text(file: Path) -> list[str]:
    """Return the lines of a text file that hold something.

    Raises:
        InputError: it is no text, or its numbers would take more memory than a file of its size may.
    """
    place = Place("data", str(file))
    with opened("data", file) as handle:
        size = handle.seek(0, 2)
        Budget.of_file(size).hold(place, HELD * size)
        handle.seek(0)
        return [line for line in decoded(place, handle.read()).splitlines() if line.strip()]


def _header(file: Path) -> dict[str, str]:
    lines = [line.partition("=") for line in _text(file)]
    header = {key.strip(): value.strip() for key, found, value in lines if found}
    for key in ("n_clases", "n_entradas", "n_patrons1", "fich1"):
        if not header.get(key):
            raise InputError("data", f"{file} has no line '{key}= ...' (it has: {', '.join(header) or 'none'})")
    return header


def _whole(header: dict[str, str], key: str, name: str) -> int:
    value = header[key]
    if not re.fullmatch("0*[1-9][0-9]{0,8}", value):
        raise InputError("data", f"{name}.txt says {key}= {value[:20]}, expected a whole number from 1 to 999999999")
    return int(value)


def _numbers(file: Path, skip: int) -> list[list[float]]:
    """Return the numbers in each line of a text file."""
    rows = []
    for number, line in enumerate(_text(file)[skip:]):
        try:
            rows.append([float(word) for word in line.split()])
        except ValueError as error:
            raise InputError("data", f"{file} holds something else than numbers at row {number}") from error
    return rows


def _is_whole(value: float) -> bool:
    """Return whether a number is whole, and small enough to be sure of that."""
    return value.is_integer() and abs(value) < 2**53


def _row_numbers(file: Path, expected: int) -> list[Rows]:
    lines = _numbers(file, skip=0)
    if len(lines) != expected:
        raise InputError("data", f"{file} has {len(lines)} lines, expected {expected} lines of row numbers")
    found = []
    for number, line in enumerate(lines):
        if not all(map(_is_whole, line)):
            raise InputError("data", f"{file} holds something else than row numbers in line {number + 1}")
        found.append(np.array(line).astype(np.int64))
    return found


def _checked(
    file: str, name: str, X: NDArray[np.float64], y: Rows, parts: dict[str, Rows], classes: int | None
) -> UciSet:
    """Return the set, after checking that everything in it fits together."""
    n = len(X)
    if X.size == 0:
        raise InputError("data", f"X of {file} has shape {X.shape}, expected at least one row and one column")
    if len(y) != n:
        raise InputError("data", f"{file} has {n} rows, but {len(y)} classes")
    if not np.isfinite(X).all():
        row, column = (int(i) for i in np.argwhere(~np.isfinite(X))[0])
        raise InputError(
            "data", f"{X[row, column]} in {file} at row {row}, column {column}; every entry must be finite"
        )
    # Without a header any label could be a class, but then every class below it must occur too.
    count = classes if classes is not None else len(np.unique(y))
    wrong = (y < 0) | (y >= count)
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError("data", f"{file} has class {y[row]} at row {row}, expected 0 to {count - 1}")
    present = np.unique(y)
    if len(present) != count:
        gaps = present != np.arange(len(present))
        missing = int(gaps.argmax()) if gaps.any() else len(present)
        raise InputError("data", f"{file} has no row of class {missing}, expected {count} classes")
    _check_parts(file, n, parts)
    folds: list[tuple[Any, Any]] = [(parts[f"fold{k}_train"], parts[f"fold{k}_test"]) for k in range(FOLDS)]
    return UciSet(name, X, y, parts["tune_train"], parts["tune_val"], tuple(folds))


def _check_parts(file: str, n: int, parts: dict[str, Rows]) -> None:
    for key, rows in parts.items():
        if len(rows) == 0:
            raise InputError("data", f"{key} of {file} is empty, expected row numbers")
        wrong = (rows < 0) | (rows >= n)
        if wrong.any():
            raise InputError("data", f"{key} of {file} has row number {rows[wrong.argmax()]}, expected 0 to {n - 1}")
        unique, counts = np.unique(rows, return_counts=True)
        if len(unique) < len(rows):
            raise InputError("data", f"{key} of {file} has row {unique[counts.argmax()]} twice, expected each row once")
    for first, second in zip(PARTS[::2], PARTS[1::2], strict=True):
        both = np.intersect1d(parts[first], parts[second])
        if len(both):
            raise InputError("data", f"row {both[0]} of {file} is in {first} and in {second}, expected in one of them")
