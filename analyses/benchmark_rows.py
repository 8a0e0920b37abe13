"""Does an audit of many rows, read from a file, take time in proportion to them and no memory?

    python -m analyses.benchmark_rows [--rows 10000,200000,1000000] [--format npy,parquet] [--folder DIR]

A network of 784 inputs, three hidden layers of width 256 and 10 outputs; rows and targets as a user keeps them: an
`.npy` file opened by `nfa.data.stream`, which memory-maps it, beside an array of classes; or a `.parquet` file of
10,000 rows a group, with a column of classes. Each audit (all default columns, with score and interval) has a process
of its own.

- *seconds*: of the clock, and of the processor with one thread, for the call of `nfa.audit` alone.
- *anonymous MB*: the most memory that is no file's (`RssAnon`, read 50 times a second), Python and torch included; and
  *above the start*, what came on top when the audit began.

1,000,000 rows take 3.1 GB on disk in either format, written into the folder and removed at the end.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

D, WIDTH, DEPTH, CLASSES, AT_ONCE = 784, 256, 3, 10, 10_000
ROWS, FORMATS = "10000,200000,1000000", "npy,parquet"


def written(folder: Path, form: str, rows: int) -> Path:
    """Write rows into a file, a part at a time."""
    path, generator = folder / f"rows.{form}", np.random.default_rng(0)
    if form == "npy":
        X = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, D))
        for start in range(0, rows, AT_ONCE):
            X[start : start + AT_ONCE] = generator.standard_normal((min(AT_ONCE, rows - start), D), dtype=np.float32)
        return path
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [f"x{number}" for number in range(D)]
    schema = pa.schema([*((name, pa.float32()) for name in names), ("label", pa.int64())])
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for start in range(0, rows, AT_ONCE):
            count = min(AT_ONCE, rows - start)
            part = generator.standard_normal((D, count), dtype=np.float32)
            writer.write_table(pa.table([*part, np.arange(start, start + count) % CLASSES], schema=schema))
    return path


def anonymous() -> int:
    """Bytes of this process's memory that is no file's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def audited(path: Path, rows: int) -> dict[str, float]:
    """Audit in this process, and say what it took."""
    import torch

    import nfa
    from nfa.data import stream

    torch.set_num_threads(1)
    table = path.suffix == ".parquet"
    net = nfa.MLP(D, WIDTH, DEPTH, CLASSES)
    nfa.audit(net, np.ones((20, D), np.float32))  # what is loaded once is not the audit's
    start, peaks, done = anonymous(), [anonymous()], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peaks.append(anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    clock, processor = time.perf_counter(), time.process_time()
    data = stream(path, target="label") if table else (stream(path), np.arange(rows) % CLASSES)
    nfa.audit(net, data)
    took = time.perf_counter() - clock, time.process_time() - processor
    done.set()
    watcher.join()
    return {"clock": took[0], "processor": took[1], "start": start / 1e6, "peak": max(peaks) / 1e6}


def in_a_process(path: Path, rows: int) -> dict[str, float]:
    """Run `audited` in a new process."""
    call = [sys.executable, "-m", "analyses.benchmark_rows", "--alone", str(path), "--rows", str(rows)]
    done = subprocess.run(call, check=True, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", default=ROWS, help="numbers of rows (%(default)s)")
    parser.add_argument("--format", default=FORMATS, help="(%(default)s)")
    parser.add_argument("--folder", type=Path, help="where the files are written; a temporary folder by default")
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    call, console = parser.parse_args(), Console(width=140)
    if call.alone:
        console.file.write(json.dumps(audited(call.alone, int(call.rows))) + "\n")
        return
    table = Table("file", "rows", "seconds", "of the processor", "per 1,000 rows", "anonymous MB", "above the start")
    with tempfile.TemporaryDirectory(dir=call.folder) as folder:
        for form in call.format.split(","):
            for rows in map(int, call.rows.split(",")):
                path = written(Path(folder), form, rows)
                found = in_a_process(path, rows)
                path.unlink()
                seconds, peak = found["processor"], found["peak"]
                cells = (f"{found['clock']:.1f}", f"{seconds:.1f}", f"{1000 * seconds / rows:.4f}", f"{peak:.0f}")
                table.add_row(form, f"{rows:,}", *cells, f"{peak - found['start']:.0f}")
    console.print(table)


if __name__ == "__main__":
    main()
