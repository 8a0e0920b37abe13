"""How fast is an audit? Times whole audits in sweeps and against the plain way, in one run.

    python -m analyses.benchmark_audit [--device cuda] [--networks 784-5x1024,64-2x4096]
    python -m analyses.benchmark_audit --sweep [--sizes 784x10,3072x10,27648x2]
    python -m analyses.benchmark_audit --linear

Relu, no bias, float32. By default the table of whole audits, without init and with all columns:

- *sweep*: everything from the network to S of all layers (or their few rows), kept by group as the interval needs.
- *audit, in sweeps*: the whole audit over the sweep, and *times faster* the baseline over the whole audit: medians of
  the ratios of three rounds, each of which times all three.
- *baseline*: what one would write first, and what the authors' scripts do. Each layer's subnetwork built of
  `F.linear`, `vmap(jacrev)` in chunks of 100 rows, `einsum` to d x d, cosine in float64. Cosines are all that it finds.
  Of the widest networks, one audit alone is timed.
- *memory*: peak resident memory above network and data, in a process of its own. On a GPU, peak allocated memory there.

With `--sweep`, the sweep against the floor, n = 1000 rows and 5 hidden layers of width 1024:

- *floor*: n sum d_l k_l (forward) + n c sum_(l>1) d_l k_l (backward) + n c sum k_l^2 / 2 (S, by symmetry)
  multiply-adds, at the rate of a float32 matrix product (4096 x 4096) measured right before each sweep.
- Times are medians of seven rounds; ratios are medians of the rounds' ratios, so that a machine whose speed drifts does
  no harm. The baseline is the faster of two runs.
- *rest*: the whole audit less the sweep, in sweeps, without and with the network before training.

With `--linear`, the sweep's time and the audit's memory for 1, 2, 4 and 8 thousand rows instead.
"""

import argparse
import copy
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.func import jacrev, vmap

import nfa
from nfa.features.measuring import measure
from nfa.probe import Probe

SIZES = ((784, 10), (3072, 10), (27648, 2))
ROWS, WIDTH, DEPTH, ROUNDS = 1000, 1024, 5, 7


@dataclass(frozen=True)
class Case:
    """A network of the table of whole audits, and its data.

    Args:
        d, depth, width, c: Inputs, hidden layers, their width, outputs.
        n: Rows.
        plain: Whether the baseline is timed too.
    """

    d: int
    depth: int
    width: int
    c: int
    n: int
    plain: bool

    @property
    def name(self) -> str:
        """As in "784-5x1024"."""
        return f"{self.d}-{self.depth}x{self.width}"


CASES = (
    Case(784, 5, 1024, 10, 1000, True),
    Case(3072, 5, 1024, 10, 1000, True),
    Case(784, 3, 2048, 10, 1000, True),
    Case(64, 2, 4096, 4, 256, False),
    Case(64, 2, 16384, 4, 256, False),
)


def setting(
    d: int, c: int, n: int, device: str, width: int = WIDTH, depth: int = DEPTH
) -> tuple[nfa.MLP, nfa.MLP, Tensor]:
    """A network whose weights have moved, the network it came from, and data."""
    init = nfa.MLP(d, width, depth, c, seed=0)
    net = copy.deepcopy(init)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in net.parameters():
            weight += 0.3 * weight.std() * torch.randn(weight.shape, generator=generator)
    return net.to(device), init.to(device), torch.randn(n, d, generator=generator).to(device)


def timed(work: Callable[[], object], device: str) -> float:
    """Seconds that some work takes."""
    if device != "cpu":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def product_rate(device: str) -> float:
    """Multiply-adds per second of a float32 matrix product."""
    A = torch.randn(4096, 4096, device=device)
    return 4096**3 / min(timed(lambda: A @ A, device) for _ in range(2))


def floor_operations(net: nfa.MLP, n: int, c: int) -> float:
    """Multiply-adds that no exact method can do without."""
    shapes = [tuple(layer.weight.shape) for layer in net.layers]
    forward = sum(k * d for k, d in shapes)
    backward = c * sum(k * d for k, d in shapes[1:])
    outer = c * sum(k * k for k, d in shapes) / 2
    return n * (forward + backward + outer)


