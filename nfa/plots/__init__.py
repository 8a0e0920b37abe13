"""Tidy tables in, axes out: figures that compute nothing, in one theme."""

from nfa.plots.alpha_scan import alpha_scan
from nfa.plots.bars import bars
from nfa.plots.heat_map import heat_map
from nfa.plots.picture import is_picture, picture
from nfa.plots.similarities import similarities
from nfa.plots.spectra import spectra
from nfa.plots.theme import DOUBLE, ROLES, SINGLE, figure, literal, save, themed

__all__ = [
    "DOUBLE",
    "ROLES",
    "SINGLE",
    "alpha_scan",
    "bars",
    "figure",
    "heat_map",
    "is_picture",
    "literal",
    "picture",
    "save",
    "similarities",
    "spectra",
    "themed",
]
