"""Colours of layers that share one set of axes: a ramp from the first to the last, and a legend that stays short."""

import seaborn as sns

from nfa.plots.theme import ROLES, literal

_IN_LEGEND = 8


def ramp(layers: list[str]) -> dict[str, tuple[float, ...]]:
    """Return a colour for each layer; all stand out from white and from black."""
    ends = [ROLES[role] for role in ("network", "centered", "rfm", "init")]
    return dict(zip(layers, sns.blend_palette(ends, max(2, len(layers))), strict=False))


def labels(layers: list[str]) -> dict[str, str]:
    """Return what the legend calls each layer; of many layers some stay out of it (called "_", as matplotlib wants)."""
    step = -(-len(layers) // _IN_LEGEND)
    named = {name for number, name in enumerate(layers) if number % step == 0 or number == len(layers) - 1}
    return {name: literal(name, 14) if name in named else "_" for name in layers}
