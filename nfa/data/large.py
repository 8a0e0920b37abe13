"""Rows of files that are larger than memory."""

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from nfa.common.checks import existing_file, one_of
from nfa.common.errors import InputError, Place
from nfa.common.opened import opened
from nfa.common.shown import shown
from nfa.data.mapped import MappedRows
from nfa.data.parquet import Columns, columns_of, damaged, features_and_targets, is_text, parquet_module
from nfa.data.streaming import StreamSamples

SUFFIXES = (".npy", ".parquet")

AT_ONCE = 1 << 24
"""Bytes of rows that are read from a table together."""

BUFFER = 1 << 16
"""Bytes that are read ahead in each column: tables may have thousands."""


def stream(path: str | os.PathLike[str], target: str | None = None) -> Any:
    """Return the rows of a file for `nfa.audit`, which reads them batch by batch; the file may be larger than memory.

    For most questions a draw of the rows is enough: `nfa.audit(..., samples=10_000)`, whose interval says how much
    other rows would change.

    Args:
        path: `.npy` with X (n x d, further axes allowed), which is memory-mapped; or `.parquet` with a column of
            numbers for each feature, in groups of rows that fit into memory.
        target: The column that is y in a table; it must hold numbers.

    Returns:
        Anything that `nfa.audit` takes as data: an array, or a reader of batches. A pair (array, y) has targets.

    Raises:
        InputError: the file is missing, damaged, or of another kind; a feature is no number; the target is text; there
            is no such column, or the file has no named columns.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(folder + "/rows.npy", np.ones((4, 2)))
    ...     stream(folder + "/rows.npy").shape
    (4, 2)
    """
    file = existing_file("data", path)
    if one_of("data: the file's suffix", file.suffix.lower(), SUFFIXES) == ".parquet":
        return StreamSamples(DataLoader(_Table(file, target), batch_size=None))
    if target is not None:
        raise InputError("target", f"{file.name} has no named columns; hand over a pair (nfa.data.stream(...), y)")
    try:
        array = np.lib.format.open_memmap(file, mode="r")
    except (ValueError, OSError) as error:
        raise InputError("data", f"cannot read {file.name} as .npy: it is truncated or of another kind") from error
    return MappedRows(array)


class _Table(IterableDataset[tuple[Tensor, Tensor | None]]):
    """The rows of a parquet file, in batches of a few thousand.

    Args:
        file: The file, whose columns are looked at.
        target: The column that is y, or None.
    """

    def __init__(self, file: Path, target: str | None) -> None:
        self.file = file
        place = Place("data", file.name)
        with opened("data", file) as handle:
            try:
                source = parquet_module().ParquetFile(handle)
            except InputError:
                raise
            except Exception as error:
                raise damaged(file) from error
            self.columns: Columns = columns_of(place, source.schema_arrow, target)
            if target is not None and is_text(source.schema_arrow.field(target).type):
                raise InputError(
                    "target",
                    f"column {shown(target)!r} holds text, whose order the first rows do not show; write numbers",
                )
        self.rows = max(1, AT_ONCE // (8 * max(1, len(self.columns.names))))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yield X (float64) and y of some rows."""
        import pyarrow as pa

        start = 0
        with opened("data", self.file) as handle:
            source = parquet_module().ParquetFile(handle, page_checksum_verification=True, buffer_size=BUFFER)
            groups = range(source.num_row_groups)
            names = list(self.columns.names)
            # Group by group: a reader of several keeps what it has read of all of them.
            readers = (source.iter_batches(self.rows, [group], names, use_threads=False) for group in groups)
            for batch in chain.from_iterable(readers):
                X, y = features_and_targets(pa.Table.from_batches([batch]), self.columns, start)
                start += len(X)
                yield torch.from_numpy(X), None if y is None else torch.from_numpy(np.array(y))
