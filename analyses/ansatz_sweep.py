"""Where does the neural feature ansatz hold? NFM against AGOP and against init, over settings, layers and epochs.

Claim (abstract; section "Deep neural feature ansatz"): in trained fully connected networks the NFM of every layer is
proportional to the AGOP with respect to that layer's input, over depth, width, activation, initialisation and
optimiser. Refuted in a setting where a network has learned its task, and yet the cosine of NFM and AGOP is no higher
than in the same network before training, or where the NFM is as near to its initialisation as before.

A base setting, and from it one factor at a time: depth, width, activation, init, optimizer, loss, weight decay (where
one change alone does not train, `level` says what else was changed). Pictures, and `linear`: x ~ N(0, I), y = Bx, for
deep linear networks with weight decay. At their rest points NFM_l = AGOP_l^alpha with alpha exactly 1/(linear layers
from l to the output); elsewhere arXiv:2510.15563 and the authors' later scripts expect powers such as 1/2.

Columns: the cell's settings (`factor` and `level`: what differs from the base); then a row for each layer and `epoch`,
0 being the untrained network, whose row is the null of every similarity: the columns of an audit (see the README;
`cnfa_*` are the numbers of arXiv:2402.05271, with the change of the weights in place of the weights, `delta_cosine` has
it in the NFM alone; `fact_*` is the Features at Convergence Theorem, FACT, of arXiv:2507.05644: W'W against
-(1/weight_decay) W'dL/dW),
`score` (accuracy or R^2) on test rows, `baseline` (of a constant answer).
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import nfa
from analyses.analysis import Analysis, Cell, Options, Row
from analyses.ansatz_summary import findings
from analyses.setting import pictures, pictures_of, trained, untrained
from nfa.data import Dataset

SEEDS = (0, 1, 2)
BASE: dict[str, Any] = {
    **{"depth": 3, "width": 256, "activation": "relu", "init": "factor:0.1", "optimizer": "adam", "lr": 1e-3},
    **{"loss": "onehot_mse", "weight_decay": 0.0, "batch_size": 64, "epochs": 50},
    **{"n": 2000, "n_test": 2000},
}
FACTORS: dict[str, dict[str, dict[str, Any]]] = {
    "base": {"base": {}},
    "depth": {"1 hidden layer": {"depth": 1}, "2 hidden layers": {"depth": 2}, "5 hidden layers": {"depth": 5}},
    "width": {"width 64": {"width": 64}, "width 512": {"width": 512}},
    "activation": {
        **{name: {"activation": name} for name in ("tanh", "sine", "gelu")},
        "sigmoid, default init": {"activation": "sigmoid", "init": "default"},
    },
    "init": {"default init": {"init": "default"}, "N(0, 0.01²) first": {"init": "first-normal:0.01"}},
    "optimizer": {
        "SGD": {"optimizer": "sgd", "lr": 0.5},
        "SGD, default init": {"optimizer": "sgd", "lr": 0.5, "init": "default"},
    },
    "loss": {"cross-entropy": {"loss": "cross_entropy"}},
    "weight decay": {
        "decay 1e-5": {"weight_decay": 1e-5},
        "decay 1e-4": {"weight_decay": 1e-4},
        "decay 1e-4, default init": {"weight_decay": 1e-4, "init": "default"},
    },
}
"""By factor and level: what differs from the base."""
QUICK = ("base", "tanh", "default init")
QUICK_BASE = {"n": 400, "n_test": 300, "width": 64, "lr": 3e-3, "batch_size": 32, "epochs": 50}

LINEAR = "linear"
LINEAR_BASE: dict[str, Any] = {
    **{"width": 16, "activation": "identity", "init": "default", "optimizer": "sgd", "lr": 0.1},
    **{"loss": "mse", "weight_decay": 1e-2, "batch_size": 200, "epochs": 3000, "n": 200, "n_test": 200},
}
QUICK_LINEAR = {"weight_decay": 3e-2, "epochs": 1000}
LINEAR_DEPTHS = (1, 3)
D, TARGETS = 12, 4
"""Of the linear task."""
SINGULAR_VALUES = (3.0, 2.0, 1.5, 1.0)
"""Of B: far enough apart that powers can be told from each other."""

CHECKPOINTS = (1, 2, 5, 10, 20)
"""Epochs after which the base is measured, besides the last."""

LEFT_OUT = ("name", "note", "probe_error", "nfm_trace", "agop_trace")


def cells(options: Options) -> list[Cell]:
    """Deep linear networks first; then seed by seed, so that an interrupted run has every setting."""
    base, linear, depths, wanted = BASE, LINEAR_BASE, LINEAR_DEPTHS, None
    if options.quick:
        base, linear, depths, wanted = BASE | QUICK_BASE, LINEAR_BASE | QUICK_LINEAR, LINEAR_DEPTHS[-1:], QUICK
    found: list[Cell] = []
    for seed in SEEDS:
        for depth in depths:
            level = f"deep linear, {depth + 1} layers"
            found.append(_cell(LINEAR, LINEAR, level, linear | {"depth": depth}, seed))
    for seed in SEEDS:
        for dataset in pictures_of(options):
            for factor, levels in FACTORS.items():
                for level, change in levels.items():
                    if wanted is None or level in wanted:
                        found.append(_cell(dataset, factor, level, base | change, seed))
    return found


def _cell(dataset: str, factor: str, level: str, settings: dict[str, Any], seed: int) -> Cell:
    # One order of the columns for all cells.
    return {"dataset": dataset, "factor": factor, "level": level, **{key: settings[key] for key in BASE}, "seed": seed}


def linear_task(n: int, n_test: int, seed: int) -> Dataset:
    """Return x ~ N(0, I), y = Bx with known singular values of B.

    The training rows are whitened: the rest point's singular vectors are then B's, and its layers balanced and known.
    """
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n + n_test, D))
    train = X[:n]
    X = X @ np.linalg.inv(np.linalg.cholesky(train.T @ train / n)).T
    left, _ = np.linalg.qr(generator.normal(size=(TARGETS, TARGETS)))
    right, _ = np.linalg.qr(generator.normal(size=(D, TARGETS)))
    y = X @ (left * SINGULAR_VALUES @ right.T).T
    split = {"train": np.arange(n), "test": np.arange(n, n + n_test)}
    return Dataset(X.astype(np.float32), y.astype(np.float32), name=LINEAR, split=split)


def rows(cell: Cell, options: Options) -> Iterator[Row]:
    """Train, and measure every layer before, at the end and, of the base, on the way."""
    n, n_test, seed = cell["n"], cell["n_test"], cell["seed"]
    linear = cell["dataset"] == LINEAR
    data = linear_task(n, n_test, seed) if linear else pictures(cell["dataset"], options, n, n_test, seed)
    init = untrained(data, cell)
    yield from _measured(0, nfa.audit(init, data, loss=cell["loss"], weight_decay=cell["weight_decay"] or None))
    epochs = [e for e in CHECKPOINTS if e < cell["epochs"] and cell["factor"] == "base"] + [cell["epochs"]]
    with tempfile.TemporaryDirectory() as folder:
        for epoch in epochs:
            # Each goes on where the one before stopped.
            checkpoint = Path(folder) / "training.pt" if len(epochs) > 1 else None
            net = trained(data, {**cell, "epochs": epoch}, checkpoint=checkpoint).net
            audit = nfa.audit(net, data, init, loss=cell["loss"], weight_decay=cell["weight_decay"] or None)
            yield from _measured(epoch, audit)


def _measured(epoch: int, audit: nfa.Audit) -> Iterator[Row]:
    score = audit.score
    assert score is not None  # the data have targets
    for layer in audit:
        columns = {name: value for name, value in layer.row.items() if name not in LEFT_OUT}
        yield {"epoch": epoch, **columns, "score": score.value, "baseline": score.baseline}


ANALYSIS = Analysis(cells, rows, findings)
