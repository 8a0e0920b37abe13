"""Several audits on one page."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from nfa.audits.about import null_for_nan
from nfa.audits.audit import Audit, LayerAudit
from nfa.common.checks import one_of
from nfa.common.errors import InputError
from nfa.features.columns import COLUMNS, MISSING
from nfa.report.page import score_in_words
from nfa.report.pages import Cell, Heading, cell, page, page_path, write_page
from nfa.report.words import verdict
from nfa.tables.drawn import every_null
from nfa.tables.networks import audited, loaded, pooled
from nfa.tables.runs import run_table

COMPARED = (
    *("verdict", "alignment", "alignment_null", "cosine", "rotated_cosine", "untrained_cosine"),
    *("cosine_sqrt", "init_cosine", "init_cosine_null", "moved", "alpha_best", "agop_effective_rank"),
)
"""The columns that are put side by side by default."""

SHEET = 7
"""As many columns fit on a sheet, beside the names of layer and audit."""

SAME = {
    "data": "data",
    "split": "rows",
    "n_samples": "number of rows",
    "outputs": "outputs",
    "n_outputs": "number of outputs",
    "probes": "random probes",
}
"""Fields in which audits should agree, and their names."""

Folder = str | os.PathLike[str]


def compare(audits: Mapping[str, Audit] | Sequence[Folder], out: Folder, columns: Sequence[str] = COMPARED) -> Path:
    """Write a page that puts audits side by side, layers matched by name.

    Audits of one architecture on the same data whose names differ in the seed alone are runs of one network; the page
    also has their means, standard deviations over runs, and how often each verdict was given.

    Args:
        audits: Two or more audits by their names on the page, or folders that `nfa audit` wrote or that hold such
            folders (named by the shortest ends of their paths that differ).
        out: An .html file; any other name is the folder in which `compare.html` is written.
        columns: Columns of the audits' tables; those of `COMPARED` by default.

    Returns:
        The path of the page.

    Raises:
        InputError: fewer than two audits, audits without names, a folder that holds no whole audit, the same one twice,
            an unknown column, or a page that cannot be written.
    """
    named = named_audits(audits)
    if len(named) < 2:
        raise InputError("audits", f"got {len(named)}, expected two or more to compare")
    for column in columns:
        one_of("columns", column, [each for each in COLUMNS if each not in ("layer", "name", "note")])
    file = page_path("out", out, "compare.html")
    return write_page(render_comparison(named, tuple(dict.fromkeys(columns))), file)


def render_comparison(audits: Mapping[str, Audit], columns: Sequence[str] = COMPARED) -> str:
    """Return the page as HTML; every string is escaped."""
    from nfa.report.figures import Drawer, similarity_figures

    layers = list(dict.fromkeys(layer["name"] for audit in audits.values() for layer in audit))
    found = pooled(audits)
    numbers = [column for column in columns if COLUMNS[column].kind in (float, int) and column not in every_null()]
    return page(
        "compare.html",
        names=list(audits),
        summary=[_summary(name, audit) for name, audit in audits.items()],
        warnings=[*_differences(audits), *_misfits(audits, layers)],
        conventions=list(dict.fromkeys(audit.about.thresholds.in_words() for audit in audits.values())),
        columns=[(column, COLUMNS[column].meaning) for column in columns],
        headings=[
            Heading("layer", "Name of the layer.", "text", "text sticky"),
            *(_heading(column, name) for column in columns for name in audits),
        ],
        rows=[_row(name, audits, columns) for name in layers],
        on_paper=[_on_paper(layers, audits, columns[i : i + SHEET]) for i in range(0, len(columns), SHEET)],
        figures=similarity_figures(found, Drawer()),
        averaged=numbers,
        runs=_averages(run_table(found, numbers), numbers),
    )


def named_audits(audits: Mapping[str, Audit] | Sequence[Folder]) -> dict[str, Audit]:
    """Return audits by name: as given, or named by the shortest ends of their folders' paths that differ.

    Raises:
        InputError: anything but a dict of audits or a list of folders; folders as in `nfa.tables.networks.loaded`.
    """
    if isinstance(audits, Mapping):
        for name, each in audits.items():
            if not isinstance(each, Audit):
                raise InputError("audits", f"{name!r} is {type(each).__name__}, expected an Audit")
        return dict(audits)
    one = isinstance(audits, (str, os.PathLike, Audit)) or not isinstance(audits, Iterable)
    given: list[Any] = [audits] if one else list(audits)
    for each in given:
        if not isinstance(each, (str, os.PathLike)):
            raise InputError(
                "audits", f'got {type(each).__name__}, expected folders, or audits by name: {{"narrow": a, "wide": b}}'
            )
    return loaded([folder for each in given for folder in audited(Path(each))])


def compared(audits: Mapping[str, Audit], columns: Sequence[str] = COMPARED) -> list[dict[str, Any]]:
    """Return the chosen columns of every audit and layer as JSON types, NaN as None."""
    return [
        {"audit": name, "layer": layer["name"]} | {column: null_for_nan(_value(layer, column)) for column in columns}
        for name, audit in audits.items()
        for layer in audit
    ]


def in_brief(audit: Audit) -> list[str]:
    """Return an audit's score beside a constant answer's, and how many layers have each verdict, in words."""
    score, counts = audit.score, Counter(layer.row["verdict"] for layer in audit if layer.row.get("verdict"))
    beside = "" if score is None else f" (a constant answer {score.baseline:.3f})"
    verdicts = ", ".join(f"{times} {word}" for word, times in counts.items())
    return [score_in_words(score) + beside, verdicts or MISSING]


def run_words(row: Any) -> str:
    """Return a mean with its standard deviation over runs, from a row of `nfa.tables.runs.run_table`, in words.

    The number of runs is said where some have no value; one run alone has no deviation.
    """
    if not row.mean_runs:
        return MISSING
    spread = f" ± {row.std:.3f}" if row.std == row.std else ""
    return f"{row.mean:.3f}{spread}{_in_some(row.mean_runs, row.runs, row.runs)}"


def row_words(row: Any) -> str:
    """Return the interval over rows and the null, in words; with the number of runs where the mean is over more."""
    said = []
    if row.interval_runs:
        said.append(f"{row.low:.3f} to {row.high:.3f}{_in_some(row.interval_runs, row.mean_runs, row.runs)}")
    if row.null_runs:
        said.append(f"null {row.null:.3f}{_in_some(row.null_runs, row.mean_runs, row.runs)}")
    return "; ".join(said)


def _in_some(found: int, expected: int, runs: int) -> str:
    return f" in {found} of {runs} runs" if found < expected else ""


def _averages(table: pd.DataFrame, columns: Sequence[str]) -> list[list[Cell]]:
    """Return the cells of the table of means over runs: a row for each network and layer."""
    rows = []
    for (network, layer), of_layer in table.groupby(["network", "layer"], sort=False):
        cells = [cell(str(network), "text", heading=True), cell(str(layer), "text")]
        cells.append(cell(of_layer["verdicts"].iloc[0], "text"))
        by_column = {row.column: row for row in of_layer.itertuples()}
        for column in columns:
            row = by_column[column]
            beside = row_words(row)
            cells.append(Cell(run_words(row) + (f" ({beside})" if beside else ""), ""))
        rows.append(cells)
    return rows


def _summary(name: str, audit: Audit) -> list[Cell]:
    score, before, found = audit.score, audit.init_score, verdict(audit)
    says = {True: "yes", False: "no", None: "unknown"}[found.learned]
    return [
        cell(name, heading=True),
        cell(audit.about.model, "text"),
        cell(audit.about.rows_of_data, "text"),
        Cell(score_in_words(score), "" if score is None else repr(score.value)),
        cell(float("nan") if score is None else score.baseline),
        Cell(score_in_words(before) if before else "–", "" if before is None else repr(before.value)),
        cell(says, "text"),
        cell(len(audit)),
    ]


def _row(layer: str, audits: Mapping[str, Audit], columns: Sequence[str]) -> list[Cell]:
    found = [next((each for each in audit if each["name"] == layer), None) for audit in audits.values()]
    cells = [cell(layer, heading=True)]
    for column in columns:
        cells += [
            Cell("not there", "", classes="soft") if each is None else cell(_value(each, column)) for each in found
        ]
    return cells


def _heading(column: str, name: str) -> Heading:
    """Return the heading of one audit, below the column's own heading."""
    kind = "text" if COLUMNS[column].kind is str else "number"
    return Heading(name, f"{column}: {COLUMNS[column].meaning}", kind, "text" if kind == "text" else "")


