"""The JSON header of a file: how numbers, arrays and tables are written and read, each of a known type."""

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nfa.common.checks import one_of
from nfa.common.errors import InputError
from nfa.common.shown import shown

SIGNED, UNSIGNED = ("int8", "int16", "int32", "int64"), ("uint8", "uint16", "uint32", "uint64")
DTYPES = ("bool", *SIGNED, *UNSIGNED, "float16", "float32", "float64", "object")
"""Types of labels and categories besides text; an object is text, a number, a truth value or None."""

Header = dict[str, Any]


class HeaderError(ValueError):
    """A header does not fit; the message is a sentence about one of its entries."""


def array_to_json(what: str, values: NDArray[Any]) -> Header:
    """Return an array of text, numbers or truth values as JSON can hold it, with its type.

    >>> array_to_json("classes_", np.array([1, 2], dtype=np.int8))
    {'dtype': 'int8', 'values': [1, 2]}
    """
    name = "str" if values.dtype.kind == "U" else values.dtype.name
    plain = [each.item() if isinstance(each, np.generic) else each for each in values.tolist()]
    for each in plain:
        if name not in (*DTYPES, "str") or not (each is None or isinstance(each, (bool, int, float, str))):
            kind = type(each).__name__ if name == "object" else name
            raise InputError(
                "model", f"{what} hold {kind}; a file keeps str, int, float and bool only: pickle the model instead"
            )
    return {"dtype": name, "values": [to_json(each) for each in plain]}


def array_from_json(what: str, found: Any) -> NDArray[Any]:
    """Return the array of which `array_to_json` made this."""
    name = one_of(what, typed(found, "dtype", str), (*DTYPES, "str"))
    values = [from_json(each) for each in typed(found, "values", list)]
    kinds = {"o": (bool, int, float, str, type(None)), "b": (bool,), "s": (str,), "f": (float,)}.get(name[0], (int,))
    expect(all(type(each) in kinds for each in values), f"{what}: values that are not {name}")
    return np.array(values, dtype=name)


def table_to_json(table: pd.DataFrame) -> Header:
    """Return a data frame as JSON can hold it, column by column."""
    return {str(name): [to_json(each) for each in table[name].tolist()] for name in table.columns}


def table_from_json(found: Any, key: str) -> pd.DataFrame:
    """Return the table of which `table_to_json` made this."""
    columns = {name: [from_json(each) for each in values] for name, values in typed(found, key, dict).items()}
    return pd.DataFrame(columns)


def to_json(value: Any) -> Any:
    """Return NaN and infinity in a form that JSON can hold; anything else as it is.

    >>> to_json(1.5), to_json(math.nan)
    (1.5, {'float': 'nan'})
    """
    value = value.item() if isinstance(value, np.generic) else value
    return {"float": str(value)} if isinstance(value, float) and not math.isfinite(value) else value


def from_json(value: Any) -> Any:
    """Undo `to_json`; refuse what it cannot have made."""
    if isinstance(value, dict):
        [(key, text)] = value.items()
        expect(key == "float" and text in ("nan", "inf", "-inf"), f"{shown(value)} is no number")
        return float(text)
    expect(not isinstance(value, list), f"{shown(value)} stands where one value should")
    return value


def typed(table: Any, key: str, *kinds: Any) -> Any:
    """Return an entry of the header if it is of one of some types."""
    expect(isinstance(table, dict), "the header is not made of tables")
    expect(key in table, f"the header lacks {key!r}")
    value = table[key]
    names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
    expect(type(value) in kinds, f"{key}: got {shown(repr(value))}, expected {names}")
    return value


def above_zero(table: Header, key: str) -> float:
    """Return an entry of the header if it is a finite number above 0."""
    value = float(typed(table, key, float, int))
    expect(0 < value < math.inf, f"{key}: got {value}, expected a number above 0")
    return value


def expect(holds: bool, otherwise: str) -> None:
    """Refuse the file with a message unless something holds."""
    if not holds:
        raise HeaderError(otherwise)
