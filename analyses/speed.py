"""How does the time of an audit grow with a network's width?

Claim: an exact audit costs a few sweeps, and a sweep little more than the multiply-adds that no exact method can do
without. Refuted where `audit` leaves `agop` behind as layers get wider, or `agop` the `floor`.

Networks as in `nfa train`: 3 hidden layers of one width, ReLU, 784 inputs, 10 outputs; 1,000 rows, float32. Seconds
are of the processor, with one thread, so that other work on the machine disturbs them little. All parts are taken in
turn, a row for each round (`round`) and `part`:

- `audit`: `nfa.audit` without init, all default columns.
- `agop`: from the network to S of all layers, by group as the interval needs it.
- `baseline`: what one would write first: `vmap(jacrev)` layer by layer, the cosine alone.
- `floor`: multiply-adds of `agop` (see `analyses.benchmark_audit`), at the rate of a matrix product measured right
  before.
"""

from collections.abc import Iterator

import pandas as pd
import torch

import nfa
from analyses.analysis import Analysis, Cell, Options, Row
from analyses.benchmark_audit import baseline, floor_operations, sweep
from analyses.processor import processor_seconds, product_rate

WIDTHS = (64, 128, 256, 512, 1024, 2048)
BASE = {"d": 784, "depth": 3, "c": 10, "n": 1000, "rounds": 3}
QUICK = {"d": 16, "depth": 2, "c": 3, "n": 40, "rounds": 1}
PARTS = ("audit", "agop", "baseline", "floor")


def cells(options: Options) -> list[Cell]:
    """A cell for each width."""
    widths = (8, 16) if options.quick else WIDTHS
    return [{"width": width, **(QUICK if options.quick else BASE)} for width in widths]


def rows(cell: Cell, options: Options) -> Iterator[Row]:
    """Take the parts in turn, round by round; the first round warms up."""
    torch.set_num_threads(1)
    net = nfa.MLP(cell["d"], cell["width"], cell["depth"], cell["c"])
    X = torch.randn(cell["n"], cell["d"], generator=torch.Generator().manual_seed(0))
    operations = floor_operations(net, cell["n"], cell["c"])
    for number in range(cell["rounds"] + 1):
        found = {
            "floor": operations / product_rate(256 if options.quick else 2048),
            "agop": processor_seconds(lambda: sweep(net, X)),
            "audit": processor_seconds(lambda: nfa.audit(net, X)),
            "baseline": processor_seconds(lambda: baseline(net, X)),
        }
        if number:
            for part in PARTS:
                yield {"round": number, "part": part, "processor_seconds": found[part]}


def medians(table: pd.DataFrame) -> pd.DataFrame:
    """Return the median seconds over rounds: a row for each width, a column for each part."""
    found = table.groupby(["width", "part"])["processor_seconds"].median().unstack("part")
    return found[list(PARTS)].sort_index()


def findings(table: pd.DataFrame) -> list[str]:
    """One sentence for each width."""
    return [_sentence(int(width), seconds) for width, seconds in medians(table).iterrows()]


def _sentence(width: int, seconds: "pd.Series[float]") -> str:
    audit, agop, baseline_, floor = (float(seconds[part]) for part in PARTS)
    return (
        f"Width {width}: the audit takes {audit:.3g} s of the processor, {audit / agop:.2f} sweeps and "
        f"{audit / baseline_:.2f} times the baseline; the sweep is {agop / floor:.2f} times the floor."
    )


ANALYSIS = Analysis(cells, rows, findings)
