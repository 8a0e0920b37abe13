"""The HTML page of an audit."""

import math
from importlib.resources import files
from pathlib import Path
from typing import Any

from nfa.audited import Audit
from nfa.features.columns import COLUMNS
from nfa.report.words import sentences


def render(audit: Audit) -> str:
    """Return a self-contained HTML page: what was audited, a sentence per layer, the table; every string escaped."""
    from jinja2 import Environment

    template = files("nfa.report").joinpath("page.html").read_text(encoding="utf-8")
    return (
        Environment(autoescape=True)
        .from_string(template)
        .render(
            about=audit.about,
            rows_measured=audit.rows,
            sentences=sentences(audit),
            columns=COLUMNS,
            rows=[[_cell(layer.row[column]) for column in COLUMNS] for layer in audit],
        )
    )


def write(audit: Audit, folder: Path) -> Path:
    """Write `report.html` into a folder that exists, and return its path."""
    page = folder / "report.html"
    page.write_text(render(audit), encoding="utf-8")
    return page


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    return str(value)
