"""Compute cells one after the other, in this process or in several, each with a single thread."""

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

from analyses.analysis import Cell, Options, Row, named

Done = tuple[list[Row], float]
"""A cell's rows, and the processor seconds that they took."""


def computed(name: str, cells: Iterable[Cell], options: Options, jobs: int) -> Iterator[tuple[Cell, Future[Done]]]:
    """Yield every cell's outcome as soon as it is there; the cells are begun in the given order."""
    if jobs == 1:
        yield from _here(name, cells, options)
        return
    # Forked processes keep this one's command line, by which they can be halted together. Nothing has run threads yet.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_start) as pool:
        waiting = iter(cells)
        running: dict[Future[Done], Cell] = {}
        while True:
            # Handed over one by one, so that an interruption leaves no queue behind.
            while len(running) < jobs and (cell := next(waiting, None)) is not None:
                running[pool.submit(_compute, name, cell, options)] = cell
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future


def _compute(name: str, cell: Cell, options: Options) -> Done:
    started = time.process_time()  # not the clock: other work may share the machine, and the run may be halted
    rows = list(named(name).rows(cell, options))
    return rows, time.process_time() - started


def _here(name: str, cells: Iterable[Cell], options: Options) -> Iterator[tuple[Cell, Future[Done]]]:
    import torch
    from threadpoolctl import threadpool_limits

    for cell in cells:
        future: Future[Done] = Future()
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with threadpool_limits(1):
                future.set_result(_compute(name, cell, options))
        except Exception as error:  # whatever it is, it concerns this cell alone
            future.set_exception(error)
        finally:
            torch.set_num_threads(threads)
        yield cell, future


def _start() -> None:
    """Keep this process to one thread, and end it with the parent, however that ends."""
    os.environ["OMP_NUM_THREADS"] = "1"  # libraries that are not loaded yet
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    threadpool_limits(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)  # the main thread may wait for work that never comes

    threading.Thread(target=follow, daemon=True).start()
