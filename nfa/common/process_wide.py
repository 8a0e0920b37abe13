"""Changes of settings that all threads of a process share."""

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager


def process_wide(change: Callable[[], Iterator[None]]) -> Callable[[], AbstractContextManager[None]]:
    """Return a change as a context manager for several threads: the first one in makes it, the last one out undoes it.

    Threads may leave in another order than they came in. If each restored what it had found, the change of one could
    stay for good.

    Args:
        change: A generator function that makes the change, yields once, and undoes it.

    >>> shared = {"digits": 3}
    >>> @process_wide
    ... def all_digits():
    ...     before, shared["digits"] = shared["digits"], 16
    ...     yield
    ...     shared["digits"] = before
    >>> one, two = ExitStack(), ExitStack()
    >>> for stack in (one, two):
    ...     stack.enter_context(all_digits())
    >>> one.close(); shared["digits"]
    16
    >>> two.close(); shared["digits"]
    3
    """
    once = contextmanager(change)
    lock = threading.Lock()
    undoing = ExitStack()
    inside = 0

    @functools.wraps(change)
    @contextmanager
    def counted() -> Iterator[None]:
        nonlocal inside
        with lock:
            if inside == 0:
                undoing.enter_context(once())
            inside += 1
        try:
            yield
        finally:
            with lock:
                inside -= 1
                if inside == 0:
                    undoing.close()

    return counted
