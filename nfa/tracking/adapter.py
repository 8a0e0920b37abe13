"""The common part of all adapters: make the tracker when a training starts, record, and keep the file up to date."""

import os
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any

from nfa.common.processes import processes
from nfa.tracking.history import FILE, TAKEN
from nfa.tracking.tracker import Tracker


class Watch:
    """The tracker of one training, which an adapter holds.

    Args:
        folder: Where the tracker is saved after every audit, and read when a training is resumed; None for nowhere.
        options: Parameters of `Tracker` by name, without the network and the data.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, options: Mapping[str, Any]) -> None:
        self.folder = None if folder is None else Path(folder)
        self.options = dict(options)
        self.tracker: Tracker | None = None

    def start(self, net: Any, data: Any, *, resumed: bool) -> Tracker:
        """Return the tracker. The first call makes it; if training is resumed, with what the folder holds."""
        if self.tracker is None:
            self.tracker = Tracker(net, data, **self.options)
            if resumed and self.folder is not None and (self.folder / FILE).exists():
                self.tracker.load(self.folder)
        return self.tracker

    def record(self, counted: str, *, epoch: int, step: int, values: Mapping[str, Any]) -> dict[str, float] | None:
        """Audit, if the tracker counts in this unit ("epoch" or "step") and an audit is due; save the result."""
        if self.tracker is None or self.tracker.schedule.counts != counted:
            return None
        numbers = {name: float(value) for name, value in values.items() if _is_own_number(name, value)}
        found = self.tracker.record(epoch=epoch, step=step, **numbers)
        if found is not None and self.folder is not None and processes().rank == 0:
            self.tracker.save(self.folder)
        return found


def _is_own_number(name: str, value: Any) -> bool:
    """Return whether a library's metric is a number that is neither a column of the tracker nor from its audits."""
    number = isinstance(value, Real) or getattr(value, "numel", lambda: 0)() == 1
    return number and name not in TAKEN and not name.startswith("nfa/")
