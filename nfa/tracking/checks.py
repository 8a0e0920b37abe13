"""When a network in training is looked at in float64 too, which shows whether its gradients are rounding."""

from collections.abc import Sequence
from dataclasses import dataclass

from nfa.features.layer_measures import LayerMeasures
from nfa.features.notes import CANCELS, ON_ROUNDING
from nfa.features.row import Columns

EVERY = 8
"""So many audits share one look, as long as they are alike."""

FALLEN = 0.01
"""Gradients whose mean square has fallen below this share of its value at the last look are looked at anew.

What rounding leaves of gradients that cancel is 14 orders of magnitude smaller than their terms.
"""


@dataclass(frozen=True)
class Seen:
    """What an audit keeps of a layer; its matrices are of no use to a tracker.

    Args:
        row: Its columns.
        layer: Its name, k and d.
        size: tr S.
    """

    row: Columns
    layer: tuple[str, int, int]
    size: float

    @classmethod
    def of(cls, layer: LayerMeasures, row: Columns) -> "Seen":
        """Return it from a layer's measurements and its row."""
        return cls(row, (row["name"], layer.weight.k, layer.weight.d), layer.measured.second.trace())


class Checks:
    """The looks at a network's rounding, and what they say about audits in between.

    A look is due at the first audit, and `EVERY` audits after the last one. Where a layer's gradients hang on rounding,
    every audit needs one. An audit in between is vouched for if its layers are those of the last look, and none of
    their gradients has become much smaller, or has come up from 0.
    """

    def __init__(self) -> None:
        self._since = 0
        self._sizes: dict[tuple[str, int, int], float] | None = None  # of the last look; None where none speaks

    @property
    def due(self) -> bool:
        """Whether the next audit needs a look, whatever it finds."""
        return self._sizes is None or self._since >= EVERY - 1

    def vouch_for(self, layers: Sequence[Seen]) -> bool:
        """Return whether the last look speaks for an audit without one of its own."""
        self._since += 1
        before, now = self._sizes, _sizes(layers)
        if before is None or before.keys() != now.keys():
            return False
        return all(now[key] >= FALLEN * size and (size > 0) == (now[key] > 0) for key, size in before.items())

    def note(self, layers: Sequence[Seen]) -> None:
        """Take note of an audit with a look."""
        doubtful = any(text in layer.row["note"] for layer in layers for text in (CANCELS, ON_ROUNDING))
        self._since, self._sizes = 0, None if doubtful else _sizes(layers)


def _sizes(layers: Sequence[Seen]) -> dict[tuple[str, int, int], float]:
    """Return tr S of each layer, by name and shape."""
    return {layer.layer: layer.size for layer in layers}
