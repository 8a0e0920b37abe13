"""What does a light audit during training cost beside its sweep, and what do random probes do to its numbers?

    python -m analyses.benchmark_tracking [--threads 1] [--probes]

*Sweep*: everything from the network to S of all layers (`nfa.features.agop`): finding the layers, then one forward pass
over the tracker's 512 rows and a backward pass for each output. *Audit*: `Tracker.record` of the default columns, with
targets, the network's weights moved a little before each. Networks as in `nfa train`: hidden layers of one width, ReLU.
Both are taken in turn. Times are medians over rounds, in seconds of the wall clock and of the processor (all threads
together; `--threads 1` for one). Ratios are of the processor's seconds: the median over rounds, and that of the sums
over all rounds, which have the tracker's occasional look in float64 among them. *Counted* is what multiply-adds alone
give: those of the sweep, and of the products WW', W'W, W W0' and S WW' (by symmetry where it helps) over them.
Triangular factors of S and W0 would need a few less. A ratio below it would need faster products, not fewer passes.

With `--probes`, no times: cosine and alignment of trained networks of 100 classes by random probes, less those by exact
sweeps, in means and deviations over 20 seeds. A bias is a mean beyond two standard errors from 0.
"""

import argparse
import itertools
import statistics

import pandas as pd
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

import nfa
from analyses.processor import seconds
from nfa.features import agop
from nfa.network import MLP, train

ROWS, ROUNDS, SEEDS = 512, 16, 20
SIZES = ((64, 128, 3, 10), (784, 256, 3, 10), (784, 1024, 3, 10), (3072, 1024, 5, 10))
"""Inputs, width, hidden layers, outputs."""
CLASSES, PROBES = 100, (1, 2, 4, 8, 16)
FEW, MANY = 64, 512
"""Rows of the networks whose probes are looked at."""


def setting(d: int, c: int, n: int) -> tuple[Tensor, Tensor]:
    """Return rows and the class of each: the largest of c linear functions."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(n, d, generator=generator)
    return X, (X @ torch.randn(d, c, generator=generator)).argmax(1)


def cost(d: int, width: int, depth: int, c: int) -> dict[str, float]:
    """Return medians of the seconds of a sweep and of an audit, by the clock and the processor, and their ratios."""
    X, y = setting(d, c, ROWS)
    net = MLP(d, width, depth, c)
    tracker = nfa.Tracker(net, (X, y), init=MLP(d, width, depth, c, seed=1), samples=None)
    epochs = iter(range(10**6))
    rounds = []
    for _ in range(ROUNDS + 1):
        with torch.no_grad():
            for parameter in net.parameters():
                parameter *= 1.001
        sweep = seconds(lambda: agop(net, X))
        rounds.append((*sweep, *seconds(lambda: tracker.record(epoch=next(epochs)))))
    columns = list(zip(*rounds[1:], strict=True))  # the first round warms up
    names = ("sweep", "sweep's processor", "audit", "audit's processor")
    found = dict(zip(names, map(statistics.median, columns), strict=True))
    found["ratio"] = statistics.median(row[3] / row[1] for row in rounds[1:])
    return found | {"ratio of sums": sum(columns[3]) / sum(columns[1])}


def counted(d: int, width: int, depth: int, c: int) -> float:
    """Return the ratio that multiply-adds alone give, all at one rate."""
    sizes = [d, *[width] * depth, c]
    sweep = products = 0.0
    for number, (inputs, k) in enumerate(itertools.pairwise(sizes)):
        # Forward, S by symmetry, and back to the layer's inputs, except for the first.
        sweep += ROWS * (inputs * k + c * k * k / 2 + (c * inputs * k if number else 0))
        if inputs < k:  # W'W and W'(SW) by symmetry, SW
            products += inputs * inputs * k + k * k * inputs
        else:  # WW' by symmetry, SWW', and <W'W, W0'W0> from W'W by symmetry or from W W0'
            products += k * k * inputs / 2 + k**3 + min(inputs * inputs * k / 2, k * k * inputs)
    return 1 + products / sweep


def probed() -> pd.DataFrame:
    """Return the differences that random probes make, for a trained network, layer by layer."""
    X, y = setting(32, CLASSES, 4000)
    data = nfa.Dataset(X.numpy(), y.numpy())
    net = train(MLP(32, 128, 2, CLASSES), data, epochs=20, lr=3e-3, loss="cross_entropy").net
    columns = ["cosine", "alignment"]
    rows = []
    for n in (FEW, MANY):
        exact = nfa.audit(net, X[:n], columns=columns)
        for probes in PROBES:
            for seed in range(SEEDS):
                found = nfa.audit(net, X[:n], columns=columns, probes=probes, seed=seed)
                for layer, other in zip(found, exact, strict=True):
                    if not other["trivial"]:
                        rows += [
                            {"n": n, "probes": probes, "layer": layer["name"], "column": name, "exact": other[name],
                             "difference": layer[name] - other[name]}
                            for name in columns
                        ]  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    """Print one of the two tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--probes", action="store_true", help="what random probes do to the numbers")
    parser.add_argument("--threads", type=int, help="of torch; as many as it takes by itself")
    call, console = parser.parse_args(), Console(width=140)
    if call.threads is not None:
        torch.set_num_threads(call.threads)
    if call.probes:
        groups = probed().groupby(["column", "n", "layer", "probes"], sort=False)
        table = Table("column", "rows", "layer", "probes", "exact", "mean difference", "standard error", "deviation")
        for (column, n, layer, probes), own in groups:
            mean, deviation = own["difference"].mean(), own["difference"].std()
            numbers = [
                f"{own['exact'].iloc[0]:.3f}",
                f"{mean:+.4f}",
                f"{deviation / SEEDS**0.5:.4f}",
                f"{deviation:.4f}",
            ]
            table.add_row(column, str(n), layer, str(probes), *numbers)
    else:
        times = ("sweep", "sweep's processor", "audit", "audit's processor")
        ratios = ("ratio", "ratio of sums")
        table = Table("inputs, width, hidden layers, outputs", *times, *ratios, "counted")
        for size in SIZES:
            found = cost(*size)
            cells = [f"{1e3 * found[name]:.0f} ms" for name in times] + [f"{found[name]:.2f}" for name in ratios]
            table.add_row(", ".join(map(str, size)), *cells, f"{counted(*size):.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
