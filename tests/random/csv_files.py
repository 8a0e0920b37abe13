"""Random tables in text, whole and damaged, and every rectangular reading of a damaged one."""

import csv
import io
from decimal import Decimal, InvalidOperation

import numpy as np

SEPARATORS = (",", ";", "\t", "|", " ")
CODES = ("utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32")
LABELS = ("cat", "dog", "émeu", 'a "b"', "x;y", "x,y", "3+", "#1")
TRUTH = {"true": 1.0, "false": 0.0}


def make(rng, folder, content):
    """Write a table; return the arguments of `data_files.made`."""
    path = folder / "random.csv"
    n, d = int(rng.integers(1, 9)), int(rng.integers(1, 6))
    separator = SEPARATORS[rng.integers(len(SEPARATORS))]
    comma = bool(rng.random() < 0.3)
    X = [[number(rng) for _ in range(d)] for _ in range(n)]
    if comma:
        X[0][0] = "-0.5"
    if rng.random() < 0.2 and d > 1:
        for row in X:
            row[1] = str(rng.choice(["True", "False"]))
    names = [f"{rng.choice(['a', 'b c', 'über', 'x_1', '7', 'weird ,;|'])} {number}" for number in range(d)]
    y = labels(rng, n)
    kind = str(rng.choice(["whole", "whole", "damaged", "one field more", "one field less", "twisted", "mixed"]))
    every = [row[:] for row in X]
    if comma:
        every = [[field.replace(".", ",") for field in row] for row in every]
    place = int(rng.integers(d + 1))
    if y is not None:
        for row, label in zip(every, y, strict=True):
            row.insert(place, label.replace(".", ",") if comma and label[-1].isdigit() else label)
        names.insert(place, "target")
    if rng.random() < 0.2:
        every = [[str(number), *row] for number, row in enumerate(every)]
        names = ["", *names]
    if separator != " " and rng.random() < 0.1:
        every, names = [[*row, ""] for row in every], [*names, ""]
    if kind == "one field more":
        row = every[int(rng.integers(n))]
        row.insert(int(rng.integers(len(row) + 1)), "1")
    if kind == "one field less":
        row = every[int(rng.integers(n))]
        row.pop(int(rng.integers(len(row))))
    if kind == "mixed":
        every[int(rng.integers(n))][-1] = str(
            rng.choice(["1,5", "1.234,5", "1 000", "1_000", "x", "", "NA", "1e999", "٣", "0x1"])
        )
    end = str(rng.choice(["\n", "\r\n", "\r"]))
    always = bool(rng.random() < 0.2)
    lines = [
        separator.join(quoted(field, always, header) for field in row) for header, row in enumerate([names, *every])
    ]
    if kind == "twisted":
        lines = twisted(rng, lines)
    if len(names) > 1 and rng.random() < 0.2:
        lines.insert(int(rng.integers(len(lines) + 1)), "")
    text = end.join(lines) + (end if rng.random() < 0.8 else "")
    raw = text.encode(CODES[rng.integers(len(CODES))])
    if kind == "damaged":
        from data_files import damaged

        raw, how = damaged(rng, raw)
        kind = f"damaged: {how}"
    path.write_bytes(raw)
    target = None if y is None else "target"
    if kind == "whole":
        values = [[value(field) for field in row] for row in X]
        return path, "csv whole", target, True, lambda: content(np.array(values), typed(y))
    return path, f"csv {kind}", target, False, lambda: content(*reading(path, target))


def number(rng):
    kind = rng.integers(5)
    if kind == 0:
        return str(rng.integers(-1000, 1000))
    if kind == 1:
        return f"{rng.normal():.2f}"
    if kind == 2:
        return f"{rng.normal() * 1e6:.3e}"
    return repr(float(rng.normal() * 10.0 ** rng.integers(-5, 6)))


def labels(rng, n):
    kind = rng.integers(4)
    if kind == 0:
        return None
    if kind == 1:
        return [str(label) for label in rng.integers(-3, 12, n)]
    if kind == 2:
        return [f"{rng.normal():.3f}5" for _ in range(n)]
    return [LABELS[number] for number in rng.integers(len(LABELS), size=n)]


def typed(y):
    """Return targets as numbers where they are real."""
    if y is None or any(value(label) is None for label in y):
        return y
    return [float(label) for label in y] if any("." in label for label in y) else y


def quoted(field, always, header):
    special = any(letter in field for letter in ',;|\t" ') or (header == 0 and field == "")
    return '"' + field.replace('"', '""') + '"' if always or special else field


def twisted(rng, lines):
    """Return a table with a line changed, lost or added."""
    place = int(rng.integers(len(lines)))
    how = rng.integers(6)
    if how == 0:
        lines[place] = lines[place].replace(",", ";") if "," in lines[place] else lines[place].replace(";", ",")
    elif how == 1:
        lines.insert(place, "# a comment")
    elif how == 2:
        lines.pop(0)
    elif how == 3:
        lines[place] += ","
    elif how == 4:
        lines[place] = '"' + lines[place]
    else:
        lines.insert(0, "sep=" + ",;|"[rng.integers(3)])
    return lines or [""]


def value(field, mark="."):
    """Return the number that a field is, by decimal arithmetic; None where it is none."""
    field = field.strip()
    if field.lower() in TRUTH:
        return TRUTH[field.lower()]
    if (mark == "," and "." in field) or (mark == "." and "," in field) or "_" in field or not field.isascii():
        return None
    try:
        return float(Decimal(field.replace(",", ".")))
    except InvalidOperation:
        return None


def reading(path, target):
    """Return the only rectangular reading of a table all of whose features are numbers.

    Raises:
        AssertionError: there is none, or there are several.
    """
    raw = path.read_bytes()
    code = next(
        (code for start, code in ((b"\xff\xfe\0\0", "utf-32"), (b"\xff\xfe", "utf-16")) if raw.startswith(start)),
        "utf-8-sig",
    )
    text = raw.decode(code)
    found = {}
    for separator in SEPARATORS:
        for mark in ".,":
            result = _by(text, separator, mark, target)
            if result is not None:
                found[str(result)] = result
    assert len(found) == 1, f"{len(found)} readings: {list(found)[:3]}"
    return next(iter(found.values()))


def _by(text, separator, mark, target):
    lines = io.StringIO(text, newline="")
    if separator == " ":
        lines = (line.rstrip() for line in lines)
    rows = [row for row in csv.reader(lines, delimiter=separator, skipinitialspace=True) if "".join(row).strip()]
    if rows and rows[0][0].strip().lower().startswith("sep="):
        if separator not in text.lstrip()[:6]:
            return None
        rows = rows[1:]
    if len(rows) < 2 or len({len(row) for row in rows}) > 1 or rows[0][0].startswith("#"):
        return None
    names = [name.strip() for name in rows[0]]
    y = None
    columns = list(zip(*rows[1:], strict=True))
    if len(names) > 1 and not names[-1] and not any(field.strip() for field in columns[-1]):
        names, columns = names[:-1], columns[:-1]
    if (
        len(names) > 1
        and not names[0]
        and [field.strip() for field in columns[0]] == [str(n) for n in range(len(columns[0]))]
    ):
        names, columns = names[1:], columns[1:]
    if target is not None:
        if target not in names:
            return None
        y = [label.strip() for label in columns.pop(names.index(target))]
        if mark == "," and all(value(label, mark) is not None for label in y):
            y = [label.replace(",", ".") for label in y]
    values = [[value(field, mark) for field in column] for column in columns]
    if any(each is None for column in values for each in column):
        return None
    return np.array(values, float).T.reshape(len(rows) - 1, -1), typed(y)
