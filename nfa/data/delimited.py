"""Tables in text: a header, then a row of numbers in each line, and one column that may hold labels."""

import csv
import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfa.common.budget import Budget
from nfa.common.errors import InputError, Place
from nfa.common.numerals import NUMBER, WHOLE
from nfa.common.opened import opened
from nfa.common.shown import shown
from nfa.data.arrays import REMEDY
from nfa.data.separator import fields, separator_of
from nfa.data.table import TRUTH, Table, check_labels, checked_names, no_number, no_value
from nfa.data.text import decoded

MISSING = frozenset(
    ("", "NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None", "NaT")
)
"""Texts that stand for a missing value."""
COMMA = re.compile(r"[-+]?(\d+,?\d*|,\d+)([eE][-+]?\d+)?", re.ASCII)
"""A number with a decimal comma."""
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}", re.ASCII)
"""A number that could have a decimal comma, or a comma between thousands."""
DIGITS = 19
"""A whole number of fewer characters fits 64 bits; a longer one is a label."""
ADVICE = "write all numbers with a decimal point and nothing between thousands"
GROUPED = re.compile(r"[-+]?[\d.,]*\d[\d.,]*", re.ASCII)
"""Text that was meant to be a number."""


def read_delimited(file: Path, target: str | None = None, max_memory: float | None = None) -> Table:
    """Read a table whose first line names its columns; what could be read in two ways is refused.

    Fields stand between commas, semicolons, tabs, bars or blanks, in a `.tsv` file between tabs. Numbers have a decimal
    point, or all of them a decimal comma; truth values count as 0 and 1. A first column without a name that numbers the
    rows from 0 (as pandas writes it) is left out, and so is a last one that has neither name nor values. Blank lines do
    not count, except in a table of one column.

    Args:
        file: A path.
        target: The column that is y; its fields may be text.
        max_memory: GiB that the table may take.

    Raises:
        InputError: the file is no such table; a row has another number of fields than the header; a feature is no
            number; a number could be another.
    """
    place = Place("data", file.name)
    with opened("data", file) as handle:
        budget = Budget.of_file(handle.seek(0, 2), max_memory, REMEDY)
        budget.hold(place, 2 * handle.tell())
        handle.seek(0)
        raw = handle.read()
        text = decoded(place, raw)
        separator, text = ("\t", text) if file.suffix.lower() == ".tsv" else separator_of(place, text)
        entries = text.count(separator) + text.count("\n") + text.count("\r") + 1
        budget.hold(place, len(raw) + len(text) + 8 * entries)
        del raw
        try:
            try:
                return _Reader(place, text, separator, target, comma=False).table()
            except _DecimalCommaError:
                return _Reader(place, text, separator, target, comma=True).table()
        except csv.Error as error:
            raise place.because(f"a row cannot be read: {shown(error)}; quotes must be closed") from error


class _DecimalCommaError(Exception):
    """A field of the table may be a number with a decimal comma."""


