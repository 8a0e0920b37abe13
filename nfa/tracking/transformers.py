"""Audits during a training by the Trainer of transformers."""

import os
from typing import Any

from nfa.common.errors import InputError
from nfa.common.extras import extra
from nfa.tracking.adapter import Watch
from nfa.tracking.tracker import Tracker

with extra("transformers", "tracking", "this adapter needs"):
    from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class TrackerCallback(TrainerCallback):
    """Audits the model at the end of epochs, or of steps, and logs the numbers with `trainer.log`.

    Callbacks do not know their trainer, so name it before training: `callback.set_trainer(trainer)`. The network before
    training is the model when training starts. `callback.tracker` is the tracker.

    Args:
        data: What is measured: inputs by the names that the model's `forward` takes, and targets. See `nfa.Tracker`.
        folder: Where the tracker is saved after each audit. Training from a checkpoint continues it.
        **options: Further parameters of `nfa.Tracker`, such as `every_n_steps`, `columns`, `head="logits"`.

    Raises:
        InputError: when training starts, without `set_trainer`, and as `nfa.Tracker` does.

    >>> TrackerCallback([[1.0, 2.0]]).tracker is None
    True
    """

    def __init__(self, data: Any, *, folder: str | os.PathLike[str] | None = None, **options: Any) -> None:
        self.data = data
        self._watch = Watch(folder, options)
        self._trainer: Trainer | None = None

    def set_trainer(self, trainer: Trainer) -> None:
        """Set the trainer that logs the numbers."""
        self._trainer = trainer

    @property
    def tracker(self) -> Tracker | None:
        """The tracker, once training has started."""
        return self._watch.tracker

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Make the tracker; its init is the model before the first step, or the init of the run that is resumed."""
        if self._trainer is None:
            raise InputError("trainer", "unknown: call set_trainer(trainer) on the callback before training")
        self._watch.start(self._trainer.model, self.data, resumed=state.global_step > 0)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Audit where steps are counted."""
        self._record("step", state)

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Audit where epochs are counted."""
        self._record("epoch", state)

    def _record(self, counted: str, state: TrainerState) -> None:
        # The state counts fractions of epochs; after an epoch's last step it is whole, but for rounding.
        epoch = round(state.epoch or 0.0) if counted == "epoch" else int(state.epoch or 0.0)
        values = state.log_history[-1] if state.log_history else {}
        found = self._watch.record(counted, epoch=epoch, step=state.global_step, values=values)
        if found is not None and self._trainer is not None:
            self._trainer.log(found)
