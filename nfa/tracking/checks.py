"""When a network in training is looked at in float64 too, which shows whether its gradients are rounding."""

from nfa.audits.audit import Audit
from nfa.features.notes import CANCELS, ON_ROUNDING

EVERY = 8
"""So many audits share one look, as long as they are alike."""

FALLEN = 0.01
"""Gradients whose mean square has fallen below this share of its value at the last look are looked at anew.

What rounding leaves of gradients that cancel is 14 orders of magnitude smaller than their terms.
"""


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

    def vouch_for(self, audit: Audit) -> bool:
        """Return whether the last look speaks for an audit without one of its own."""
        self._since += 1
        before, now = self._sizes, _sizes(audit)
        if before is None or before.keys() != now.keys():
            return False
        return all(now[key] >= FALLEN * size and (size > 0) == (now[key] > 0) for key, size in before.items())

    def note(self, audit: Audit) -> None:
        """Take note of an audit with a look."""
        doubtful = any(text in layer["note"] for layer in audit for text in (CANCELS, ON_ROUNDING))
        self._since, self._sizes = 0, None if doubtful else _sizes(audit)


def _sizes(audit: Audit) -> dict[tuple[str, int, int], float]:
    """Return tr S of each layer, by name and shape."""
    return {(layer["name"], *layer.weight.shape): layer.second.trace() for layer in audit}
