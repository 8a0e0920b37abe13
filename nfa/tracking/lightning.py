"""Audits during a training by Lightning."""

import os
from typing import Any

from nfa.common.extras import extra
from nfa.tracking.adapter import Watch
from nfa.tracking.tracker import Tracker

with extra("lightning", "tracking", "this adapter needs"):
    from lightning.pytorch import Callback, LightningModule, Trainer


class TrackerCallback(Callback):
    """Audits the module at the end of epochs, or of steps, and logs the numbers with `log_dict`.

    The network before training is the module as it is when `fit` starts. Metrics that the module logs as numbers are
    kept beside the audits. `callback.tracker` is the tracker.

    Args:
        data: What is measured; see `nfa.Tracker`.
        folder: Where the tracker is saved after each audit. A `fit` from a checkpoint continues it.
        **options: Further parameters of `nfa.Tracker`, such as `every_n_epochs`, `columns`, `samples`.

    Raises:
        InputError: when `fit` starts, as `nfa.Tracker` does.

    >>> TrackerCallback([[1.0, 2.0]], every_n_steps=10).tracker is None
    True
    """

    def __init__(self, data: Any, *, folder: str | os.PathLike[str] | None = None, **options: Any) -> None:
        super().__init__()
        self.data = data
        self._watch = Watch(folder, options)

    @property
    def tracker(self) -> Tracker | None:
        """The tracker, once `fit` has started."""
        return self._watch.tracker

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the tracker; its init is the module before the first step, or the init of the run that is resumed."""
        self._watch.start(pl_module, self.data, resumed=trainer.ckpt_path is not None)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Audit where epochs are counted."""
        self._record("epoch", trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Audit where steps are counted."""
        self._record("step", trainer, pl_module)

    def _record(self, counted: str, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning counts the epoch that is running from 0.
        epoch = trainer.current_epoch + (counted == "epoch")
        found = self._watch.record(counted, epoch=epoch, step=trainer.global_step, values=trainer.callback_metrics)
        if found is not None:
            pl_module.log_dict(found)
