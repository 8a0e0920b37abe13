"""What would an audit by many processes take? An estimate on paper, from rates that are measured here.

    python -m analyses.benchmark_ranks [--ranks 64] [--rows 10000000] [--network 784x1024x5x10] [--link 1.0]

Measured, on one core: the rate of a float32 matrix product, and how many times its floor a sweep takes on 1,000 rows.
The rest is counted, for one process:

- *compute*: its share of the rows, at the sweep's seconds for 1,000 rows.
- *sums*: what `Accumulator.pool` adds up over all processes: for each layer ten groups of the blocks on and above
  the diagonal of a k x k matrix, float32. A ring sends and receives them twice, over a link of `--link` GB a second,
  which is an assumption. They are sent once, at the end of the pass, whatever the number of rows.
- *reading*: every process reads all rows and keeps its share of each batch; at the rate of a copy in memory.
- *after*: the columns, which every process computes for itself: the whole audit on 1,000 rows less its sweep.
- *memory*: sums, and the rows of a batch of all processes.
"""

import argparse
import statistics

import torch
from rich.console import Console
from rich.table import Table

import nfa
from analyses.benchmark_audit import floor_operations, sweep
from analyses.processor import processor_seconds, product_rate
from nfa.data.batches import GROUPS
from nfa.features.upper_sums import BLOCK, BLOCKS_PER_SIDE
from nfa.probe import BATCH_SIZE

MEASURED_ROWS, ROUNDS = 1000, 3


def upper_entries(k: int) -> int:
    """Return how many entries of a k x k matrix are kept: the blocks on and above its diagonal.

    >>> upper_entries(256), upper_entries(1024) / 1024**2
    (49152, 0.5625)
    """
    side = max(BLOCK, -(-k // BLOCKS_PER_SIDE))
    return sum(min(side, k - start) * (k - start) for start in range(0, k, side))


def copy_rate(size: int = 1 << 24) -> float:
    """Return bytes per second of the processor that a copy in memory takes."""
    source, target = torch.ones(size), torch.empty(size)
    return 4 * size / min(processor_seconds(lambda: target.copy_(source)) for _ in range(3))


def estimate(network: tuple[int, int, int, int], ranks: int, rows: int, link: float) -> dict[str, float]:
    """Return seconds and bytes for one of the processes, by name."""
    d, width, depth, c = network
    net, X = nfa.MLP(d, width, depth, c), torch.randn(MEASURED_ROWS, d)
    operations = floor_operations(net, 1, c)
    found = []
    for _ in range(ROUNDS + 1):
        floor = MEASURED_ROWS * operations / product_rate()
        found.append((floor, processor_seconds(lambda: sweep(net, X)), processor_seconds(lambda: nfa.audit(net, X))))
    floor, swept, audited = (statistics.median(each) for each in zip(*found[1:], strict=True))
    sums = 4 * GROUPS * sum(upper_entries(len(weight)) for weight in net.parameters() if weight.ndim == 2)
    return {
        "multiply-adds a second": MEASURED_ROWS * operations / floor,
        "sweep / floor": swept / floor,
        "compute, s": rows / ranks * swept / MEASURED_ROWS,
        "sums, MB": sums / 1e6,
        "sums, s": 2 * 2 * sums * (ranks - 1) / ranks / (link * 1e9),
        "reading, s": 4 * d * rows / copy_rate(),
        "after, s": audited - swept,
        "memory, MB": (sums + 4 * d * BATCH_SIZE * ranks) / 1e6,
    }


def main() -> None:
    """Print the estimate."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ranks", type=int, default=64, help="processes, of one core each (%(default)s)")
    parser.add_argument("--rows", type=int, default=10_000_000, help="(%(default)s)")
    parser.add_argument("--network", default="784x1024x5x10", help="inputs, width, depth, outputs (%(default)s)")
    parser.add_argument("--link", type=float, default=1.0, help="GB a second between processes (%(default)s)")
    call = parser.parse_args()
    torch.set_num_threads(1)
    d, width, depth, c = (int(each) for each in call.network.split("x"))
    found = estimate((d, width, depth, c), call.ranks, call.rows, call.link)
    table = Table("for one process", "estimate", title=f"{call.ranks} processes, {call.rows:,} rows, {call.network}")
    for name, value in found.items():
        table.add_row(name, f"{value:.3g}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
