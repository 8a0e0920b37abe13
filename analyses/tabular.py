"""How good are recursive feature machines on tabular data? Accuracy of several methods on UCI classification sets.

    python -m analyses.tabular --data FOLDER

Every method is fitted on the training rows of a fold and scored on its test rows; whatever it chooses, it chooses on
the training rows. One row of the table is one data set, fold and method: `dataset, n, d, classes, fold, method,
accuracy, seconds, chosen`. `seconds` are processor seconds in a single thread, to fit, tuning included, and score;
`chosen` is JSON. Rows are written as they are done, the smallest data sets first, and what is in the table already is
not computed again: the run may be stopped at any time.

The summary has these numbers for each method. A data set's accuracy is the mean over its four folds, and only data
sets for which all compared methods have all four count:

- mean: mean accuracy over the data sets.
- P90, P95: on how many of the data sets, in percent, the method's accuracy is at least 90 % or 95 % of the best
  accuracy of any compared method.
- PMA, percentage of the maximum accuracy: the mean over data sets of the accuracy divided by the best of any method.
- rank, Friedman's: the mean over data sets of the method's rank, 1 for the best, ties averaged. Lower is better.
"""

import argparse
import csv
import io
import json
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from analyses.tabular_rfm import run_authors, run_cv, run_inside_fold
from analyses.tabular_rivals import RIVALS
from analyses.tabular_summary import CELL, COLUMNS, print_summary, read_table, whole_lines
from nfa.common import InputError
from nfa.common.checks import one_of, positive
from nfa.data.uci import FOLDS, UciSet, read_uci, uci_names

DATA, OUT, MAX_ROWS = "../shared/data/uci", "analyses/results/tabular.csv", 5000
LEFT_OUT = ("trains",)
"""Ten rows: the authors' protocol has no valid choice there."""

Method = Callable[[UciSet, int, int], dict[str, Any]]
"""(data set, fold, seed) -> `accuracy` on the fold's test rows, and whatever was chosen on the way."""


def run_rival(name: str, data: UciSet, fold: int, seed: int) -> dict[str, Any]:
    """Tune and fit one of `RIVALS` on a fold's training rows, and score it on its test rows."""
    train, test = data.folds[fold]
    estimator = RIVALS[name](seed).fit(data.X[train], data.y[train])
    # `svc__C` and the like: the step of the pipeline says nothing that the method's name does not.
    chosen = {key.rpartition("__")[2]: value for key, value in estimator.best_params_.items()}
    return {"accuracy": estimator.score(data.X[test], data.y[test]), **chosen}


METHODS: dict[str, Method] = {
    "rfm_authors": run_authors,
    "rfm_inside_fold": run_inside_fold,
    "rfm_cv": run_cv,
    **{name: partial(run_rival, name) for name in RIVALS},
}


@dataclass(frozen=True)
class Cell:
    """What is computed at a time: one method on one fold of one data set."""

    dataset: str
    fold: int
    method: str


def compute(folder: str, cell: Cell, seed: int) -> dict[str, Any]:
    """Compute one row of the table."""
    data = read_uci(folder, cell.dataset)
    started = time.process_time()  # not the clock: other work may share the machine, and the run may be halted
    found = METHODS[cell.method](data, cell.fold, seed)
    seconds = time.process_time() - started
    n, d = data.X.shape
    return {
        "dataset": cell.dataset,
        "n": n,
        "d": d,
        "classes": data.n_classes,
        "fold": cell.fold,
        "method": cell.method,
        "accuracy": f"{found.pop('accuracy'):.9f}",
        "seconds": f"{seconds:.2f}",
        "chosen": json.dumps(found),
    }


def start_worker() -> None:
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


def results(folder: str, cells: list[Cell], seed: int, jobs: int) -> Iterator[tuple[Cell, Future[dict[str, Any]]]]:
    """Yield every cell's outcome as soon as it is there; the cells are begun in the given order."""
    if jobs == 1:
        yield from results_here(folder, cells, seed)
        return
    # Forked processes keep this one's command line, by which they can be halted together. Nothing has run threads yet.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=start_worker) as pool:
        waiting = iter(cells)
        running: dict[Future[dict[str, Any]], Cell] = {}
        while True:
            # Handed over one by one, so that an interruption leaves no queue behind.
            while len(running) < jobs and (cell := next(waiting, None)) is not None:
                running[pool.submit(compute, folder, cell, seed)] = cell
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future


def results_here(folder: str, cells: list[Cell], seed: int) -> Iterator[tuple[Cell, Future[dict[str, Any]]]]:
    """Yield every cell's outcome, computed in this process and a single thread."""
    import torch
    from threadpoolctl import threadpool_limits

    for cell in cells:
        future: Future[dict[str, Any]] = Future()
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with threadpool_limits(1):
                future.set_result(compute(folder, cell, seed))
        except Exception as error:
            future.set_exception(error)
        finally:
            torch.set_num_threads(threads)
        yield cell, future


