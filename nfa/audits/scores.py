"""The score of a network, from the pass that measures it where that is possible."""

from collections.abc import Callable

from torch import Tensor

from nfa.audits.rows import Rows
from nfa.audits.settings import Settings
from nfa.data.batches import Batch
from nfa.network.forward import Forward
from nfa.network.model import Model
from nfa.network.scoring import Score, Scorer, score
from nfa.probe import untouched


def scored(model: Model, forward: Forward, rows: Rows) -> Score | None:
    """Score a network that may be in any mode; None where nothing tells what its outputs should be.

    Args:
        model: The network, and what is known of its outputs.
        forward: How to call it.
        rows: The rows, with class numbers or numbers as targets.
    """
    if not model.scored or forward.of_several:
        return None
    with untouched(forward.net):
        return score(forward.own(), rows.scored, rows.scored_split, drawn=rows.scored_drawn)


class Scores:
    """The score of a network that is being measured.

    Its outputs are seen when it is measured; where other rows are scored, or `outputs` is a function of what it
    returns, it runs once more.

    Args:
        model: The network, and what is known of its outputs.
        forward: How it is called.
        rows: Its rows.
        settings: Those of the audit.
    """

    def __init__(self, model: Model, forward: Forward, rows: Rows, settings: Settings) -> None:
        self._scorer: Scorer | None = None
        self._score: Score | None = None
        if not model.scored or callable(settings.outputs) or rows.scored is not rows.measured:
            self._score = scored(model, forward, rows)
        else:
            self._scorer = Scorer(forward, rows.scored_split, rows.scored.processes, rows.scored_drawn)

    @property
    def seen(self) -> Callable[[Tensor, Batch], None] | None:
        """What takes the outputs of every batch; None where the score is known already."""
        return None if self._scorer is None else self._scorer.add

    def found(self) -> Score | None:
        """Return the score, once the network was measured.

        Raises:
            InputError: the targets do not fit the outputs.
        """
        if self._scorer is not None:
            self._score, self._scorer = self._scorer.score(), None
        return self._score
