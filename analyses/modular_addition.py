"""Modular addition: an RFM passes from chance to exact over its updates, and M becomes block-circulant.

Claim (arXiv:2407.20199, sections on grokking with RFMs and on circulant features): from one half of the table of
a + b mod p, a and b as one-hot vectors (d = 2p) and the sum as a third (p outputs), a kernel machine predicts none of
the other half, though it fits its own half exactly. Updates of M alone (M = the square root of the centered AGOP,
ridge 0) lead to all of it; on the way M = [[A, C], [C', A]] comes to have an A near a multiple of the identity and a
circulant C: C_ij depends on i - j mod p alone. Such features are enough: a kernel machine under a *random* circulant C
predicts nearly all of it without an update.

Refuted where test accuracy stays near 1/p, where it rises before C is circulant, or where a C of the same entries in
random places does as well as the random circulant one.

Columns: kernel ("gaussian": exp(-r^2 / (2 bandwidth^2)), "quadratic": (x'Mz)^2), p, share (of the table that is
trained on), updates, bandwidth, agop_power, center_grads, ridge, features ("recursion"; "circulant" and "shuffled": a
random C, no update), seed; then a row for each `iteration` (updates so far) and `quantity` with its `value`:

- `train_accuracy`, `test_accuracy`: shares; `test_mse`: over rows and outputs;
- `circulant`: share of the variance of C's entries about their mean that is between diagonals i - j mod p; a matrix of
  independent entries has 1/(p + 1) in expectation;
- `identity`: share of the variance of A's entries about their mean that A's diagonal explains (its mean against the
  mean of the rest);
- `M`: with `row` and `column`, the entry there of M, of the upper half [A, C], after the last update of seed 0 with the
  Gaussian kernel.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from analyses.analysis import Analysis, Cell, Options, Row
from analyses.spread import spread
from nfa.rfm.kernels import kernel_named
from nfa.rfm.recursion import Problem, Recipe, matrix_power, recursion
from nfa.rfm.solving.choosing import plan

SEEDS = (0, 1, 2)
KERNELS = ("gaussian", "quadratic")
FULL = {"p": 61, "share": 0.5, "updates": 32}
QUICK = {"p": 23, "share": 0.6, "updates": 25}
"""A small table needs more than half of itself."""
BANDWIDTH = {"gaussian": 2.5, "quadratic": 1.0}
DIGITS = 4  # of M's entries in the table


def cells(options: Options) -> list[Cell]:
    """Both kernels, all seeds; the recursion first, then the random features."""
    size = QUICK if options.quick else FULL
    return [
        {
            "kernel": kernel,
            **size,
            "bandwidth": BANDWIDTH[kernel],
            "agop_power": 0.5,
            "center_grads": True,
            "ridge": 0.0,
            "features": features,
            "seed": seed,
        }
        for features in ("recursion", "circulant", "shuffled")
        for kernel in KERNELS
        for seed in SEEDS
    ]


def table_of_sums(p: int, share: float, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return rows (one-hot a, one-hot b) and sums, of training and test rows: X, y, X_test, y_test."""
    a, b = (each.flatten() for each in torch.meshgrid(torch.arange(p), torch.arange(p), indexing="ij"))
    one_hot = torch.eye(p, dtype=torch.float64)
    X, y = torch.cat([one_hot[a], one_hot[b]], dim=1), (a + b) % p
    order = torch.from_numpy(np.random.default_rng(seed).permutation(p * p))
    train, test = order[: round(share * p * p)], order[round(share * p * p) :]
    return X[train], y[train], X[test], y[test]


def between_diagonals(C: Tensor) -> float:
    """Return the share of the variance of C's entries that is between its diagonals i - j mod p.

    >>> between_diagonals(torch.tensor([[1.0, 2.0, 3.0], [3.0, 1.0, 2.0], [2.0, 3.0, 1.0]]))
    1.0
    """
    p = len(C)
    i = torch.arange(p)
    diagonal = (i[:, None] - i) % p
    means = torch.zeros(p, dtype=C.dtype).index_add(0, diagonal.flatten(), C.flatten()) / p
    return _share(means[diagonal], C)


def on_the_diagonal(A: Tensor) -> float:
    """Return the share of the variance of A's entries that is explained by c I + c' 11'.

    >>> on_the_diagonal(2 * torch.eye(3) + 1)
    1.0
    """
    p, diagonal = len(A), torch.eye(len(A), dtype=torch.bool)
    rest = (A.sum() - A.trace()) / (p * p - p)
    return _share(torch.where(diagonal, A.trace() / p, rest), A)


def _share(fitted: Tensor, values: Tensor) -> float:
    total = float(((values - values.mean()) ** 2).sum())
    # Entries that are all the same have no variance to share.
    return float(((fitted - values.mean()) ** 2).sum()) / total if total > 0 else float("nan")


