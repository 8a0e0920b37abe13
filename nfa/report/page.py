"""The HTML page of an audit."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nfa.audits.audit import Audit, LayerAudit
from nfa.audits.verdict import VERDICTS
from nfa.features.columns import COLUMNS, GROUPS, Column
from nfa.network.scoring import Score
from nfa.report.definitions import GLOSSARY
from nfa.report.pages import Heading, cell, page, page_path, write_page
from nfa.report.words import conventions, over_layers, sentences, verdict
from nfa.tables.features import in_colour

if TYPE_CHECKING:
    from nfa.report.figures import AuditFigures, Drawing

REPORT = "report.html"
"""The page's name in an audit's folder."""


@dataclass(frozen=True)
class LayerWords:
    """What the page says of a layer: its verdict and what that means, numbers in brief, the sentence, its spectrum."""

    name: str
    verdict: str
    meaning: str
    numbers: str
    sentence: str
    spectrum: "Drawing | None"


def render(audit: Audit, sample: Any = None) -> str:
    """Return a self-contained HTML page of an audit; every string from a file or data set is escaped.

    Verdicts come first, then figures: similarities beside their nulls, powers, the features of the first layer. Each
    layer's sentence and spectrum are folded behind its name; the table, how it was measured and a glossary follow.
    Nothing is fetched when it is opened.

    Args:
        audit: The audit.
        sample: A row of the data, drawn beside the features of a first layer that takes pictures.

    Raises:
        InputError: the sample does not fit the first layer, or an audit of some columns lacks those of sentences.

    >>> import nfa, torch
    >>> "<table" in render(nfa.audit(torch.nn.Linear(3, 2), torch.eye(3)))
    True
    """
    from nfa.report.figures import audit_figures

    about, found, said = audit.about, verdict(audit), sentences(audit)
    figures = audit_figures(audit, sample)
    shown = [COLUMNS[name] for name in about.columns]
    over = over_layers(audit)
    return page(
        "audit.html",
        about=about,
        facts=_facts(audit),
        verdict=found.reason,
        mood={True: "yes", False: "no", None: "unknown"}[found.learned],
        counted=over[0] if over else "",
        conventions=conventions(audit),
        contents=_contents(figures),
        layers=_layers(audit, said[1:], figures),
        methods=audit.methods(),
        figures=figures,
        colours=in_colour(about.feature_shape),
        columns=[Heading(each.name, each.meaning, _sorts_as(each), _classes(each)) for each in shown],
        groups=[_group(group, [each for each in shown if each.group == group]) for group in about.groups],
        rows=[[cell(layer[each.name], _classes(each), each.name == "name") for each in shown] for layer in audit],
        remarks=[f"{layer['name']}: {layer['note']}." for layer in audit if layer["note"]],
        definitions=[(each.name, each.meaning) for each in shown],
        glossary=list(GLOSSARY.items()),
    )


def write(audit: Audit, path: str | os.PathLike[str], sample: Any = None) -> Path:
    """Write an audit's page, and return its path.

    Args:
        audit: The audit.
        path: An .html file; any other name is the folder in which `report.html` is written.
        sample: As `render` takes it.

    Raises:
        InputError: the page cannot be written, or as `render`.
    """
    return write_page(render(audit, sample), page_path("path", path, REPORT))


def _layers(audit: Audit, said: list[str], figures: "AuditFigures") -> list[LayerWords]:
    found = []
    for layer, sentence in zip(audit, said, strict=True):
        word = layer.row.get("verdict", "")
        meaning = f"{word}: {VERDICTS[word]}" if word in VERDICTS else ""
        spectrum = figures.spectra.get(layer["name"])
        found.append(LayerWords(layer["name"], word, meaning, _numbers(layer), sentence, spectrum))
    return found


def _numbers(layer: LayerAudit) -> str:
    """Return a layer's sizes and leading numbers in brief, each beside its null."""
    row = layer.row
    said = [f"{row['d_in']} to {row['d_out']}"]
    for name, null in (("alignment", "alignment_null"), ("cosine", "rotated_cosine")):
        if not math.isnan(row.get(name, math.nan)):
            said.append(f"{name} {row[name]:.2f} (by chance {row[null]:.2f})")
    if not math.isnan(row.get("moved", math.nan)):
        said.append(f"moved {row['moved']:.2f}")
    return ", ".join(said)


def _contents(figures: "AuditFigures") -> list[tuple[str, str]]:
    """Return the sections of the page: the ids and words of its list of contents."""
    inputs = [(f"input-{number}", f"Input of {each.layer}") for number, each in enumerate(figures.features)]
    return [
        ("figures", "At a glance"),
        *inputs,
        ("by-layer", "Layer by layer"),
        ("table", "Table"),
        ("how", "How it was measured"),
        ("words", "Words"),
    ]


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
    named = {"name": "text sticky", "note": "text note"}.get(column.name, "text" if column.kind is str else "")
    return f"{named} {'' if column.main else 'extra'}".strip()


def _group(name: str, members: list[Column]) -> dict[str, Any]:
    """Return a group's heading, and the number of its columns: in all, and shown at first."""
    return {"name": GROUPS[name], "all": len(members), "main": sum(column.main for column in members)}
