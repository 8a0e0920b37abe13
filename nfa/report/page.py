"""The HTML page of an audit."""

import os
from pathlib import Path
from typing import Any

from nfa.audits.audit import Audit
from nfa.common.checks import output_folder
from nfa.network.scoring import Score, rows_in_words
from nfa.report.definitions import DEFINITIONS, GLOSSARY, GROUPS, MAIN
from nfa.report.pages import Cell, Column, cell, page, write_page
from nfa.report.words import sentences, verdict

TEXTS = ("name", "note")


def render(audit: Audit) -> str:
    """Return a self-contained HTML page of an audit; every string from a file or data set is escaped.

    It says what was audited and how, has a sentence for each layer, the table, and the figures: similarities beside
    their nulls, powers, spectra, and what the first layer looks at. Nothing is fetched when it is opened.

    >>> import nfa, torch
    >>> "<table" in render(nfa.audit(torch.nn.Linear(3, 2), torch.eye(3)))
    True
    """
    from nfa.report.figures import audit_figures

    about, found = audit.about, verdict(audit)
    columns = list(audit.to_frame().columns)
    groups = [(name, [column for column in group if column in columns]) for name, group in GROUPS.items()]
    shape = about["feature_shape"]
    return page(
        "audit.html",
        about=about,
        facts=_facts(audit),
        verdict=found.reason,
        mood={True: "yes", False: "no", None: "unknown"}[found.learned],
        sentences=sentences(audit)[1:],
        figures=audit_figures(audit),
        colours=len(shape) == 3 and 3 in (shape[0], shape[2]),
        columns=[_heading(column) for column in columns],
        groups=[
            {"name": name, "all": len(group), "main": len([column for column in group if column in MAIN])}
            for name, group in groups
            if group
        ],
        rows=[[_cell(column, layer.row[column]) for column in columns] for layer in audit],
        remarks=[f"{layer['name']}: {layer['note']}." for layer in audit if layer["note"]],
        definitions=[(column, DEFINITIONS[column]) for column in columns],
        glossary=list(GLOSSARY.items()),
    )


def write(audit: Audit, folder: str | os.PathLike[str]) -> Path:
    """Write `report.html` into a folder, which is made where there is none, and return its path.

    Raises:
        InputError: the folder cannot be written.
    """
    return write_page(render(audit), output_folder("folder", folder) / "report.html")


def score_in_words(score: Score | None) -> str:
    """Say what a network scores, on which rows.

    >>> score_in_words(Score("accuracy", 0.9, 0.1, 50, "test", False))
    'accuracy 0.900'
    """
    if score is None:
        return "unknown"
    return f"{'accuracy' if score.metric == 'accuracy' else 'R^2'} {score.value:.3f}"


def _facts(audit: Audit) -> list[tuple[str, str]]:
    """Return what was audited and how, as pairs of name and value."""
    about, score = audit.about, audit.score
    facts = [
        ("Network", about["model"]),
        ("Data", about["data"]),
        ("Rows measured", audit.rows),
        ("Gradients of", f"{about['outputs']} ({about['n_outputs']})"),
        ("Random probes", str(about["probes"]) if about["probes"] else "none: exact"),
        ("Score", score_in_words(score) + (f" on {rows_in_words(score.n, score.rows)}" if score else "")),
    ]
    if score is not None:
        facts.append(("A constant answer scores", f"{score.baseline:.3f}"))
    if audit.init_score is not None:
        facts.append(("Before training", score_in_words(audit.init_score)))
    if "loss" in about:
        facts.append(("Loss", about["loss"]))
    facts += [("Seed", str(about["seed"])), ("Versions", f"nfa {about['nfa_version']}, torch {about['torch_version']}")]
    if audit.skipped:
        facts.append(("Not measured", ", ".join(f"{each['name']} ({each['kind']})" for each in audit.skipped)))
    return facts


def _classes(column: str) -> str:
    named = {"name": "text sticky", "note": "text note"}.get(column, "")
    return f"{named} {'' if column in MAIN else 'extra'}".strip()


def _heading(column: str) -> Column:
    return Column(column, DEFINITIONS[column], "text" if column in TEXTS else "number", _classes(column))


def _cell(column: str, value: Any) -> Cell:
    return cell(value, _classes(column), heading=column == "name")
