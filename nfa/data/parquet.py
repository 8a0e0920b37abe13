"""Tables in parquet files, whose columns state their types."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from nfa.common.budget import Budget
from nfa.common.errors import InputError, Place
from nfa.common.extras import extra
from nfa.common.opened import opened
from nfa.common.shown import shown
from nfa.data.arrays import REMEDY
from nfa.data.table import Table, check_labels, checked_names, no_number, no_value

if TYPE_CHECKING:
    import pyarrow as pa

INDEX = re.compile(r"__index_level_\d+__")
"""pandas's name for an index without one; once another library has rewritten the file, nothing marks it as one."""


def read_parquet(file: Path, target: str | None = None, max_memory: float | None = None) -> Table:
    """Read a table; an index that pandas wrote with it is left out.

    Args:
        file: A path.
        target: The column that is y; it may hold text.
        max_memory: GiB that the table may take.

    Raises:
        InputError: pyarrow is not installed; the file is no parquet, damaged, or larger than the budget; a feature
            is no number.
    """
    pq = parquet_module()
    place = Place("data", file.name)
    with opened("data", file) as handle:
        try:
            return _read(place, handle, pq, target, max_memory)
        except (InputError, MemoryError):
            raise
        except Exception as error:
            raise damaged(file) from error


def damaged(file: Path) -> InputError:
    """Return the error for a file that Arrow cannot read; it raises exceptions of many kinds, which all mean this."""
    return InputError("data", f"cannot read {file.name} as .parquet: it is truncated or of another kind")


def parquet_module() -> Any:
    """Return pyarrow's module for parquet files.

    Raises:
        InputError: it is not installed.
    """
    with extra("parquet", "data", ".parquet files need"):
        import pyarrow.parquet as pq
    return pq


@dataclass(frozen=True)
class Columns:
    """The columns of a file that count.

    Args:
        names: Of all of them, the target's too.
        label: Which of them is the target, or None.
    """

    names: tuple[str, ...]
    label: int | None

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features."""
        return tuple(name for number, name in enumerate(self.names) if number != self.label)


def columns_of(place: Place, schema: "pa.Schema", target: str | None) -> Columns:
    """Return the columns of a file, without an index that pandas wrote with it.

    Raises:
        InputError: a feature holds no numbers, or the target neither numbers nor text; there is no such target.
    """
    left_out = {each for each in (schema.pandas_metadata or {}).get("index_columns", []) if isinstance(each, str)}
    names = [name for name in schema.names if name not in left_out and not INDEX.fullmatch(name)]
    label = checked_names(place, names, target)
    for number, name in enumerate(names):
        kind = schema.field(name).type
        if number != label and not _is_number(kind):
            raise no_number(place, name, shown(kind))
        if number == label and not (_is_number(kind) or is_text(kind)):
            raise InputError("target", f"column {shown(target)!r} holds {shown(kind)}, expected numbers or text")
    return Columns(tuple(names), label)


def features_and_targets(table: Any, columns: Columns, start: int = 0) -> tuple[NDArray[np.float64], Any]:
    """Return X (n x d, float64; NaN where there is no value) and y (or None) of a table of Arrow's.

    Args:
        table: With these columns.
        columns: Which they are.
        start: The number of its first row, for messages.

    Raises:
        InputError: a row has no target, or one that may mean something else than a class.
    """
    X = np.empty((table.num_rows, len(columns.features)))
    for number, name in enumerate(columns.features):
        X[:, number] = _numbers(table.column(name))
    if columns.label is None:
        return X, None
    name = columns.names[columns.label]
    return X, _targets(table.column(name), name, start)


def _read(place: Place, handle: BinaryIO, pq: Any, target: str | None, max_memory: float | None) -> Table:
    size = handle.seek(0, 2)
    handle.seek(0)
    source = pq.ParquetFile(handle)
    schema, stated = source.schema_arrow, source.metadata
    columns = columns_of(place, schema, target)
    groups = [stated.row_group(number) for number in range(stated.num_row_groups)]
    unpacked = sum(group.total_byte_size for group in groups)
    budget = Budget.of_file(size, max_memory, REMEDY)
    budget.hold(place, max(0, unpacked) + 16 * max(1, len(columns.names)) * stated.num_rows)
    if stated.num_rows == 0:
        raise place.error("is empty, it has no rows")
    # Texts stay in the dictionary in which a file may keep them: written out they could be of any size.
    texts = [field.name for field in schema if is_text(field.type)]
    handle.seek(0)
    source = pq.ParquetFile(handle, read_dictionary=texts, page_checksum_verification=True)
    table = source.read(columns=None, use_threads=False)
    table.validate(full=True)
    if table.num_rows != stated.num_rows:
        raise place.error(f"says that it has {stated.num_rows} rows, but it has {table.num_rows}")
    X, y = features_and_targets(table, columns)
    return Table(columns.features, X, y)


def _plain(kind: "pa.DataType") -> "pa.DataType":
    """Return the type of a column's values, also where a dictionary holds them."""
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_number(kind: "pa.DataType") -> bool:
    from pyarrow import types

    kind = _plain(kind)
    tests = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal, types.is_null)
    return any(test(kind) for test in tests)


def is_text(kind: "pa.DataType") -> bool:
    """Return whether a type is text, also in a dictionary."""
    from pyarrow import types

    return any(test(_plain(kind)) for test in (types.is_string, types.is_large_string, types.is_string_view))


def _numbers(column: "pa.ChunkedArray[Any]") -> NDArray[np.float64]:
    """Return the values of a column, each the nearest in float64; NaN where there is none."""
    import pyarrow as pa

    kind = _plain(column.type)
    if pa.types.is_decimal(kind):
        # Arrow's own way from decimals to float64 is not the nearest for every value.
        return np.array([np.nan if value is None else float(value) for value in column.to_pylist()])
    values: Any = column.cast(kind) if kind != column.type else column
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    if values.null_count:
        missing = values.is_null().to_numpy()
        found: NDArray[np.float64] = (
            values.fill_null(False if pa.types.is_boolean(kind) else 0).to_numpy().astype(np.float64)
        )
        found[missing] = np.nan
        return found
    return np.asarray(values.to_numpy(), np.float64)


def _targets(column: "pa.ChunkedArray[Any]", target: str, start: int) -> NDArray[Any]:
    import pyarrow as pa

    if column.null_count:
        raise no_value(target, start + int(column.is_null().to_numpy().argmax()))
    kind = _plain(column.type)
    if pa.types.is_decimal(kind) or pa.types.is_floating(kind):
        found = _numbers(column)
        if np.isnan(found).any():
            raise no_value(target, start + int(np.isnan(found).argmax()))
        return found
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return np.asarray((column.cast(kind) if kind != column.type else column).to_numpy())
    labels = column.to_pylist()
    check_labels(target, labels, start)
    return np.array(labels, object)
