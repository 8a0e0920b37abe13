"""Progress bars on a terminal or in a notebook, for work that takes more than a moment."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec

PATIENCE = 2.0
"""Seconds of work before a bar appears."""

_wanted = ContextVar("_wanted", default=True)


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
def progress(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Yield a function `advance(steps)`; a bar appears on standard error after two seconds of work.

    In a notebook it is drawn below the cell, where ipywidgets is installed. Where standard error is neither a terminal
    nor a notebook, or without rich (the extra "cli"), nothing is drawn.

    Args:
        label: What is being done, in a word or two.
        total: The number of steps, or None where it is not known.

    >>> with progress("counting", 3) as advance:
    ...     for _ in range(3):
    ...         advance(1)
    """
    if not (_wanted.get() and (sys.stderr.isatty() or _in_notebook()) and find_spec("rich") is not None):
        yield lambda steps: None
        return
    from rich.console import Console
    from rich.progress import Progress

    started = time.monotonic()
    bar = Progress(console=Console(stderr=True), transient=True)
    task = bar.add_task(label, total=total)
    shown = False

    def advance(steps: int) -> None:
        nonlocal shown
        bar.advance(task, steps)
        if not shown and time.monotonic() - started > PATIENCE:
            bar.start()
            shown = True

    try:
        yield advance
    finally:
        if shown:
            bar.stop()


def _in_notebook() -> bool:
    """Return whether this is the process of a notebook that can draw a bar."""
    return "ipykernel" in sys.modules and find_spec("ipywidgets") is not None
