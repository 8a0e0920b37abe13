"""Audits during a training by skorch."""

import os
from typing import Any

from nfa.common.extras import extra
from nfa.tracking.adapter import Watch
from nfa.tracking.tracker import Tracker

with extra("skorch", "tracking", "this adapter needs"):
    from skorch import NeuralNet
    from skorch.callbacks import Callback


class TrackerCallback(Callback):
    """Audits the net's module at the end of epochs, or of batches, and writes the numbers into `net.history`.

    The network before training is the module when training first starts. `partial_fit` keeps this init; `fit` begins
    anew with another module, and so with another tracker. A training that goes on in another process,
    its parameters and history loaded into the net (`load_params`, or a `LoadInitState` before this callback), goes on
    with what lies in the folder. `callback.tracker_` is the tracker.

    Args:
        data: What is measured; by default what `fit` is given. See `nfa.Tracker`.
        folder: Where the tracker is saved after each audit, and read where the net has a history; None for nowhere.
        **options: Further parameters of `nfa.Tracker`, such as `every_n_epochs`, `columns`, `samples`.

    Raises:
        InputError: when training starts, as `nfa.Tracker` does.

    >>> TrackerCallback(columns=["cosine"]).options
    {'columns': ['cosine']}
    """

    def __init__(self, data: Any = None, *, folder: str | os.PathLike[str] | None = None, **options: Any) -> None:
        self.data, self.folder, self.options = data, folder, options

    def initialize(self) -> "TrackerCallback":
        """Begin anew: the net has a new module."""
        self.watch_, self.steps_ = Watch(self.folder, self.options), 0
        return self

    @property
    def tracker_(self) -> Tracker | None:
        """The tracker, once training has started."""
        return self.watch_.tracker

    def on_train_begin(self, net: NeuralNet, X: Any = None, y: Any = None, **_: Any) -> None:
        """Make the tracker, unless there is one of this module; its init is that of the run that goes on."""
        fitted = X if y is None else (X, y)
        if self.tracker_ is None:
            self.steps_ = sum("train_batch_size" in batch for epoch in net.history for batch in epoch["batches"])
        self.watch_.start(net, fitted if self.data is None else self.data, resumed=len(net.history) > 0)

    def on_batch_end(self, net: NeuralNet, batch: Any = None, training: bool = False, **_: Any) -> None:
        """Count steps, and audit where they are counted."""
        if training:
            self.steps_ += 1
            self._record("step", net)

    def on_epoch_end(self, net: NeuralNet, **_: Any) -> None:
        """Audit where epochs are counted."""
        self._record("epoch", net)

    def _record(self, counted: str, net: NeuralNet) -> None:
        metrics = {name: value for name, value in net.history[-1].items() if name != "batches"}
        found = self.watch_.record(counted, epoch=len(net.history), step=self.steps_, values=metrics)
        for name, value in (found or {}).items():
            net.history.record(name, value)
