"""The figures of a report, each small enough for a phone."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from nfa.audits.audit import Audit, LayerAudit
from nfa.features.powers import SCAN_DRAWS
from nfa.plots import figure, themed
from nfa.plots.layers import draw_layers
from nfa.plots.parts.bars import bars
from nfa.plots.parts.heat_map import heat_map
from nfa.plots.parts.picture import barred_photograph, barred_picture
from nfa.plots.powers import draw_powers
from nfa.plots.spectrum import draw_spectrum
from nfa.plots.theme import placed
from nfa.report.inline import inline
from nfa.tables.features import LayerFeatures, Panel, bar_table, has_names, input_shape, layer_features
from nfa.tables.layers import layer_table
from nfa.tables.networks import Network, networks
from nfa.tables.spectra import power_table, spectrum_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMALL = 32
"""A hidden layer with at most this many inputs has a bar chart of them too."""

MAPPED = 20
"""A layer with at most this many named inputs has NFM and AGOP as heat maps."""

EIGENVECTORS = 4
"""The number of eigenvectors that are shown as pictures."""

HEIGHT = 2.6
"""Inches: all figures but pictures are of one height."""

_WIDE, _HIGH = 1.75, 1.35  # inches of a picture with its colour bar
_PLACE = (0.01, 0.03, 0.75, 0.87)  # left, bottom, width, height of the two; right and above stand the bar's labels

_NULLS_UP_TO = 512
"""The scan's null is drawn for layers of at most this many outputs, since it takes several eigendecompositions."""


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
        plot: "Callable[[Axes], object]",
        caption: str,
        alt: str,
    ) -> Drawing:
        """Draw on new axes, and return the drawing."""
        with themed():
            fig, ax = figure(height=HEIGHT)
            plot(ax)
            return Drawing(inline(fig, alt, next(self._numbers)), caption)

    def picture(self, plot: "Callable[[Axes], object]", caption: str, alt: str) -> Drawing:
        """Draw a picture with its colour bar, all of one size, and return the drawing."""
        with themed():
            fig, ax = placed(_PLACE, _WIDE, _HIGH)
            plot(ax)
            return Drawing(inline(fig, alt, next(self._numbers)), caption)


@dataclass(frozen=True)
class Pair:
    """The pictures of one kind: of the NFM and of the AGOP, or a sample and the diagonal before training."""

    title: str
    drawings: list[Drawing]


@dataclass(frozen=True)
class Features:
    """A layer's NFM and AGOP over its inputs: as pictures, or as bar charts and, of few named inputs, heat maps."""

    layer: str
    pairs: list[Pair] = field(default_factory=list)
    charts: list[Drawing] = field(default_factory=list)
    maps: list[Drawing] = field(default_factory=list)


@dataclass(frozen=True)
class AuditFigures:
    """All figures of an audit's page; spectra by the layer's name."""

    similarities: list[Drawing]
    scan: Drawing
    spectra: dict[str, Drawing]
    features: list[Features]


def audit_figures(audit: Audit, sample: Any = None) -> AuditFigures:
    """Draw all figures of an audit's report.

    Args:
        audit: The audit.
        sample: A row of the data, drawn beside the features of a first layer that takes pictures.

    Raises:
        InputError: the sample does not fit the first layer.
    """
    drawer, found = Drawer(), networks(audit)
    features = [_features(audit, layer, sample, drawer) for layer in audit if _shows_features(layer)]
    return AuditFigures(
        similarities=similarity_figures(found, drawer),
        scan=_scan(audit, found, drawer),
        spectra={layer["name"]: _spectrum(found, layer, drawer) for layer in audit if not layer["trivial"]},
        features=[each for each in features if each.pairs or each.charts],
    )


def similarity_figures(found: Sequence[Network], drawer: Drawer) -> list[Drawing]:
    """Draw alignment and cosine of every layer beside their nulls, where these are known."""
    figures = []
    for column, what in (
        ("alignment", "Alignment of W's left vectors and the output's gradients"),
        ("cosine", "Cosine of NFM and AGOP, and of the NFM and the NFM before training"),
    ):
        table = layer_table(found, column)
        if table["value"].isna().all():
            continue
        of_column = table[table["column"] == column].dropna(subset="value")
        several = len(of_column[["network", "run"]].drop_duplicates()) > 1
        values = "; ".join(
            f"{row.layer}, {(row.run if several else row.series)!s} {row.value:.2f}" for row in of_column.itertuples()
        )
        caption = f"{what}."
        if table["low"].notna().any():
            caption += " Strokes: 95 % intervals over samples."
        if table["null"].notna().any():
            caption += " Hatched: the same by chance."
        if several:
            caption += " Bars are means."
        figures.append(drawer.draw(partial(draw_layers, table, column), caption, f"{what}: {values}"))
    return figures


def _scan(audit: Audit, found: Sequence[Network], drawer: Drawer) -> Drawing:
    widest = max(layer["d_out"] for layer in audit)
    table = power_table(found, draws=SCAN_DRAWS if widest <= _NULLS_UP_TO else 0)
    known = {"alpha_best", "cosine_alpha_best"} <= set(audit.about.columns)
    best = [
        f"{layer['name']} {layer['alpha_best']:g} ({layer['cosine_alpha_best']:.2f})"
        for layer in (audit if known else ())
        if not math.isnan(layer["alpha_best"])
    ]
    caption = "Which power of the AGOP the NFM is most like (markers); dotted: alpha = 1/2 and 1."
    if table["null"].notna().any():
        caption += " Dashed: the same with the gradients turned at random."
    return drawer.draw(
        partial(draw_powers, table),
        caption,
        "Cosine of NFM and AGOP to the power alpha, from 0.05 to 2"
        + (f"; best alpha (cosine): {', '.join(best)}" if best else ""),
    )