def as_line(values: list[Any]) -> bytes:
    r"""One line of the table.

    >>> as_line(["iris", '{"C": 1.0}'])
    b'iris,"{""C"": 1.0}"\n'
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()


def append(table: Path, row: dict[str, Any]) -> None:
    """Write one row in a single piece, so that a line is there whole, or torn at the end of the file."""
    with table.open("ab", buffering=0) as file:
        file.write(as_line([row[column] for column in COLUMNS]))


def open_table(table: Path) -> set[Cell]:
    """Make the table, or mend it where the last line is torn, and return what it has.

    Raises:
        InputError: it has other columns, or a line that is none of this table.
    """
    table.parent.mkdir(parents=True, exist_ok=True)
    text = table.read_bytes() if table.exists() else b""
    whole = whole_lines(text)
    if not whole:
        table.write_bytes(as_line(list(COLUMNS)))
        return set()
    rows = read_table(table)
    if len(whole) < len(text):
        with table.open("r+b") as file:
            file.truncate(len(whole))
    return {Cell(*cell) for cell in rows[CELL].itertuples(index=False)}


def plan(folder: str, sets: list[str], methods: list[str], max_rows: int) -> tuple[list[Cell], list[str]]:
    """Return what there is to compute, the cheapest data sets first, and the sets that are too large."""
    costs, large = {}, []
    for name in sets:
        data = read_uci(folder, name)
        n, d = data.X.shape
        if n > max_rows:
            large.append(name)
        else:
            costs[name] = n * d * data.n_classes
    ordered = sorted(costs, key=lambda name: (costs[name], name))
    return [Cell(name, fold, method) for name in ordered for method in methods for fold in range(FOLDS)], large


def run(
    folder: str,
    table: Path,
    *,
    methods: list[str],
    sets: list[str] | None = None,
    jobs: int = 2,
    max_rows: int = MAX_ROWS,
    seed: int = 0,
    console: Console,
) -> int:
    """Compute what the table lacks; return the number of cells that failed.

    Raises:
        InputError: a name, the data or the table cannot be used.
    """
    known = uci_names(folder)
    chosen = [one_of("sets", name, known) for name in sets] if sets else [n for n in known if n not in LEFT_OUT]
    cells, large = plan(folder, chosen, [one_of("methods", name, METHODS) for name in methods], max_rows)
    if large:
        console.print(f"Left out, more than {max_rows} rows: {', '.join(large)}.")
    done = open_table(table)
    todo = [cell for cell in cells if cell not in done]
    console.print(f"{len(cells)} cells, {len(cells) - len(todo)} of them done already.")
    started, failed = time.monotonic(), 0
    for number, (cell, future) in enumerate(results(folder, todo, seed, positive("jobs", jobs)), 1):
        where = f"{cell.dataset}, fold {cell.fold}, {cell.method}"
        if (error := future.exception()) is not None:
            failed += 1
            console.print(f"{where}: failed, {type(error).__name__}: {error}", markup=False)
            continue
        row = future.result()
        append(table, row)
        clock = time.strftime("%H:%M:%S", time.gmtime(time.monotonic() - started))
        console.print(f"{clock} {number} of {len(todo)}: {where}: {float(row['accuracy']):.4f}, {row['seconds']} s")
    return failed


def words(text: str) -> list[str]:
    """Divide a list with commas.

    >>> words("svm,mlp")
    ['svm', 'mlp']
    """
    return text.split(",")


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m analyses.tabular", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", default=DATA, help="folder of the data sets (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path(OUT), help="the table (%(default)s)")
    names = ", ".join(METHODS)
    parser.add_argument("--methods", type=words, help=f"which, with commas (all: {names})")
    parser.add_argument("--sets", type=words, help="which data sets, with commas (all but trains)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (%(default)s)")
    parser.add_argument("--max-rows", type=int, default=MAX_ROWS, help="leave larger sets out (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of whatever is random (%(default)s)")
    parser.add_argument("--summary", action="store_true", help="only print the summary of the table")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> int:
    """Compute what is missing, print the summary; return the exit status."""
    options = arguments(given)
    console = Console(highlight=False, soft_wrap=True)
    failed = 0
    try:
        if not options.summary:
            failed = run(
                options.data,
                options.out,
                methods=options.methods or list(METHODS),
                sets=options.sets,
                jobs=options.jobs,
                max_rows=options.max_rows,
                seed=options.seed,
                console=console,
            )
        print_summary(options.out, options.methods, console, options.sets)
    except InputError as error:
        Console(stderr=True).print(str(error), markup=False, style="red")
        return 2
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
