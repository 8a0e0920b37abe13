"""Every kind of figure by name, with the table behind it, for `nfa figure --kind KIND`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from nfa.common.checks import one_of
from nfa.common.errors import InputError
from nfa.plots.conventions import THEME, dressed
from nfa.plots.features import EIGENVECTORS, draw_features
from nfa.plots.layers import draw_layers
from nfa.plots.matrices import draw_matrices
from nfa.plots.powers import draw_powers
from nfa.plots.spectrum import draw_spectrum
from nfa.plots.sweep import draw_sweep
from nfa.plots.theme import figure
from nfa.plots.training import draw_training
from nfa.tables.features import LayerFeatures, layer_features, matrix_table
from nfa.tables.layers import known_layer_table
from nfa.tables.networks import Audits, layer_names, networks, one_run
from nfa.tables.spectra import power_table, spectrum_table
from nfa.tables.sweep import sweep_table
from nfa.tables.training import training_table


@dataclass(frozen=True)
class Kind:
    """One kind of figure.

    Args:
        options: Its options besides audits, with their default values.
        make: Makes the table, or what else is drawn, from audits and options.
        draw: Draws that as a new figure; takes the options too.
    """

    options: Mapping[str, Any]
    make: Callable[..., Any]
    draw: Callable[..., Figure]


def drawn_kind(kind: str, audits: Audits, options: Mapping[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """Return a new figure of a kind in the theme, and the table behind it.

    Args:
        kind: A key of `KINDS`.
        audits: As the kind's function takes them.
        options: The kind's options by name.

    Raises:
        InputError: an unknown kind, an option that it does not take, or as the kind's function.
    """
    chosen = KINDS[one_of("kind", kind, KINDS)]
    for name in options:
        if name not in chosen.options:
            takes = [key for key, each in KINDS.items() if name in each.options]
            raise InputError(name, f"the kind {kind} does not take it (kinds that do: {', '.join(takes)})")
    settings = dict(chosen.options) | dict(options)
    made = chosen.make(audits, **settings)
    with dressed(THEME):
        drawn = chosen.draw(made, **settings)
    return drawn, made.to_frame() if isinstance(made, LayerFeatures) else made


def _layers(audits: Audits, column: str, null: str | None) -> pd.DataFrame:
    found = networks(audits)
    layer_names(found)
    return known_layer_table(found, column, null)


def _features(audits: Audits, layer: str | int, sample: Any) -> LayerFeatures:
    return layer_features(one_run(networks(audits)), layer, EIGENVECTORS, sample)


def _on_axes(draw: Callable[..., Any], *names: str) -> Callable[..., Figure]:
    """Return a function that draws on the axes of a new figure, given the options of these names."""

    def drawn(made: Any, **options: Any) -> Figure:
        fig, ax = figure()
        draw(made, **{name: options[name] for name in names}, ax=ax)
        return fig

    return drawn


def _whole(draw: Callable[..., Any]) -> Callable[..., Figure]:
    """Return a function that draws a new figure, whatever the options."""

    def drawn(made: Any, **options: Any) -> Figure:
        fig: Figure = draw(made)
        return fig

    return drawn


def _training(made: pd.DataFrame, column: str, together: bool, **options: Any) -> Figure:
    drawn = draw_training(made, column, together)
    assert isinstance(drawn, Figure)
    return drawn


KINDS = {
    "layers": Kind({"column": "cosine", "null": "rotated"}, _layers, _on_axes(draw_layers, "column")),
    "sweep": Kind(
        {"x": "width", "column": "cosine", "null": "rotated", "heat": False},
        lambda audits, heat, **options: sweep_table(networks(audits), **options),
        _on_axes(draw_sweep, "x", "column", "heat"),
    ),
    "training": Kind(
        {"column": "cosine", "null": "rotated", "together": False},
        lambda trainings, together, **options: training_table(trainings, **options),
        _training,
    ),
    "spectrum": Kind(
        {"layer": 0}, lambda audits, layer: spectrum_table(networks(audits), layer), _on_axes(draw_spectrum)
    ),
    "powers": Kind({"layer": None}, lambda audits, layer: power_table(networks(audits), layer), _on_axes(draw_powers)),
    "features": Kind({"layer": 0, "sample": None}, _features, _whole(draw_features)),
    "matrices": Kind(
        {"layer": 0, "alpha": 1.0},
        lambda audits, layer, alpha: matrix_table(one_run(networks(audits)), layer, alpha),
        _whole(draw_matrices),
    ),
}
"""The kinds of figures."""
