"""The HTML page of an audit."""

import os
from pathlib import Path
from typing import Any

from nfa.audits.audit import Audit
from nfa.common.checks import output_folder
from nfa.features.columns import GROUPS, Column, columns
from nfa.network.scoring import Score
from nfa.report.definitions import GLOSSARY
from nfa.report.pages import Heading, cell, page, write_page
from nfa.report.words import sentences, verdict


def render(audit: Audit) -> str:
    """Return a self-contained HTML page of an audit; every string from a file or data set is escaped.

    It says what was audited and how, and has a sentence for each layer, the table, and the figures: similarities beside
    their nulls, powers, spectra, and the features of the first layer. Nothing is fetched when it is opened.

    >>> import nfa, torch
    >>> "<table" in render(nfa.audit(torch.nn.Linear(3, 2), torch.eye(3)))
    True
    """
    from nfa.report.figures import audit_figures

    about = audit.about
    first, *by_layer = sentences(audit)
    shown = columns(about.groups)
    return page(
        "audit.html",
        about=about,
        facts=_facts(audit),
        verdict=first,
        mood={True: "yes", False: "no", None: "unknown"}[verdict(audit).learned],
        sentences=by_layer,
        methods=audit.methods(),
        figures=audit_figures(audit),
        colours=len(about.feature_shape) == 3 and 3 in (about.feature_shape[0], about.feature_shape[2]),
        columns=[Heading(each.name, each.meaning, _sorts_as(each), _classes(each)) for each in shown],
        groups=[_group(group, columns([group])) for group in GROUPS if group in about.groups],
        rows=[[cell(layer[each.name], _classes(each), each.name == "name") for each in shown] for layer in audit],
        remarks=[f"{layer['name']}: {layer['note']}." for layer in audit if layer["note"]],
        definitions=[(each.name, each.meaning) for each in shown],
        glossary=list(GLOSSARY.items()),
    )


def write(audit: Audit, folder: str | os.PathLike[str]) -> Path:
    """Write `report.html` into a folder, which is made if it is missing, and return its path.

    Raises:
        InputError: the folder cannot be written.
    """
    return write_page(render(audit), output_folder("folder", folder) / "report.html")


def score_in_words(score: Score | None) -> str:
    """Return a network's score and its rows in words.

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
        ("Network", about.model),
        ("Data", about.data),
        ("Rows measured", audit.rows),
        ("Gradients of", f"{about.outputs} ({about.n_outputs})"),
        ("Random probes", str(about.probes) if about.probes else "none: exact"),
        ("Score", score_in_words(score) + (f" on {score.measured_on}" if score else "")),
    ]
    if score is not None:
        facts.append(("A constant answer scores", f"{score.baseline:.3f}"))
    if audit.init_score is not None:
        facts.append(("Before training", score_in_words(audit.init_score)))
    if about.loss is not None:
        facts.append(("Loss", about.loss))
    facts += [("Seed", str(about.seed)), ("Versions", f"nfa {about.nfa_version}, torch {about.torch_version}")]
    if audit.skipped:
        facts.append(("Not measured", ", ".join(f"{each['name']} ({each['kind']})" for each in audit.skipped)))
    return facts


def _sorts_as(column: Column) -> str:
    return "text" if column.kind is str else "number"


def _classes(column: Column) -> str:
    named = {"name": "text sticky", "note": "text note"}.get(column.name, "")
    return f"{named} {'' if column.main else 'extra'}".strip()


def _group(name: str, members: tuple[Column, ...]) -> dict[str, Any]:
    """Return a group's heading, and the number of its columns: in all, and shown at first."""
    return {"name": GROUPS[name], "all": len(members), "main": sum(column.main for column in members)}
