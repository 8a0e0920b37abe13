"""Figures of audits in one theme: `layers`, `sweep`, `spectrum`, `powers` on axes; the others are whole figures."""

from nfa.common.extras import extra

with extra("plots", "plots", "figures need"):
    from nfa.plots.features import features
    from nfa.plots.layers import layers
    from nfa.plots.matrices import matrices
    from nfa.plots.powers import powers
    from nfa.plots.spectrum import spectrum
    from nfa.plots.sweep import sweep
    from nfa.plots.theme import DOUBLE, ROLES, SINGLE, figure, literal, save, themed
    from nfa.plots.training import training

__all__ = [
    "DOUBLE",
    "ROLES",
    "SINGLE",
    "features",
    "figure",
    "layers",
    "literal",
    "matrices",
    "powers",
    "save",
    "spectrum",
    "sweep",
    "themed",
    "training",
]