def baseline(net: nfa.MLP, X: Tensor) -> list[float]:
    """The plain way: cosine(NFM, AGOP) of every layer from whole Jacobians."""
    weights = [layer.weight.detach() for layer in net.layers]
    h, found = X, []
    for number, W in enumerate(weights):

        def rest(row: Tensor, tail: list[Tensor] = weights[number:]) -> Tensor:
            for i, V in enumerate(tail):
                row = F.linear(F.relu(row) if i else row, V)
            return row

        agop = torch.zeros(W.shape[1], W.shape[1], device=X.device)
        for rows in h.split(100):
            J = vmap(jacrev(rest))(rows)
            agop += torch.einsum("ncd,nce->de", J, J)
        found.append(cosine_in_float64(W.T @ W, agop))
        h = F.relu(F.linear(h, W))
    return found


def cosine_in_float64(A: Tensor, B: Tensor) -> float:
    """The cosine of two float32 matrices, each product and sum in float64; by rows, or the largest would not fit."""
    inner = square_a = square_b = 0.0
    for a, b in zip(A.split(1024), B.split(1024), strict=True):
        a, b = a.double().flatten(), b.double().flatten()
        inner, square_a, square_b = inner + float(a @ b), square_a + float(a @ a), square_b + float(b @ b)
    return inner / (square_a * square_b) ** 0.5


def sweep(net: nfa.MLP, X: Tensor) -> None:
    """From the network to S of all layers, by group."""
    with Probe(net, X) as probe:
        for _ in measure(probe, probe.layers):
            pass


def peak_memory(kind: str, d: int, c: int, n: int, device: str, width: int = WIDTH, depth: int = DEPTH) -> float:
    """Peak memory in MB above network, init and data, in a process of its own."""
    numbers = [str(each) for each in (d, c, n, width, depth)]
    command = [sys.executable, "-m", "analyses.benchmark_audit", "--memory", kind, device, *numbers]
    root = Path(__file__).parent.parent
    return float(json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=root).stdout))


def measure_memory(kind: str, device: str, d: int, c: int, n: int, width: int, depth: int) -> float:
    """What `peak_memory` runs: peak less what was held before, in MB."""
    net, init, X = setting(d, c, n, device, width, depth)
    if kind == "alone":
        del init
    nfa.audit(*_small(device))  # what is loaded once is not the audit's
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    else:
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
        before = resident("VmRSS")
    if kind == "sweep":
        sweep(net, X)
    elif kind == "alone":
        nfa.audit(net, X)
    else:
        nfa.audit(net, X, init)
    if device != "cpu":
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    return (resident("VmHWM") - before) / 1e6


