"""The figures of a report, each small enough for a phone."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from nfa import plots
from nfa.audits.audit import Audit, LayerAudit
from nfa.report.inline import inline
from nfa.report.tables import (
    diagonal_table,
    eigenvector_table,
    scan_table,
    share_of_trace,
    similarity_table,
    spectrum_table,
    top_eigenvectors,
    untrained_table,
)

SMALL = 32
"""A hidden layer with at most so many inputs has their bar chart too."""

MAPPED = 20
"""A layer with at most so many inputs, which have names, has NFM and AGOP as heat maps."""

EIGENVECTORS = 4
"""Eigenvectors that are shown as pictures."""

_ROW, _AROUND = 0.3, 1.15  # inches: for each row of a dot plot, and for axis and legend


@dataclass(frozen=True)
class Drawing:
    """A figure and its caption."""

    svg: Markup
    caption: str


@dataclass
class Drawer:
    """Draws the figures of one page, numbering them."""

    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def draw(
        self,
        plot: Callable[[Axes], object],
        caption: str,
        alt: str,
        height: float | None = None,
        width: float = plots.SINGLE,
    ) -> Drawing:
        """Draw on axes of their own and return the drawing."""
        fig, ax = plots.figure(width=width, height=height)
        plot(ax)
        return Drawing(inline(fig, alt, next(self._numbers)), caption)


@dataclass(frozen=True)
class PictureRow:
    """A matrix's diagonal and eigenvectors as pictures."""

    matrix: str
    pictures: list[Drawing]


@dataclass(frozen=True)
class Features:
    """What a layer's NFM and AGOP say of its inputs: as pictures, or as bar charts."""

    layer: str
    pictures: list[PictureRow]
    charts: list[Drawing]


@dataclass(frozen=True)
class AuditFigures:
    """All figures of an audit's page."""

    similarities: Drawing
    scan: Drawing
    spectra: list[Drawing]
    features: list[Features]


def audit_figures(audit: Audit) -> AuditFigures:
    """Draw everything that the report of an audit shows."""
    drawer, layers = Drawer(), list(audit)
    return AuditFigures(
        similarities=similarities_figure(
            similarity_table(audit), drawer, "Cosine of each layer's NFM with the matrices of the legend"
        ),
        scan=_scan(audit, layers, drawer),
        spectra=[_spectrum(layers, matrix, drawer) for matrix in ("NFM", "AGOP")],
        features=[_features(audit, each, drawer) for each in layers if _shows_features(audit, each)],
    )


def similarities_figure(table: pd.DataFrame, drawer: Drawer, what: str) -> Drawing:
    """Draw similarities beside their nulls, as high as their number asks for."""
    series = table["series"].nunique()
    rows = table["layer"].nunique() * max(1.0, 0.4 * series)
    alt = f"{what}: " + "; ".join(
        f"{row.layer}, {row.series} {row.value:.2f}" for row in table.dropna(subset="value").itertuples()
    )
    nulls = table.filter(["untrained", "rotated", "chance"]).notna().any(axis=None)
    caption = f"{what}."
    if table["low"].notna().any():
        caption += " Intervals may be narrower than their dots."
    if nulls:
        caption += " Thin strokes across: the same where nothing was learned."
    return drawer.draw(
        lambda ax: plots.similarities(table, ax), caption, alt, height=_AROUND + 0.13 * series + _ROW * rows
    )


def _scan(audit: Audit, layers: list[LayerAudit], drawer: Drawer) -> Drawing:
    table, before = scan_table(layers), untrained_table(audit)
    best = [
        f"{layer['name']} {layer['alpha_best']:g} ({layer['cosine_alpha_best']:.2f})"
        for layer in audit
        if not math.isnan(layer["alpha_best"])
    ]
    caption = "Which power of the AGOP the NFM is most like (dots); dotted: alpha = 1/2 and 1."
    if len(before):
        caption += " Hollow: the network before training."
    return drawer.draw(
        lambda ax: plots.alpha_scan(table, ax, before if len(before) else None),
        caption,
        "Cosine of NFM and AGOP to the power alpha, from 0.05 to 2; best alpha (cosine): " + ", ".join(best),
        height=2.2 + 0.14 * math.ceil(min(9, len(layers)) / 2),
    )


