"""The separator between the fields of a table in text."""

import csv
import io
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from nfa.common.errors import Place

SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
"""Separators of fields, besides blanks."""
LINES = 20
"""At most this many lines are looked at."""
CHARACTERS = 1 << 20
"""No further line is looked at after this many characters."""


def fields(text: str, separator: str) -> Any:
    """Return a `csv.reader` of a text; blanks after a separator do not count, and several of them are one separator."""
    lines: Iterator[str] = io.StringIO(text, newline="")
    if separator == " ":
        lines = (line.rstrip() + "\n" for line in lines)
    return csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)


def separator_of(place: Place, text: str) -> tuple[str, str]:
    r"""Return what separates the fields of a text, and the text without a line that says so ("sep=;").

    The header has it. Where the header has several, it is the only one by which the first rows have as many fields as
    the header. Blanks count only where there is nothing else.

    Raises:
        InputError: several are possible.

    >>> separator_of(Place("data", "a.csv"), "temp, C;y\n1.5;2\n")[0]
    ';'
    """
    stated = re.match(r"\s*\"?sep=([,;|\t])\"?[ ]*(\r\n|\n|\r)", text, re.IGNORECASE)
    if stated is not None:
        return stated[1], text[stated.end() :]
    sample = _sample(text)
    found = {each: _widths(sample, each) for each in (*SEPARATORS, " ")}
    bare = re.sub(r'"[^"]*"', "", sample.partition("\n")[0])
    possible = [each for each in SEPARATORS if each in bare and (found[each] or [0])[0] > 1]
    even = [each for each in found if len(set(found[each])) == 1 and found[each][0] > 1]
    if len(possible) == 1:
        return possible[0], text
    if possible:
        fitting = [each for each in possible if each in even]
        if len(fitting) == 1:
            return fitting[0], text
        names = " and ".join(SEPARATORS[each] for each in possible)
        raise place.error(f"has {names} in its header; keep one between columns, and put names in quotes")
    return (" " if " " in even else ","), text


def _sample(text: str) -> str:
    """Return the first lines of a text: the header, a row, and as many more as are soon read."""
    lines: list[str] = []
    size = 0
    for line in islice(filter(str.strip, io.StringIO(text, newline="")), LINES):
        if len(lines) > 1 and size > CHARACTERS:
            break
        lines.append(line)
        size += len(line)
    return "".join(lines)


def _widths(sample: str, separator: str) -> list[int]:
    """Return the number of fields in each row; of a row that is cut short, nothing."""
    widths: list[int] = []
    if separator in sample:
        try:
            widths.extend(len(row) for row in fields(sample, separator) if row)
        except csv.Error:
            return widths
    return widths