def resident(key: str) -> int:
    """Bytes of this process's memory as Linux counts it: VmRSS now, VmHWM at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def whole_audits(cases: list[Case], device: str) -> Table:
    """The table of whole audits."""
    table = Table(title=f"whole audits without init, {device}, {torch.get_num_threads()} threads")
    for heading in ("network", "n, c", "baseline s", "sweep s", "audit s", "audit, in sweeps", "times faster", "MB"):
        table.add_column(heading, justify="right")
    nfa.audit(*_small(device))  # what is loaded once is no audit's
    for case in cases:
        net, _, X = setting(case.d, case.c, case.n, device, case.width, case.depth)
        sweeps, audits, plain = [], [], []
        for _ in range(3 if case.plain else 1):
            sweeps.append(timed(partial(sweep, net, X), device))
            audits.append(timed(partial(nfa.audit, net, X), device))
            if case.plain:
                plain.append(timed(partial(baseline, net, X), device))
        del net
        faster = [p / a for p, a in zip(plain, audits, strict=True)] if plain else []
        table.add_row(
            case.name,
            f"{case.n}, {case.c}",
            f"{statistics.median(plain):.2f}" if plain else "",
            f"{statistics.median(sweeps):.2f}",
            f"{statistics.median(audits):.2f}",
            f"{statistics.median(a / s for a, s in zip(audits, sweeps, strict=True)):.2f}",
            f"{statistics.median(faster):.2f}" if faster else "",
            f"{peak_memory('alone', case.d, case.c, case.n, device, case.width, case.depth):.0f}",
        )
    return table


def _small(device: str) -> tuple[nfa.MLP, Tensor]:
    return nfa.MLP(8, 8, 1, 2).to(device), torch.randn(20, 8, device=device)


def compare(sizes: list[tuple[int, int]], device: str) -> Table:
    """The table of the sweep against the floor."""
    table = Table(
        title=f"n = {ROWS}, {DEPTH} hidden layers of width {WIDTH}, {device}, {torch.get_num_threads()} threads"
    )
    for heading in ("d, c", "baseline s", "sweep s", "times faster", "floor s", "sweep/floor"):
        table.add_column(heading, justify="right")
    for heading in ("rest, sweeps", "with init, sweeps", "sweep MB", "audit MB"):
        table.add_column(heading, justify="right")
    for d, c in sizes:
        net, init, X = setting(d, c, ROWS, device)
        operations = floor_operations(net, ROWS, c)
        floors, sweeps, alone, against = [], [], [], []
        timed(lambda net=net, X=X: sweep(net, X), device)
        for _ in range(ROUNDS):
            floors.append(operations / product_rate(device))
            sweeps.append(timed(partial(sweep, net, X), device))
        for _ in range(3):
            once = timed(lambda net=net, X=X: sweep(net, X), device)
            alone.append(timed(lambda net=net, X=X: nfa.audit(net, X), device) / once - 1)
            against.append(timed(lambda net=net, X=X, init=init: nfa.audit(net, X, init), device) / once - 1)
        plain = min(timed(lambda net=net, X=X: baseline(net, X), device) for _ in range(2))
        typical = statistics.median(sweeps)
        table.add_row(
            f"{d}, {c}",
            f"{plain:.2f}",
            f"{typical:.3f}",
            f"{plain / typical:.1f}",
            f"{statistics.median(floors):.3f}",
            f"{statistics.median(s / f for s, f in zip(sweeps, floors, strict=True)):.2f}",
            f"{statistics.median(alone):.2f}",
            f"{statistics.median(against):.2f}",
            f"{peak_memory('sweep', d, c, ROWS, device):.0f}",
            f"{peak_memory('audit', d, c, ROWS, device):.0f}",
        )
    return table


def scaling(device: str) -> Table:
    """Time and memory against n."""
    table = Table(title=f"d = 784, c = 10, {DEPTH} hidden layers of width {WIDTH}, {device}")
    for heading in ("n", "sweep s", "s per 1000 rows", "audit MB"):
        table.add_column(heading, justify="right")
    for n in (1000, 2000, 4000, 8000):
        net, _, X = setting(784, 10, n, device)
        seconds = min(timed(lambda net=net, X=X: sweep(net, X), device) for _ in range(2))
        megabytes = peak_memory("audit", 784, 10, n, device)
        table.add_row(str(n), f"{seconds:.2f}", f"{1000 * seconds / n:.3f}", f"{megabytes:.0f}")
    return table


def main() -> None:
    """Parse the arguments, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cpu")
    names = ",".join(case.name for case in CASES)
    parser.add_argument("--networks", default=names, help="of the table of whole audits")
    parser.add_argument("--sweep", action="store_true", help="the sweep against the floor instead")
    parser.add_argument("--sizes", default=",".join(f"{d}x{c}" for d, c in SIZES))
    parser.add_argument("--linear", action="store_true", help="time and memory against n instead")
    parser.add_argument("--memory", nargs=7, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        kind, device, *numbers = arguments.memory
        d, c, n, width, depth = map(int, numbers)
        sys.stdout.write(json.dumps(measure_memory(kind, device, d, c, n, width, depth)))
        return
    console = Console(width=None if sys.stdout.isatty() else 160)
    if arguments.linear:
        console.print(scaling(arguments.device))
        return
    if not arguments.sweep:
        wanted = arguments.networks.split(",")
        console.print(whole_audits([case for case in CASES if case.name in wanted], arguments.device))
        return
    sizes = [(int(d), int(c)) for d, c in (size.split("x") for size in arguments.sizes.split(","))]
    console.print(compare(sizes, arguments.device))


if __name__ == "__main__":
    main()