def _spectrum(found: Sequence[Network], layer: LayerAudit, drawer: Drawer) -> Drawing:
    table = spectrum_table(found, layer["layer"])
    ranks = ", ".join(f"{name} {rank}" for name, rank in table.groupby("matrix", sort=False)["index"].max().items())
    return drawer.draw(
        partial(draw_spectrum, table),
        f"Eigenvalues of NFM and AGOP of {layer['name']}, down to a millionth of the largest.",
        f"Eigenvalues of NFM and AGOP of layer {layer['name']} over their rank, on logarithmic scales; ranks: {ranks}",
    )


def _shows_features(layer: LayerAudit) -> bool:
    # Of a trivial layer, the AGOP shows nothing of what was learned from data; a first layer's inputs are the data's.
    return bool(layer["layer"] == 0 or (layer["d_in"] <= SMALL and not layer["trivial"]))


def _features(audit: Audit, layer: LayerAudit, sample: Any, drawer: Drawer) -> Features:
    if layer.nfm.norm() == 0 or layer.agop.norm() == 0:
        return Features(layer["name"])
    whole = layer["layer"] == 0 and input_shape(audit, layer) == audit.about.feature_shape != ()
    shown = sample if whole else None
    found = layer_features(audit, layer["name"], EIGENVECTORS, shown)
    if found.shape:
        return Features(layer["name"], pairs=_pairs(found, drawer))
    mapped = has_names(audit, layer) and 1 < layer["d_in"] <= MAPPED
    charts, maps = _charts(found, drawer), _heat_maps(layer, found, drawer) if mapped else []
    return Features(layer["name"], charts=charts, maps=maps)


def _pairs(found: LayerFeatures, drawer: Drawer) -> list[Pair]:
    """Draw all panels, those of one kind beside each other: diagonals on one scale, eigenvectors on another."""
    scales = {
        signed: max(float(abs(each.values).max()) for each in found.panels if each.what and each.signed == signed)
        for signed in {each.signed for each in found.panels if each.what}
    }

    def drawn(panel: Panel) -> Drawing:
        alt = f"{panel.what.capitalize()} of the {panel.matrix} of layer {found.layer} as a picture"
        if panel.matrix == "sample":
            plot: Callable[[Axes], object] = partial(barred_photograph, panel.values, found.shape)
            return drawer.picture(plot, "a row of the data", "A sample of the data as a picture")
        share = "" if math.isnan(panel.share) else f", {100 * panel.share:.0f} % of the trace"
        plot = partial(barred_picture, panel.values, found.shape, signed=panel.signed, most=scales[panel.signed])
        return drawer.picture(plot, f"{panel.matrix}{share}", alt)

    beside = [panel for panel in found.panels if panel.matrix in ("sample", "init's NFM")]
    kinds: dict[str, list[Panel]] = {}
    for panel in found.panels:
        if panel not in beside:
            kinds.setdefault(panel.what, []).append(panel)
    pairs = [Pair(what, [drawn(panel) for panel in panels]) for what, panels in kinds.items()]
    if beside:
        words = " and ".join("a sample" if each.matrix == "sample" else "init" for each in beside)
        pairs.insert(0, Pair(words, [drawn(panel) for panel in beside]))
    return pairs


def _charts(found: LayerFeatures, drawer: Drawer) -> list[Drawing]:
    diagonal, eigenvectors = (
        bar_table([panel for panel in found.panels if panel.what == what], found.names)
        for what in ("diagonal", "eigenvector 1")
    )
    shown = diagonal["feature"].nunique()
    of = "" if shown == len(found.names) else f" The {shown} largest of {len(found.names)}."
    first = ", ".join(
        f"{row.feature} {row.value:.2f}" for row in diagonal[diagonal["series"] == "AGOP"].head(5).itertuples()
    )
    return [
        drawer.draw(
            lambda ax: bars(diagonal, ax, "share of the trace"),
            f"Diagonals of NFM and AGOP: how much each input counts.{of}",
            f"Diagonals of NFM and AGOP of layer {found.layer}; largest of the AGOP: {first}",
        ),
        drawer.draw(
            lambda ax: bars(eigenvectors, ax, "entry of the first eigenvector"),
            f"First eigenvectors of NFM and AGOP, and their shares of the trace: which inputs act together.{of}",
            f"Entries of the first eigenvectors of NFM and AGOP of layer {found.layer}",
        ),
    ]


def _heat_maps(layer: LayerAudit, found: LayerFeatures, drawer: Drawer) -> list[Drawing]:
    def drawn(label: str, matrix: Any) -> Drawing:
        return drawer.draw(
            lambda ax: heat_map(matrix, ax, found.names, label="entry / largest"),
            f"The {label}, entry by entry: which inputs count, and which count together or against each other.",
            f"{label} of layer {found.layer} as a heat map of {len(found.names)} x {len(found.names)} entries",
        )

    dense = {"NFM": layer.nfm.dense().numpy(), "AGOP": layer.agop.dense().numpy()}
    return [drawn(label, matrix / abs(matrix).max()) for label, matrix in dense.items()]