def _spectrum(layers: list[LayerAudit], matrix: str, drawer: Drawer) -> Drawing:
    table = spectrum_table(layers, matrix)
    ranks = ", ".join(f"{name} {rank}" for name, rank in table.groupby("layer", sort=False)["index"].max().items())
    return drawer.draw(
        lambda ax: plots.spectra(table, ax, matrix),
        f"Eigenvalues of the {matrix}, down to a millionth of the largest.",
        f"Eigenvalues of the {matrix} over their rank, both on logarithmic scales; ranks: {ranks}",
        height=2.2 + 0.14 * math.ceil(min(9, len(layers)) / 2),
    )


def _shows_features(audit: Audit, each: LayerAudit) -> bool:
    return each["layer"] == 0 or each.nfm.d <= SMALL


def _features(audit: Audit, each: LayerAudit, drawer: Drawer) -> Features:
    d, first = each.nfm.d, each["layer"] == 0
    shape, names = audit.about.feature_shape, list(audit.about.feature_names)
    if each.nfm.norm() == 0 or each.agop.norm() == 0:
        return Features(each["name"], [], [])
    if first and plots.is_picture(shape) and math.prod(shape) == d:
        return Features(each["name"], _pictures(each, shape, drawer), [])
    if first and len(names) == d:
        maps = _heat_maps(each, names, drawer) if 1 < d <= MAPPED else []
        return Features(each["name"], [], [*_charts(each, names, drawer), *maps])
    names = [f"{'input' if first else 'unit'} {i}" for i in range(d)]
    return Features(each["name"], [], _charts(each, names, drawer))


def _pictures(each: LayerAudit, shape: tuple[int, ...], drawer: Drawer) -> list[PictureRow]:
    def drawn(vector: Any, caption: str, what: str, signed: bool) -> Drawing:
        alt = f"{what} of layer {each['name']} as a picture"
        side = 1.2
        return drawer.draw(lambda ax: plots.picture(vector, shape, ax, signed), caption, alt, height=side, width=side)

    rows = []
    for label, matrix in (("NFM", each.nfm), ("AGOP", each.agop)):
        pictures = [drawn(share_of_trace(matrix), "diagonal", f"Diagonal of the {label}", signed=False)]
        for number, (share, vector) in enumerate(top_eigenvectors(matrix, EIGENVECTORS), 1):
            caption = f"eigenvector {number}: {100 * share:.0f} % of the trace"
            pictures.append(drawn(vector, caption, f"Eigenvector {number} of the {label}", signed=True))
        rows.append(PictureRow(label, pictures))
    if each.init_nfm is not None:
        before = drawn(share_of_trace(each.init_nfm), "diagonal", "Diagonal of the NFM before training", False)
        rows.append(PictureRow("NFM before training", [before]))
    return rows


def _charts(each: LayerAudit, names: list[str], drawer: Drawer) -> list[Drawing]:
    diagonal, eigenvectors = diagonal_table(each, names), eigenvector_table(each, names)
    shown = diagonal["feature"].nunique()
    of = "" if shown == each.nfm.d else f" The {shown} largest of {each.nfm.d}."
    first = ", ".join(
        f"{row.feature} {row.value:.2f}" for row in diagonal[diagonal["series"] == "AGOP"].head(5).itertuples()
    )
    height = _AROUND + 0.25 + 0.22 * shown
    return [
        drawer.draw(
            lambda ax: plots.bars(diagonal, ax, "share of the trace"),
            f"Diagonals of NFM and AGOP: how much each input counts.{of}",
            f"Diagonals of NFM and AGOP of layer {each['name']}; largest of the AGOP: {first}",
            height=height,
        ),
        drawer.draw(
            lambda ax: plots.bars(eigenvectors, ax, "entry of the first eigenvector"),
            f"First eigenvectors of NFM and AGOP: which inputs act together.{of}",
            f"Entries of the first eigenvectors of NFM and AGOP of layer {each['name']}",
            height=height,
        ),
    ]


def _heat_maps(each: LayerAudit, names: list[str], drawer: Drawer) -> list[Drawing]:
    def drawn(label: str, matrix: Any) -> Drawing:
        return drawer.draw(
            lambda ax: plots.heat_map(matrix, ax, names, label="entry / largest"),
            f"The {label}, entry by entry: which inputs count, and which count together or against each other.",
            f"{label} of layer {each['name']} as a heat map of {len(names)} x {len(names)} entries",
            height=2.9,
        )

    dense = {"NFM": each.nfm.dense().numpy(), "AGOP": each.agop.dense().numpy()}
    return [drawn(label, matrix / abs(matrix).max()) for label, matrix in dense.items()]
