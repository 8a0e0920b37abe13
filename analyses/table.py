"""A table of results that grows cell by cell, and knows which cells it has."""

from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from analyses.analysis import Cell, Row
from nfa import __version__
from nfa.common import InputError

DIGITS = "%.10g"
Key = tuple[str, ...]


class Results:
    """Tidy rows in a CSV file; the rows of a cell are written together, or not at all.

    The columns are the cell's settings, the rows' own, `seconds` (of a processor, for the cell) and the versions of nfa
    and torch.

    Args:
        path: The file; it is made when the first rows are added.
        settings: The keys of every cell.

    Raises:
        InputError: the file is no table, or lacks one of the settings.
    """

    def __init__(self, path: Path, settings: Iterable[str]) -> None:
        self.path, self.settings = path, list(settings)
        self.done: set[Key] = set()
        self.table = pd.DataFrame()
        if path.exists():
            self.table = read(path)
            if missing := [name for name in self.settings if name not in self.table]:
                raise InputError("out", f"{path} lacks the columns {', '.join(missing)}; delete it to start again")
            self.done = {self.key(dict(row)) for _, row in self.table[self.settings].drop_duplicates().iterrows()}

    def key(self, cell: Cell) -> Key:
        """Return what tells a cell from others: its settings as the file shows them."""
        return tuple(_shown(cell[name]) for name in self.settings)

    def add(self, cell: Cell, rows: Iterable[Row], seconds: float) -> None:
        """Add a cell's rows to the file.

        Raises:
            InputError: there are none: the cell would be computed again and again.
        """
        about = {"seconds": round(seconds, 2), "nfa": __version__, "torch": version("torch")}
        new = pd.DataFrame([{**cell, **row, **about} for row in rows])
        if new.empty:
            raise InputError("cell", f"no rows from {' '.join(self.key(cell))}")
        self.table = pd.concat([self.table, new], ignore_index=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Written beside and moved into place, so that a kill in the middle leaves what was there before.
        partial = self.path.with_name(self.path.name + ".partial")
        self.table.to_csv(partial, index=False, float_format=DIGITS)
        partial.replace(self.path)
        self.done.add(self.key(cell))


def read(path: Path) -> pd.DataFrame:
    """Read a table of results.

    Raises:
        InputError: there is no such file, or it is no table.
    """
    if not path.is_file():
        raise InputError("table", f"no such file: {path}")
    try:
        return pd.read_csv(path)
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError("table", f"cannot read {path}: it is damaged or of another kind") from error


def _shown(value: object) -> str:
    """Return a setting as text, the same for what was computed and for what was read from the file.

    >>> _shown(1), _shown(1.0), _shown(float("nan")), _shown(None), _shown("relu")
    ('1', '1', '', '', 'relu')
    """
    if value is None or value != value:
        return ""
    return f"{value:.10g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)
