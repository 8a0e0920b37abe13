"""The features of a layer: diagonals and leading eigenvectors of its matrices, in the shape of its inputs."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure

from nfa.plots.conventions import THEME, dressed, figure_of, letters, refuse_axes
from nfa.plots.parts.bars import bars
from nfa.plots.parts.picture import photograph, picture
from nfa.plots.theme import DIVERGING, INK, ROLES, SEQUENTIAL, SINGLE
from nfa.tables.features import BARS, LayerFeatures, Panel, bar_table, in_colour, layer_features
from nfa.tables.networks import Audits, networks, one_run

EIGENVECTORS = 3
"""Eigenvectors of each matrix that are drawn as pictures."""


def features(
    audits: Audits,
    layer: str | int = 0,
    *,
    sample: Any = None,
    M: Any = None,
    figure: Figure | SubFigure | None = None,
    theme: str | None = THEME,
    ax: None = None,
) -> Figure | SubFigure:
    """Draw diagonals and leading eigenvectors of a layer's NFM and AGOP, init's diagonal, M and a sample.

    Inputs that are pictures are drawn as such (`feature_shape=` of `nfa.audit`), channels as colours: diagonals on one
    scale, eigenvectors on another with 0 in its middle. Other inputs are bars, those that count most in the AGOP.

    Args:
        audits: One audit or its folder.
        layer: Name or number.
        sample: A row of the layer's inputs, to draw beside them.
        M: The feature matrix of a machine on the same inputs (d x d, its diagonal, or an estimator with `M_`).
        figure: Where to draw, a Figure or SubFigure; by default a new Figure of a column's width.
        theme: "paper", or None for the rcParams as they are.
        ax: Refused: this function draws a whole figure.

    Raises:
        InputError: several audits, no such layer, a sample or an M of another size, axes.

    >>> import nfa, torch
    >>> figure = features(nfa.audit(torch.nn.Linear(4, 2), torch.eye(4), feature_shape=(2, 2)))
    >>> figure.axes[0].get_title()
    'diagonal'
    """
    refuse_axes(ax, "features", "spectrum(audit, layer, ax=ax)")
    found = layer_features(one_run(networks(audits)), layer, EIGENVECTORS, sample, M)
    with dressed(theme):
        return draw_features(found, figure)


def draw_features(found: LayerFeatures, figure: Figure | SubFigure | None = None) -> Figure | SubFigure:
    """Draw the features of `nfa.tables.features.layer_features` on a figure."""
    return _pictures(found, figure) if found.shape else _charts(found, figure)


def _pictures(found: LayerFeatures, figure: Figure | SubFigure | None) -> Figure | SubFigure:
    matrices = list(dict.fromkeys(panel.matrix for panel in found.panels if panel.what.startswith("eigenvector")))
    alone = [panel for panel in found.panels if panel.matrix not in matrices]
    rows = [[panel for panel in found.panels if panel.matrix == matrix] for matrix in matrices]
    rows += [sorted(alone, key=lambda panel: panel.matrix == "sample")] if alone else []
    columns = max(len(row) for row in rows)
    height = (SINGLE / columns) * len(rows) + 0.75
    drawn_on = figure_of(figure, height)
    axes = drawn_on.subplots(len(rows), columns, squeeze=False)
    diagonals = max(float(panel.values.max()) for panel in found.panels if panel.what == "diagonal")
    vectors = max(float(np.abs(panel.values).max()) for panel in found.panels if panel.what.startswith("eigenvector"))
    for line, row in zip(axes, rows, strict=True):
        for ax in line[len(row) :]:
            ax.set_axis_off()
        for ax, panel in zip(line, row, strict=False):
            most = diagonals if panel.what == "diagonal" else vectors
            if panel.matrix == "sample":
                photograph(panel.values, found.shape, ax)
            else:
                picture(panel.values, found.shape, ax, panel.signed, most)
            ax.set_title(_title(panel, first=row is rows[0] or panel.matrix not in matrices), pad=2)
        line[0].set_axis_on()
        line[0].set(xticks=[], yticks=[])
        line[0].spines[:].set_visible(False)
        if row[0].matrix in matrices:
            line[0].set_ylabel(row[0].matrix, color=ROLES[row[0].role])
    _letter_rows([line[0] for line in axes])
    below: dict[str, Any] = {"location": "bottom", "pad": 0.02, "aspect": 12}
    colours = in_colour(found.shape)
    cmap = "gray" if colours else SEQUENTIAL
    bar = drawn_on.colorbar(
        ScalarMappable(Normalize(0, diagonals), cmap), ax=list(axes[:, 0]), label="share of the trace", **below
    )
    bar.ax.locator_params(nbins=2)
    if columns > 1:
        map_ = ScalarMappable(Normalize(-vectors, vectors), "gray" if colours else DIVERGING)
        bar = drawn_on.colorbar(
            map_, ax=list(axes[:, 1:].ravel()), label="entry of the eigenvector", **below | {"aspect": 36}
        )
        bar.ax.locator_params(nbins=5)
    return drawn_on


def _title(panel: Panel, first: bool) -> str:
    """Return the title of a picture: in the first row what it shows, in others only its share of the trace."""
    if panel.matrix == "sample":
        return "a sample"
    if panel.what == "diagonal":
        return ("diagonal" if first else "") if panel.matrix != "init's NFM" else "init's NFM"
    share = f"{100 * panel.share:.0f} %"
    return f"{panel.what.removeprefix('eigen')}\n{share}" if first else share


def _letter_rows(axes: list[Axes]) -> None:
    for ax, letter in zip(axes, "abcdef", strict=False):
        ax.annotate(letter, (0, 1), (-12, 2), "axes fraction", textcoords="offset points", fontweight="bold",
                    color=INK, ha="center", va="bottom")  # fmt: skip


def _charts(found: LayerFeatures, figure: Figure | SubFigure | None) -> Figure | SubFigure:
    diagonals = [panel for panel in found.panels if panel.what == "diagonal"]
    first = [panel for panel in found.panels if panel.what == "eigenvector 1"]
    samples = [panel for panel in found.panels if panel.matrix == "sample"]
    tables = [(bar_table(diagonals, found.names), "share of the trace")]
    tables.append((bar_table(first, found.names), "entry of first eigenvector"))
    if samples:
        order = list(dict.fromkeys(tables[0][0]["feature"]))
        values = dict(zip(found.names, samples[0].values, strict=True))
        tables.append((_of_sample(order, values), "value in a sample"))
    shown = min(BARS, len(found.names))
    drawn_on = figure_of(figure, len(tables) * (0.75 + 0.15 * shown))
    axes = drawn_on.subplots(len(tables), 1, squeeze=False)[:, 0]
    for ax, (table, quantity) in zip(axes, tables, strict=True):
        bars(table, ax, quantity)
    letters(list(axes))
    return drawn_on


def _of_sample(order: list[str], values: dict[str, float]) -> pd.DataFrame:
    return pd.DataFrame(
        {"feature": order, "series": "a sample", "role": "sample", "value": [values[name] for name in order]}
    )