class _Reader:
    """One pass over a table: numbers are collected row by row, labels kept as they are."""

    def __init__(self, place: Place, text: str, separator: str, target: str | None, comma: bool) -> None:
        self.place, self.separator, self.comma = place, separator, comma
        self.rows = fields(text, separator)
        self.plain = _plain(text)
        header = next((row for row in self.rows if "".join(row).strip()), None)
        if header is None:
            raise place.error("is empty, it has no rows")
        names = [name.strip() for name in header]
        if names[0].startswith("#"):
            raise place.error("begins with '#'; comments are not read, take them out")
        self.width = len(names)
        self.index = self.width > 1 and not names[0]
        self.padded = self.width > 1 and not names[-1]
        names = names[self.index : self.width - self.padded]
        if all(name in MISSING or NUMBER.fullmatch(name) for name in names):
            raise self._no_header(names)
        self.label = checked_names(place, names, target)
        self.names = [name for number, name in enumerate(names) if number != self.label]
        self.target = target or ""
        self.numbers = array("d")
        self.labels: list[str] = []
        self.truths: dict[int, int] = {}
        self.unambiguous = False
        self.ambiguous: tuple[str, int] | None = None

    def table(self) -> Table:
        """Read all rows."""
        row = -1
        for row, entries in self._rows():
            if self.label is not None:
                label = entries.pop(self.label).strip()
                if label in MISSING:
                    raise no_value(self.target, row)
                self.labels.append(label)
            if self.comma:
                self._weigh(row, entries)
            try:
                if self.comma or not (self.plain or _plain("".join(entries))):
                    raise ValueError("to be read one by one")
                self.numbers.extend(list(map(float, entries)))
            except ValueError:
                self.numbers.extend([self._number(row, *each) for each in enumerate(entries)])
        if row < 0:
            raise self.place.error("is empty, it has no rows")
        for column, count in self.truths.items():
            if count != row + 1:
                raise no_number(self.place, self.names[column], "truth values and numbers")
        y = None if self.label is None else self._targets()
        if self.target in self.labels and all(map(NUMBER.fullmatch, self.names)):
            raise self._no_header(self.names)
        if self.comma and not self.unambiguous and self.ambiguous is not None:
            field, row = self.ambiguous
            raise self.place.because(
                f"{field!r} at row {row} is {field.replace(',', '.')} or {field.replace(',', '')}; {ADVICE}"
            )
        X = np.frombuffer(self.numbers, np.float64) if self.names else np.empty(0)
        return Table(tuple(self.names), X.reshape(-1, len(self.names)) if self.names else X.reshape(row + 1, 0), y)

    def _no_header(self, first: list[str]) -> InputError:
        some = ", ".join(shown(name, 20) for name in first[:3])
        return self.place.error(f"begins with a line of numbers ({some}), expected the names of columns; add a header")

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the numbers and fields of rows, without index and padding."""
        number, blank = 0, 0
        for row in self.rows:
            if not row or (len(row) == 1 and not row[0].strip()):
                blank = blank or self.rows.line_num
                continue
            if blank and self.width == 1:
                raise self.place.because(f"line {blank} is blank, expected a value")
            if len(row) != self.width:
                raise self.place.because(
                    f"row {number} (line {self.rows.line_num}) has {_many(len(row), 'field')}, but the header has "
                    f"{self.width}; fields are separated by {self.separator!r}"
                )
            if self.padded and row.pop().strip():
                raise self.place.error(f"has no name for column {self.width - 1}; every column needs one")
            if self.index and row.pop(0).strip() != str(number):
                raise self.place.error(
                    "has no name for its first column, and that does not number the rows from 0; name it, or write the "
                    "table without its index"
                )
            yield number, row
            number += 1

    def _number(self, row: int, column: int, field: str) -> float:
        """Return the number that a field stands for."""
        field = field.strip()
        if self.comma:
            if COMMA.fullmatch(field):
                return float(field.replace(",", "."))
        elif NUMBER.fullmatch(field):
            return float(field)
        if field in MISSING:
            return float("nan")
        if field in TRUTH:
            self.truths[column] = self.truths.get(column, 0) + 1
            return TRUTH[field]
        if field.lower().lstrip("+-") in ("inf", "infinity"):
            return float(field)
        if not self.comma and COMMA.fullmatch(field):
            raise _DecimalCommaError
        held = f"{shown(field)!r} at row {row}"
        if GROUPED.fullmatch(field):
            raise self.place.because(f"column {shown(self.names[column])!r} holds {held}; {ADVICE}")
        raise no_number(self.place, self.names[column], held)

    def _weigh(self, row: int, entries: list[str]) -> None:
        """Note fields that have a decimal comma, and fields that could have one."""
        for field in () if self.unambiguous else entries:
            if "," in field and not THOUSANDS.fullmatch(field.strip()):
                self.unambiguous = True
            elif "," in field and self.ambiguous is None:
                self.ambiguous = field.strip(), row

    def _targets(self) -> NDArray[Any]:
        labels = self.labels
        pattern = COMMA if self.comma else NUMBER
        if all(map(WHOLE.fullmatch, labels)):
            if max(map(len, labels)) < DIGITS:
                return np.array(list(map(int, labels)), np.int64)
        elif all(label in TRUTH for label in labels):
            return np.array([bool(TRUTH[label]) for label in labels])
        elif all(label in ("inf", "-inf") or pattern.fullmatch(label) for label in labels):
            for row, label in enumerate(labels):
                self._weigh(row, [label])
            return np.array([float(label.replace(",", ".")) for label in labels])
        elif not self.comma and all(map(COMMA.fullmatch, labels)):
            raise _DecimalCommaError
        else:
            check_labels(self.target, labels)
            self._check_labels(pattern)
        return np.array(labels, object)

    def _check_labels(self, pattern: re.Pattern[str]) -> None:
        """Refuse labels that are real numbers, some of which are written in another way."""
        real = [bool(NUMBER.fullmatch(label) and not WHOLE.fullmatch(label)) for label in self.labels]
        grouped = all(map(GROUPED.fullmatch, self.labels)) and any("," in label for label in self.labels)
        if any(real) or grouped:
            row = next(row for row, label in enumerate(self.labels) if not pattern.fullmatch(label))
            held = f"{shown(self.labels[row])!r} at row {row}, and real numbers"
            raise InputError("target", f"column {shown(self.target)!r} holds {held}; {ADVICE}")


def _plain(text: str) -> bool:
    """Whether text lacks what only Python takes for a part of a number: digits of other scripts, underscores."""
    return text.isascii() and "_" not in text


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
