"""The table of `analyses.tabular`, and what it says of each method; the numbers are defined there."""

import io
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table
from scipy.stats import rankdata

from nfa.common import InputError
from nfa.common.checks import one_of
from nfa.data.uci import FOLDS

COLUMNS = ("dataset", "n", "d", "classes", "fold", "method", "accuracy", "seconds", "chosen")
CELL = ["dataset", "fold", "method"]
"""The columns that tell rows apart."""


def whole_lines(text: bytes) -> bytes:
    r"""What a run that was stopped in the middle of a line has written before it.

    >>> whole_lines(b"dataset,fold\niris,0\niri")
    b'dataset,fold\niris,0\n'
    """
    return text[: text.rfind(b"\n") + 1]


def read_table(path: Path) -> pd.DataFrame:
    """Read the table, without a torn last line; of a cell that was computed twice, the first row.

    Raises:
        InputError: there is no table, it has other columns, or a line that is none of this table.
    """
    if not path.is_file():
        raise InputError(f"out: no such file: {path}")
    try:
        table = pd.read_csv(io.BytesIO(whole_lines(path.read_bytes())), dtype={"dataset": str, "method": str})
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"out: cannot read {path} as a table: it is damaged or of another kind") from error
    if tuple(table.columns) != COLUMNS:
        raise InputError(f"out: {path} has columns {', '.join(table.columns)}, expected {', '.join(COLUMNS)}")
    # A line that is too short or too long, or a word for a number, shows here.
    good = table[[*CELL, "chosen"]].notna().all(axis=1) & table["fold"].isin(range(FOLDS))
    for column in ("fold", "accuracy", "seconds"):
        good &= pd.to_numeric(table[column], errors="coerce").notna()
    if not good.all():
        line = int((~good).to_numpy().argmax()) + 2
        raise InputError(f"out: line {line} of {path} is no row of this table")
    return table.astype({"fold": int, "accuracy": float, "seconds": float}).drop_duplicates(CELL)


def mean_accuracies(table: pd.DataFrame, methods: list[str]) -> pd.DataFrame:
    """Mean accuracy over folds, data set by method, of the data sets for which all these methods have every fold.

    Args:
        table: What `read_table` returns.
        methods: The compared methods; those that are not in the table have no data set.
    """
    groups = table[table["method"].isin(methods)].groupby(["dataset", "method"])["accuracy"]
    means = groups.mean()[groups.count() == FOLDS].unstack("method")
    return means.reindex(columns=methods).dropna()


def summary(accuracies: pd.DataFrame) -> pd.DataFrame:
    """Summarise accuracies (data set by method); one row per method, best first by rank. All but rank are percentages.

    >>> found = summary(pd.DataFrame({"a": [1.0, 0.5], "b": [0.92, 0.5]}))
    >>> found.loc["b"].round(2).to_dict()
    {'mean': 71.0, 'P90': 100.0, 'P95': 50.0, 'PMA': 96.0, 'rank': 1.75}
    """
    share = accuracies.div(accuracies.max(axis=1), axis=0)
    # Where no method is ever right, all of them reach the best.
    share = share.fillna(1.0)
    # Accuracies are means of four fractions: what is equal may differ in the last digit.
    ranks = pd.DataFrame(rankdata(-accuracies.round(9), axis=1), accuracies.index, accuracies.columns)
    found = pd.DataFrame(
        {
            "mean": 100 * accuracies.mean(),
            "P90": 100 * (share >= 0.90 - 1e-9).mean(),
            "P95": 100 * (share >= 0.95 - 1e-9).mean(),
            "PMA": 100 * share.mean(),
            "rank": ranks.mean(),
        }
    )
    return found.rename_axis("method").sort_values(["rank", "mean"], ascending=[True, False])


def print_summary(
    path: Path, methods: list[str] | None, console: Console, sets: list[str] | None = None
) -> pd.DataFrame:
    """Print the summary of a table.

    Args:
        path: The table.
        methods: The compared methods; None for all that are in the table.
        console: Where to print.
        sets: The data sets that may count; None for all that are in the table.

    Raises:
        InputError: the table cannot be read, or has nothing of a method or data set.
    """
    table = read_table(path)
    known = sorted(table["method"].unique())
    methods = known if methods is None else [one_of("methods: in the table", name, known) for name in methods]
    if sets is not None:
        known_sets = sorted(table["dataset"].unique())
        table = table[table["dataset"].isin([one_of("sets: in the table", name, known_sets) for name in sets])]
    accuracies = mean_accuracies(table, methods)
    found = summary(accuracies)
    shown = Table(title=f"accuracy on {len(accuracies)} data sets", caption="percent; rank: 1 is best")
    shown.add_column("method")
    for heading in found.columns:
        shown.add_column(heading, justify="right")
    for method, row in found.iterrows():
        shown.add_row(str(method), *(f"{row[key]:.1f}" for key in found.columns[:-1]), f"{row['rank']:.2f}")
    if len(accuracies):
        console.print(shown)
    seen = table[table["method"].isin(methods)]["dataset"].nunique()
    lacking = {name: len(mean_accuracies(table, [name])) for name in methods}
    text = f"{len(accuracies)} of {seen} data sets count: all {FOLDS} folds of {len(methods)} methods are there."
    if any(count < seen for count in lacking.values()):
        text += " Data sets with all folds: " + ", ".join(f"{name} {count}" for name, count in lacking.items()) + "."
    console.print(text)
    return found
