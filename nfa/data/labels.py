"""One rule for labels: which targets are classes, which output each label is, where a single output divides two."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nfa.common.errors import InputError
from nfa.common.numerals import number_in
from nfa.common.shown import few
from nfa.data.label_words import not_told_apart, order_in_words, out_of_range, unknown_classes
from nfa.data.targets import IGNORED, are_tokens, as_numbers, column_of, label_name, target_array


@dataclass(frozen=True)
class Answers:
    """The facts about a network's outputs by which its targets are read.

    Args:
        n_outputs: Outputs c; a single one tells two classes apart.
        ending: "softmax" or "sigmoid" where that was taken off the network.
        names: The labels in the order of the outputs, where they are known.
        numbers: Whether a single output was trained on numbers, by squared error.
        positions: The number of positions at which the network answers for each sample, each with c outputs.
    """

    n_outputs: int
    ending: str | None = None
    names: tuple[str, ...] | None = None
    numbers: bool = False
    positions: int = 1

    @property
    def n_classes(self) -> int:
        """The classes that the outputs tell apart."""
        return max(2, self.n_outputs)


@dataclass(frozen=True, eq=False)
class Targets:
    """Targets as they are read beside a network's outputs.

    Args:
        values: Labels (n,), or numbers (n,) or (n, c).
        order: The labels that the outputs stand for; None for numbers.
        codes: The output of each label, int64 (n,), or (n, T) for labels of T positions; None for numbers, and for
            labels that cannot be told to outputs.
        refusal: Why they cannot be told.
        notes: Sentences on an order that was assumed.
    """

    values: NDArray[Any]
    order: NDArray[Any] | None = None
    codes: NDArray[np.int64] | None = None
    refusal: InputError | None = None
    notes: tuple[str, ...] = ()

    @property
    def are_classes(self) -> bool:
        """Whether they are labels."""
        return self.order is not None

    def encoded(self) -> NDArray[Any]:
        """Return class numbers (int64), or numbers (floating point).

        Raises:
            InputError: no output can be found for the labels.
        """
        if self.refusal is not None:
            raise self.refusal
        if self.codes is not None:
            return self.codes
        return self.values if self.values.dtype.kind == "f" else self.values.astype(np.float64)

    def codes_of(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        """Return the outputs of other labels, in the order that was read here.

        Raises:
            InputError: no output can be found for the labels, or for one of them.
        """
        if self.refusal is not None or self.order is None:
            raise self.refusal or InputError("y", "holds labels, expected numbers")
        codes, unknown = codes_of(labels, self.order.tolist())
        if unknown:
            which = "the training rows lack" if self.notes else "no output of the network stands for"
            raise InputError("y", f"holds the label {unknown[0]!r}, which {which}")
        return codes

    def alike(self, y: Any, n: int, answers: Answers) -> NDArray[Any]:
        """Return other targets of the kind that was read here: labels (n,), or numbers of the same columns, float64.

        Labels that were not read here are no error. Text where numbers were read is one: none of it could be right.

        Args:
            y: Labels or numbers.
            n: How many there should be.
            answers: What is known of the network's outputs.

        Raises:
            InputError: another number of targets, of another kind or of other columns; or as `read_targets`.

        >>> read_targets(["b", "a"], Answers(2)).alike([0, 1], 2, Answers(2))
        Traceback (most recent call last):
        ...
        nfa.common.errors.InputError: y: holds the labels 0, 1, but fit saw 'a', 'b'
        """
        values = target_array(y)
        if len(values) != n:
            raise InputError("y", f"{len(values)} targets, but X has {n} rows")
        if not self.are_classes:
            numbers, expected = as_numbers(values).astype(np.float64), self.values.shape[1:]
            if column_of(numbers).shape[1:] != column_of(self.values).shape[1:]:
                raise InputError("y", f"shape {values.shape}, expected {('n', *expected)} as in fit")
            return numbers.reshape(n, *expected)
        found = read_targets(values, answers)
        if not found.are_classes:
            raise InputError("y", f"{values.dtype} of shape {values.shape}, but fit saw classes")
        if (found.values.dtype.kind == "U") != (self.values.dtype.kind == "U"):
            here, there = (few([repr(each) for each in np.unique(of.values).tolist()]) for of in (found, self))
            raise InputError("y", f"holds the labels {here}, but fit saw {there}")
        return found.values


def read_targets(y: Any, answers: Answers) -> Targets:
    """Return what targets are beside a network's outputs: classes with their outputs, or numbers.

    - *Classes* are text, truth values, whole numbers and one-hot rows, whole numbers kept as real ones for several
      outputs, and whatever `names` holds. Whole numbers beside one output are classes where they are 0 and 1 or the
      network ends in a sigmoid; otherwise, and where it was trained by squared error, they are numbers.
    - *Outputs*: a label belongs to the output of its name. Without names, a whole number is the number of its output,
      and text counts in sorted order, where there are as many labels as the outputs tell apart. One output with a
      sigmoid has two sides and no numbers: two whole numbers stand for them in sorted order.

    Args:
        y: Labels or numbers, (n,), (n, 1) or (n, c): a list, an array, a tensor or a column.
        answers: What is known of the outputs.

    Raises:
        InputError: a value is missing, labels are of several kinds, or whole numbers or text come in several columns.

    >>> read_targets(["b", "a", "b"], Answers(2)).codes.tolist()
    [1, 0, 1]
    >>> read_targets([1, 2, 1], Answers(1, "sigmoid")).codes.tolist()
    [0, 1, 0]
    >>> read_targets([1, 2, 1], Answers(1)).are_classes
    False
    """
    values = target_array(y, answers.positions)
    if not values.size:
        raise InputError("y", "empty, expected a label or number for each row")
    if are_tokens(values, answers.positions):
        return _tokens(values, answers)
    if answers.numbers and answers.n_outputs == 1:
        return Targets(as_numbers(values))
    if answers.names is not None and (column := column_of(values)).ndim == 1:
        named = _named(column, answers.names)
        if named is not None:
            return named
    labels = class_labels(values, answers.n_outputs, answers.ending)
    if labels is None:
        return Targets(values)
    present = np.unique(labels)
    if labels.dtype.kind == "U":
        if len(present) == answers.n_classes:
            return _sorted(labels, present)
        return Targets(labels, np.arange(answers.n_classes), refusal=not_told_apart(len(present), answers.n_classes))
    if present[0] >= 0 and present[-1] < answers.n_classes:
        return Targets(labels, np.arange(answers.n_classes), labels.astype(np.int64))
    if answers.n_outputs == 1 and answers.ending == "sigmoid" and len(present) == 2:
        return _sorted(labels, present)
    refusal = out_of_range(int(present[0]), int(present[-1]), answers.n_classes)
    return Targets(labels, np.arange(answers.n_classes), refusal=refusal)


def class_labels(values: NDArray[Any], n_outputs: int, ending: str | None = None) -> NDArray[Any] | None:
    """Return the values of `target_array` as labels (n,) if they are classes of c outputs; None for numbers.

    >>> class_labels(np.array([[0.0, 1.0], [1.0, 0.0]]), 2).tolist()
    [1, 0]
    >>> class_labels(np.array([0, 1, 7]), 1) is None
    True
    """
    kind = values.dtype.kind
    if kind in "bU":
        return values
    if kind in "iu":
        return values if n_outputs > 1 or ending == "sigmoid" or np.isin(values, (0, 1)).all() else None
    values = column_of(values)
    if values.ndim == 2:
        wide = values.shape[1] == n_outputs > 1
        one_hot = wide and np.isin(values, (0, 1)).all() and (values.sum(1) == 1).all()
        return values.argmax(1) if one_hot else None
    # Infinity and NaN are no classes; whoever checks the entries refuses them.
    whole = values.ndim == 1 and n_outputs > 1 and np.isfinite(values).all() and (values == values.round()).all()
    return values.astype(np.int64) if whole else None


def codes_of(labels: NDArray[Any], order: Iterable[Any]) -> tuple[NDArray[np.int64], list[Any]]:
    """Return each label's place in an order, -1 for one that is not in it; and the labels that are not.

    >>> codes_of(np.array(["b", "c", "a"]), ["a", "b"])
    (array([ 1, -1,  0]), ['c'])
    """
    known = {label: number for number, label in enumerate(order)}
    listed = labels.tolist()
    unknown = dict.fromkeys(label for label in listed if label not in known)
    return np.array([known.get(label, -1) for label in listed], dtype=np.int64), list(unknown)


def thresholds(ending: str | None) -> tuple[float, ...]:
    """Return the thresholds above which a single output f may mean the second class: 0 of logits, 0.5 of probabilities.

    >>> thresholds("sigmoid"), thresholds(None)
    ((0.0,), (0.0, 0.5))
    """
    return (0.0,) if ending == "sigmoid" else (0.0, 0.5)


def threshold_of(f: Tensor, codes: Tensor | None, ending: str | None) -> float:
    """Return the one of `thresholds` that is right more often on outputs f (n x c).

    It is 0 where nothing tells: for several outputs, and without class numbers.

    >>> import torch
    >>> threshold_of(torch.tensor([[0.2], [0.9]]), torch.tensor([0, 1]), None)
    0.5
    """
    if codes is None or codes.is_floating_point() or f.shape[1] > 1:
        return 0.0
    return max(thresholds(ending), key=lambda threshold: int((decoded(f, threshold) == codes).sum()))


def decoded(f: Tensor, threshold: float = 0.0) -> Tensor:
    """Return the class numbers that outputs f (n x ... x c) answer with, n x ..."""
    return f.argmax(-1) if f.shape[-1] > 1 else (f[..., 0] > threshold).long()


def _tokens(values: NDArray[Any], answers: Answers) -> Targets:
    """Return labels of several positions (n x T), read as those of so many samples; `IGNORED` stays as it is."""
    counted = values != IGNORED
    if not counted.any():
        raise InputError("y", f"every label is {IGNORED}, which counts for nothing")
    found = read_targets(values[counted], replace(answers, positions=1))
    if found.codes is None:
        return found
    codes = np.full(values.shape, IGNORED, dtype=np.int64)
    codes[counted] = found.codes
    return replace(found, values=values, codes=codes)


def _named(values: NDArray[Any], names: tuple[str, ...]) -> Targets | None:
    """Return labels beside the names of the outputs; None where the names say nothing of them."""
    kind = values.dtype.kind
    numeric = None if kind == "U" else numbers_of(names)
    labels = values if kind == "U" or numeric is not None else np.array([label_name(each) for each in values.tolist()])
    codes, unknown = codes_of(labels, names if numeric is None else numeric.tolist())
    order = np.array(names) if numeric is None else numeric
    if not unknown and kind == "b" and numeric is None:
        return Targets(values, order == "True", codes)
    if not unknown:
        return Targets(labels.astype(order.dtype) if kind == "f" else labels, order, codes)
    whole = kind in "iub" or (kind == "f" and bool(np.isfinite(values).all() and (values == values.round()).all()))
    if kind == "f" and not (whole and numeric is not None):
        return None
    if kind != "U" and numeric is None and values.min() >= 0 and values.max() < len(names):
        return Targets(values, np.arange(len(names)), values.astype(np.int64))
    return Targets(values, order, refusal=unknown_classes([label_name(label) for label in unknown], names))


def numbers_of(names: tuple[str, ...]) -> NDArray[Any] | None:
    """Return names as numbers, whole ones where all are; None where one is no number, or two are the same."""
    numbers = [each for each in map(number_in, names) if each is not None]
    if len(numbers) < len(names):
        return None
    whole = [int(each) for each in numbers if isinstance(each, int) or each.is_integer()]
    found = np.array(whole if len(whole) == len(names) else numbers)
    # Names that no dtype tells apart are compared as text.
    exact = found.dtype.kind in "iu" or (len(whole) < len(names) and found.dtype.kind == "f")
    return found if exact and len(np.unique(found)) == len(names) and bool(np.isfinite(found).all()) else None


def _sorted(labels: NDArray[Any], present: NDArray[Any]) -> Targets:
    codes = np.searchsorted(present, labels).astype(np.int64)
    return Targets(labels, present, codes, notes=(order_in_words(present.tolist()),))