def random_features(p: int, seed: int, circulant: bool) -> Tensor:
    """Return the root of [[B, C], [C', B]], B = I - 11'/p, C a random circulant or its entries in random places.

    As in the paper's experiment, C is large and the root that of the positive part.
    """
    generator = np.random.default_rng([seed, p])
    entries = generator.uniform(size=p)
    i = np.arange(p)
    C = torch.from_numpy((entries - entries.mean())[(i[:, None] - i) % p])
    if not circulant:
        C = C.flatten()[torch.from_numpy(generator.permutation(p * p))].reshape(p, p)
    B = torch.eye(p, dtype=torch.float64) - 1 / p
    return matrix_power(torch.cat([torch.cat([B, C], 1), torch.cat([C.T, B], 1)]), 0.5)


def rows(cell: Cell, options: Options) -> Iterator[Row]:
    """Update M, and measure the machine under each."""
    p, seed = cell["p"], cell["seed"]
    X, y, X_test, y_test = table_of_sums(p, cell["share"], seed)
    targets = torch.eye(p, dtype=torch.float64)
    recipe = Recipe(
        kernel_named(cell["kernel"]),
        bandwidth=cell["bandwidth"],
        bandwidth_scale=None,
        ridge=cell["ridge"],
        M_scale=None,
        center_grads=cell["center_grads"],
        agop_power=cell["agop_power"],
    )
    learned = cell["features"] == "recursion"
    M = torch.eye(2 * p, dtype=torch.float64) if learned else random_features(p, seed, cell["features"] == "circulant")
    updates = cell["updates"] if learned else 0
    problem, solver = Problem.of(X, targets[y], None, recipe.kernel), plan(len(X), X.element_size(), memory_budget=4.0)
    for step in recursion(problem, M, recipe, solver, updates, torch.Generator()):
        M, f = step.machine.metric.M, step.machine.predict(X_test)
        found = {
            "train_accuracy": float((step.machine.predict(X).argmax(1) == y).double().mean()),
            "test_accuracy": float((f.argmax(1) == y_test).double().mean()),
            "test_mse": float(((f - targets[y_test]) ** 2).mean()),
            "circulant": between_diagonals(M[:p, p:]),
            "identity": on_the_diagonal(M[:p, :p]),
        }
        for quantity, value in found.items():
            yield {"iteration": step.iteration, "quantity": quantity, "value": value, "row": None, "column": None}
    if learned and seed == SEEDS[0] and cell["kernel"] == KERNELS[0]:
        for i, entries in enumerate(M[:p].tolist()):
            for j, entry in enumerate(entries):
                yield {"iteration": updates, "quantity": "M", "value": round(entry, DIGITS), "row": i, "column": j}


def findings(table: pd.DataFrame) -> list[str]:
    """Return, for each kernel, how far it came, and when."""
    table = table[table["quantity"] != "M"]
    said = []
    for (kernel, p), of_kernel in table.groupby(["kernel", "p"], sort=False):
        name = f"p = {p}, {kernel} kernel"
        learned = of_kernel[of_kernel["features"] == "recursion"]
        paths = learned.pivot(index=["seed", "iteration"], columns="quantity", values="value")
        if len(paths):
            said.append(_path(name, int(p), paths))
        for features, what in (("circulant", "a random circulant C"), ("shuffled", "its entries in random places")):
            random = of_kernel[(of_kernel["features"] == features) & (of_kernel["quantity"] == "test_accuracy")]
            if len(random):
                said.append(f"{name}, no update, M from {what}: test accuracy {spread(100 * random['value'])} %.")
    return said


def _path(name: str, p: int, paths: pd.DataFrame) -> str:
    accuracy = paths["test_accuracy"].unstack("seed")
    circulant = paths["circulant"].unstack("seed").iloc[1:]
    reached = (accuracy >= 0.9).idxmax().where((accuracy >= 0.9).any())
    text = (
        f"{name}: test accuracy {spread(100 * accuracy.iloc[0])} % at M = I (chance {100 / p:.1f} %), "
        f"{spread(100 * accuracy.iloc[-1])} % after {accuracy.index[-1]} updates, training accuracy at least "
        f"{100 * paths['train_accuracy'].min():.1f} % throughout"
    )
    if len(circulant):
        text += (
            f"; circulant share of C {spread(circulant.iloc[0])} after the first update, "
            f"{spread(circulant.iloc[-1])} after the last (independent entries: {1 / (p + 1):.3f})"
        )
    if reached.notna().any():
        text += f"; 90 % passed after {spread(reached.dropna(), digits=0)} updates"
    return text + "."


ANALYSIS = Analysis(cells, rows, findings)
