"""The schedule of audits in a training: every so many epochs or steps, or at given epochs."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nfa.common.checks import positive
from nfa.common.errors import InputError


@dataclass(frozen=True)
class Schedule:
    """The epochs or steps that are audited.

    Args:
        every_n_epochs: Audit the epochs that are multiples of it; 1 where nothing is said.
        every_n_steps: Audit the steps that are multiples of it, and no epochs.
        at: The epochs to audit (whole numbers).

    Raises:
        InputError: a number is no whole number, or two of the three are given together.

    >>> Schedule(every_n_epochs=5).due(10), Schedule(at=[1, 3, 10]).due(5)
    (True, False)
    """

    every_n_epochs: int | None = None
    every_n_steps: int | None = None
    at: Any = None

    def __post_init__(self) -> None:
        """Check the numbers; `at` becomes a sorted tuple."""
        for name in ("every_n_epochs", "every_n_steps"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, positive(name, getattr(self, name)))
        if None not in (self.every_n_epochs, self.every_n_steps):
            raise InputError("every_n_epochs", "counts epochs, and every_n_steps counts steps: give one of the two")
        if self.at is None:
            return
        if self.every_n_steps is not None:
            raise InputError("at", "counts epochs, and every_n_steps counts steps: give one of the two")
        if self.every_n_epochs is not None:
            raise InputError("at", "names epochs, and every_n_epochs counts them: give one of the two")
        if isinstance(self.at, (str, bytes)) or not isinstance(self.at, Iterable):
            raise InputError("at", f"got {self.at!r}, expected epochs, such as [1, 3, 10]")
        numbers = tuple(sorted({positive("at", each, least=0) for each in self.at}))
        if not numbers:
            raise InputError("at", "empty, expected epochs, such as [1, 3, 10]")
        object.__setattr__(self, "at", numbers)

    @property
    def counts(self) -> str:
        """What is counted: "epoch" or "step"."""
        return "epoch" if self.every_n_steps is None else "step"

    def due(self, number: int) -> bool:
        """Return whether an epoch (or a step, where steps are counted) is audited."""
        if self.at is not None:
            return number in self.at
        return number % (self.every_n_steps or self.every_n_epochs or 1) == 0


@dataclass
class Clock:
    """The progress of a training: the last epoch and step that were recorded, and the last ones that were audited."""

    epoch: int | None = None
    step: int | None = None
    audited: int | None = None

    def tick(self, schedule: Schedule, epoch: Any, step: Any) -> bool:
        """Move on to an epoch, a step, or both; return whether an audit is due, once for each that is counted.

        Raises:
            InputError: the epoch (or step) that the schedule counts is missing, is no whole number, or goes backwards.
        """
        now = {
            name: None if value is None else positive(name, value, least=0)
            for name, value in (("epoch", epoch), ("step", step))
        }
        counted = now[schedule.counts]
        if counted is None:
            other = (
                "every_n_steps= counts steps" if schedule.counts == "epoch" else "without every_n_steps= epochs count"
            )
            raise InputError(schedule.counts, f"missing, and this tracker counts {schedule.counts}s ({other})")
        for name, number in now.items():
            before = getattr(self, name)
            if number is not None and before is not None and number < before:
                raise InputError(name, f"got {number} after {before}; time goes forwards (a new run has a new tracker)")
        self.epoch, self.step = (each if each is not None else getattr(self, name) for name, each in now.items())
        due = schedule.due(counted) and (self.audited is None or counted > self.audited)
        if due:
            self.audited = counted
        return due