def _on_paper(
    layers: Sequence[str], audits: Mapping[str, Audit], columns: Sequence[str]
) -> tuple[list[Heading], list[list[Cell]]]:
    """Return some columns as a table with a row for each layer and audit: its headings and its rows."""
    rows = []
    for name in layers:
        for called, audit in audits.items():
            for layer in (each for each in audit if each["name"] == name):
                values = [
                    cell(_value(layer, column), "text" if COLUMNS[column].kind is str else "") for column in columns
                ]
                rows.append([cell(name, heading=True), cell(called, "text"), *values])
    return [_heading(column, column) for column in columns], rows


def _value(layer: LayerAudit, column: str) -> Any:
    """Return a column; NaN where an audit of an earlier version does not have it."""
    return layer.row.get(column, float("nan"))


def _differences(audits: Mapping[str, Audit]) -> list[str]:
    """Return sentences on differences that make audits hard to compare."""
    said = []
    for key, called in SAME.items():
        values = [str(getattr(audit.about, key)) for audit in audits.values()]
        if len(set(values)) > 1:
            each = "; ".join(f"{name}: {value}" for name, value in zip(audits, values, strict=True))
            said.append(f"The audits differ in their {called} ({each}).")
    return said


def _misfits(audits: Mapping[str, Audit], layers: list[str]) -> list[str]:
    """Return sentences on layers that are not in every audit, or that have different shapes under one name."""
    said = []
    for name, audit in audits.items():
        missing = [layer for layer in layers if layer not in {each["name"] for each in audit}]
        if missing:
            said.append(f"{name} has no layer {', '.join(missing)}.")
    for layer in layers:
        shapes = {
            name: f"{each['d_in']} to {each['d_out']}"
            for name, audit in audits.items()
            for each in audit
            if each["name"] == layer
        }
        if len(set(shapes.values())) > 1:
            each_says = "; ".join(f"{name}: {shape}" for name, shape in shapes.items())
            said.append(f"Layer {layer} has not the same shape everywhere ({each_says}).")
    return said
