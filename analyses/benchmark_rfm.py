"""How fast is a recursive feature machine? Times it against xRFM, and against the floor, in one run.

    python -m analyses.benchmark_rfm [--sizes 4000x784x10x3,...] [--device cuda] [--large]

Laplace kernel, bandwidth L constant, ridge 1e-3, M divided by its largest entry, float32, standard normal rows. The
j-th target is whether x_j > 0, as 0 or 1. xRFM does the same: same rows, targets, bandwidth, ridge, number of updates,
scale of M, all rows in the AGOP; its default solver, and 100 held-out rows for the validation that it needs. Both are
scored on 1,000 other rows.

- *times faster*: the median over rounds of xRFM's seconds over this package's, taken one after the other.
- *floor*: multiply-adds that the arithmetic of design.md takes, at the rate of a float32 matrix product (4096 x 4096)
  measured right before: for each of the u + 1 fits n^2 d / 2 (distances, by symmetry) and n^3 / 6 (Cholesky); for each
  of the u updates the cheaper form of the AGOP, everything symmetric counted half.
- *error*: held-out mean squared error over that of the constant answer.

With `--large`, 50,000 rows (`--rows`) of 50 features, one target, three updates, each package in a process of its own:
seconds, peak resident memory and error. xRFM solves by Cholesky there: its default, LU, takes twice the time. It holds
two matrices of rows x rows, 20 GB at 50,000.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from analyses.benchmark_audit import product_rate, timed
from analyses.setting import PAPERS
from nfa.rfm import RFMRegressor

SIZES = ((4000, 784, 10, 3), (4000, 100, 2, 5), (2000, 20, 1, 5))
LARGE_ROWS, LARGE = 50_000, (50, 1, 3)
RIDGE, ROUNDS, TEST, VALIDATION = 1e-3, 5, 1000, 100


def setting(n: int, d: int, c: int) -> tuple[Tensor, Tensor]:
    """Rows and targets: to fit, then to validate, then to test."""
    X = torch.randn(n + VALIDATION + TEST, d, generator=torch.Generator().manual_seed(0))
    return X, (X[:, :c] > 0).float()


def bandwidth(d: int) -> float:
    """About the median distance of standard normal rows."""
    return (2 * d) ** 0.5


def ours(X: Tensor, Y: Tensor, n: int, d: int, updates: int) -> Tensor:
    """Fit, and predict the test rows."""
    plain = {**PAPERS, "scale_targets": False, "ridge": RIDGE}
    model = RFMRegressor(bandwidth=bandwidth(d), bandwidth_scale=None, n_iters=updates, **plain)
    return torch.from_numpy(model.fit(X[:n], Y[:n]).predict(X[n + VALIDATION :]))


def theirs(X: Tensor, Y: Tensor, n: int, d: int, updates: int, solver: str = "solve") -> Tensor:
    """Fit xRFM's machine, and predict the test rows."""
    from xrfm.rfm_src import RFM

    model = RFM("laplace", iters=updates, bandwidth=bandwidth(d), device=str(X.device), solver=solver, verbose=False)
    held_out = X[n : n + VALIDATION], Y[n : n + VALIDATION]
    options = {"return_best_params": False, "early_stop_rfm": False, "total_points_to_sample": n}
    model.fit((X[:n], Y[:n]), held_out, iters=updates, reg=RIDGE, verbose=False, **options)
    return model.predict(X[n + VALIDATION :])


def error(outputs: Tensor, Y: Tensor, n: int) -> float:
    """Held-out squared error over that of the constant answer."""
    test = Y[n + VALIDATION :]
    return float(((outputs.reshape(test.shape) - test) ** 2).sum() / ((test - Y[:n].mean(0)) ** 2).sum())


def floor_operations(n: int, d: int, c: int, updates: int) -> float:
    """Multiply-adds of the whole recursion."""
    fit = n * n * d / 2 + n**3 / 6
    direct = n * n * c * d + n * c * d * d / 2
    expanded = n**3 / 2 + 1.5 * n * n * c + n * n * d + n * d * d / 2
    return (updates + 1) * fit + updates * min(direct, expanded)


def compare(n: int, d: int, c: int, updates: int, device: str) -> dict[str, float | str]:
    """Time both, round by round."""
    X, Y = (values.to(device) for values in setting(n, d, c))
    outputs: dict[str, Tensor] = {}

    def fit(who: str, how: Callable[..., Tensor]) -> Callable[[], None]:
        def work() -> None:
            outputs[who] = how(X, Y, n, d, updates).cpu()

        return work

    rounds = []
    for _ in range(ROUNDS):
        rate = product_rate(device)
        mine, other = timed(fit("nfa", ours), device), timed(fit("xrfm", theirs), device)
        rounds.append((mine, other, floor_operations(n, d, c, updates) / rate))
    median = statistics.median
    return {
        "n, d, c, updates": f"{n:,}, {d}, {c}, {updates}",
        "seconds": median(mine for mine, _, _ in rounds),
        "xRFM": median(other for _, other, _ in rounds),
        "times faster": median(other / mine for mine, other, _ in rounds),
        "times the floor": median(mine / floor for mine, _, floor in rounds),
        "error": error(outputs["nfa"], Y.cpu(), n),
        "xRFM's error": error(outputs["xrfm"], Y.cpu(), n),
    }


def alone(who: str, n: int) -> dict[str, float | str]:
    """Fit the large problem of n rows in this process, and say what it took."""
    d, c, updates = LARGE
    X, Y = setting(n, d, c)
    started = time.perf_counter()
    fits = {"nfa": ours, "xrfm": partial(theirs, solver="cholesky")}
    outputs = fits[who](X, Y, n, d, updates)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"who": who, "rows": f"{n:,}", "seconds": seconds, "peak GB": peak / 1e9, "error": error(outputs, Y, n)}


def in_a_process(who: str, n: int, console: Console) -> dict[str, float | str]:
    """Run `alone` in a new process, whose peak memory is its own, and say why if it does not end well."""
    call = [sys.executable, "-m", "analyses.benchmark_rfm", "--alone", who, "--rows", str(n)]
    done = subprocess.run(call, capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.splitlines() or [""])[-1]
        # -9: killed, as by a system short of memory.
        console.print(f"{who}: exit status {done.returncode} {last}", markup=False)
        return {"who": who, "rows": f"{n:,}", "seconds": float("nan"), "peak GB": float("nan"), "error": float("nan")}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def show(console: Console, rows: list[dict[str, float | str]]) -> None:
    """Print a table."""
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(value if isinstance(value, str) else f"{value:.3g}" for value in row.values()))
    console.print(table)


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", help="n x d x c x updates, by commas")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--large", action="store_true", help="many rows instead, and memory")
    parser.add_argument("--rows", type=int, default=LARGE_ROWS, help="with --large: how many (%(default)s)")
    parser.add_argument("--only", choices=["nfa", "xrfm"], help="with --large: just one of the two")
    parser.add_argument("--alone", choices=["nfa", "xrfm"], help=argparse.SUPPRESS)
    call = parser.parse_args()
    console = Console(width=120)
    if call.alone:
        console.file.write(json.dumps(alone(call.alone, call.rows)) + "\n")
    elif call.large:
        both = [call.only] if call.only else ["nfa", "xrfm"]
        show(console, [in_a_process(who, call.rows, console) for who in both])
    else:
        sizes = [tuple(map(int, size.split("x"))) for size in call.sizes.split(",")] if call.sizes else SIZES
        show(console, [compare(*size, call.device) for size in sizes])


if __name__ == "__main__":
    main()
