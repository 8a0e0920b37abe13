"""Progress bars on a terminal or in a notebook, for work that takes more than a moment."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import TaskID

PATIENCE = 2.0
"""Seconds of work before a bar appears."""

_wanted = ContextVar("_wanted", default=True)


class Advance(Protocol):
    """Takes note of steps that are done."""

    def __call__(self, steps: int, at: str = "") -> None:
        """Go on by some steps.

        Args:
            steps: Done since the last call.
            at: Where the work is, such as "layer 0" or "batch 3"; shown beside the label. Empty for no change.
        """


@contextmanager
def bars(wanted: bool) -> Iterator[None]:
    """Allow bars within, or none at all, however deep the work that draws one.

    >>> with bars(False), progress("counting", 3) as advance:
    ...     advance(3)
    """
    token = _wanted.set(wanted and _wanted.get())
    try:
        yield
    finally:
        _wanted.reset(token)


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Advance]:
    """Yield a function `advance(steps, at)`; a bar appears on standard error after two seconds of work.

    Work within work has a bar of its own below the other's. In a notebook bars are drawn below the cell, where
    ipywidgets is installed. Where standard error is neither a terminal nor a notebook, as in scripts whose output goes
    to a file, or without rich (the extra "cli"), nothing is drawn. Of several processes the first one draws.

    Args:
        label: What is being done, in a word or two.
        total: The number of steps, or None where it is not known.

    >>> with progress("counting", 3) as advance:
    ...     for number in range(3):
    ...         advance(1, f"number {number}")
    """
    seen = sys.stderr.isatty() or _in_notebook()
    if not (_wanted.get() and seen and find_spec("rich") is not None and _is_first()):
        yield _nothing
        return
    outer = _drawn.get()
    drawn = _Bars() if outer is None else outer
    _drawn.set(drawn)
    task = drawn.begin(label, total)

    def advance(steps: int, at: str = "") -> None:
        drawn.advance(task, steps, f"{label}, {at}" if at else None)

    try:
        yield advance
    finally:
        drawn.end(task)
        _drawn.set(outer)


class _Bars:
    """The bars of one thread, drawn together, one below the other."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self._bars: Progress = Progress(console=Console(stderr=True), transient=True)
        self._started = time.monotonic()
        self._shown = False

    def begin(self, label: str, total: int | None) -> "TaskID":
        return self._bars.add_task(label, total=total)

    def advance(self, task: "TaskID", steps: int, description: str | None) -> None:
        self._bars.update(task, advance=steps, description=description)
        if not self._shown and time.monotonic() - self._started > PATIENCE:
            self._bars.start()
            self._shown = True

    def end(self, task: "TaskID") -> None:
        self._bars.remove_task(task)
        if self._shown and not self._bars.task_ids:
            self._bars.stop()


_drawn: ContextVar[_Bars | None] = ContextVar("_drawn", default=None)
"""The bars of the work around."""


def _nothing(steps: int, at: str = "") -> None:
    """Take no note."""


def _is_first() -> bool:
    """Return whether this is the first of the processes that work together, or the only one."""
    from nfa.common.processes import processes  # torch, which takes a second to import, has been imported by then

    return processes().rank == 0


def _in_notebook() -> bool:
    """Return whether this is the process of a notebook that can draw a bar."""
    return "ipykernel" in sys.modules and find_spec("ipywidgets") is not None
