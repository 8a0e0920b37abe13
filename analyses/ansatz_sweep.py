"""Where does the neural feature ansatz hold? NFM against AGOP and against init, over settings, layers and epochs.

Claim (abstract; section "Deep neural feature ansatz"): in trained fully connected networks the NFM of every layer is
proportional to the AGOP with respect to that layer's input, over depth, width, activation, initialisation and
optimiser. The cosine of the two is high wherever W has few directions, since both hold W. So it stands beside what it
is with the gradients turned at random, and alignment (of WW' and S, AGOP = W'SW) beside its exact null. Refuted in a
setting where a network has learned its task, and yet its layers are not `learned`: the weights are where they were, or
are no more aligned with the output's gradients than by chance (docs/auditing.md, "What a verdict means").

A base setting, and from it one factor at a time: depth, width, activation, init, optimizer, loss, weight decay (where
one change alone does not train, `level` says what else was changed). Pictures; `product`, a target of three
coordinates of twenty (`analyses.targets`); and `linear`: x ~ N(0, I), y = Bx, for
deep linear networks with weight decay. At their rest points NFM_l = AGOP_l^alpha with alpha exactly 1/(linear layers
from l to the output); elsewhere arXiv:2510.15563 and the authors' later scripts expect powers such as 1/2.

Two factors are of theorems. `one layer`: the setting of the paper's own, one layer trained from almost 0 while the
others stay as they are drawn (at exactly 0 a ReLU layer has no gradient). `rest`: full batches with momentum and weight
decay until training rests, where the Features at Convergence Theorem (FACT, arXiv:2507.05644) has
W'W = -(1/weight_decay) W'dL/dW.

Columns: the cell's settings (`factor` and `level`: what differs from the base; `alone`: the one layer that is trained,
from 0; an epoch of full batches is a step); then a row for each layer and `epoch`, 0 being the untrained network: the
columns of an audit (docs/auditing.md has them all; `published_*`, the numbers that the paper's scripts print, are in
the rows of the factor `optimizer`), `score` (accuracy or R^2) on test rows, `baseline` (of a constant answer),
`task_learned`: whether the score shows that the network has learned its task.
"""

import copy
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

import nfa
from analyses.analysis import Analysis, Cell, Options, Row
from analyses.ansatz_summary import LINEAR, findings
from analyses.ansatz_training import stages
from analyses.setting import pictures, pictures_of
from analyses.targets import drawn
from nfa.data import Dataset
from nfa.report.words import verdict

SEEDS = (0, 1, 2)
BASE: dict[str, Any] = {
    **{"depth": 3, "width": 256, "activation": "relu", "init": "factor:0.1", "optimizer": "adam", "lr": 1e-3},
    **{"momentum": 0.0, "loss": "onehot_mse", "weight_decay": 0.0, "batch_size": 64, "epochs": 50, "alone": None},
    **{"n": 2000, "n_test": 2000},
}
FACTORS: dict[str, dict[str, dict[str, Any]]] = {
    "base": {"base": {}},
    "depth": {"1 hidden layer": {"depth": 1}, "2 hidden layers": {"depth": 2}, "5 hidden layers": {"depth": 5}},
    "width": {"width 64": {"width": 64}, "width 512": {"width": 512}},
    "activation": {
        **{name: {"activation": name} for name in ("tanh", "sine", "gelu")},
        "leaky ReLU": {"activation": "leaky_relu"},
        "sigmoid, default init": {"activation": "sigmoid", "init": "default"},
    },
    "init": {"default init": {"init": "default"}, "N(0, 0.01²) first": {"init": "first-normal:0.01"}},
    "optimizer": {
        "SGD": {"optimizer": "sgd", "lr": 0.5},
        "SGD, default init": {"optimizer": "sgd", "lr": 0.5, "init": "default"},
        "SGD, N(0, 0.01²) first": {"optimizer": "sgd", "lr": 1.0, "init": "first-normal:0.01"},
    },
    "loss": {"cross-entropy": {"loss": "cross_entropy"}},
    "weight decay": {
        "decay 1e-5": {"weight_decay": 1e-5},
        "decay 1e-4": {"weight_decay": 1e-4},
        "decay 1e-4, default init": {"weight_decay": 1e-4, "init": "default"},
    },
    "one layer": {
        f"layer {number + 1} alone": {"alone": number, "optimizer": "sgd", "lr": 1.0, "init": "default"}
        for number in range(3)
    },
    "rest": {
        "at rest, decay 1e-3": {
            **{"optimizer": "sgd", "lr": 0.1, "momentum": 0.9, "init": "default", "loss": "cross_entropy"},
            **{"weight_decay": 1e-3, "batch_size": 2000, "epochs": 2000},
        }
    },
}
"""By factor and level: what differs from the base."""
QUICK = ("base", "tanh", "default init", "SGD, N(0, 0.01²) first", "layer 2 alone")
QUICK_BASE = {"n": 400, "n_test": 300, "width": 64, "lr": 3e-3, "batch_size": 32, "epochs": 50}

PRODUCT = "product"
PRODUCT_LEVELS = {
    "base": {},
    "default init": {"init": "default"},
    "SGD, N(0, 0.01²) first": {"optimizer": "sgd", "lr": 0.1, "init": "first-normal:0.01"},
}
"""Of the product target: what differs from the base, beside the loss."""

LINEAR_BASE: dict[str, Any] = {
    **{"width": 16, "activation": "identity", "init": "default", "optimizer": "sgd", "lr": 0.1},
    **{
        "momentum": 0.0,
        "alone": None,
        "loss": "mse",
        "weight_decay": 1e-2,
        "batch_size": 200,
        "epochs": 3000,
        "n": 200,
        "n_test": 200,
    },
}
QUICK_LINEAR = {"weight_decay": 3e-2, "epochs": 1000}
LINEAR_DEPTHS = (1, 3)
D, TARGETS = 12, 4
"""Of the linear task."""
SINGULAR_VALUES = (3.0, 2.0, 1.5, 1.0)
"""Of B: far enough apart that powers can be told from each other."""

CHECKPOINTS = {"base": (1, 2, 5, 10, 20), "rest": (300,)}
"""By factor: epochs after which a network is measured, besides the last."""

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
        for level, change in PRODUCT_LEVELS.items():
            if not options.quick or level == "base":
                factor = next(name for name, levels in FACTORS.items() if level in levels)
                found.append(_cell(PRODUCT, factor, level, base | {"loss": "mse"} | change, seed))
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
    """Train, and measure every layer before, at the end and, of the base and on the way to rest, in between."""
    n, n_test, seed = cell["n"], cell["n_test"], cell["seed"]
    if cell["dataset"] in TASKS:
        data = TASKS[cell["dataset"]](n, n_test, seed)
    else:
        data = pictures(cell["dataset"], options, n, n_test, seed)
    decay, init = cell["weight_decay"] or None, None
    for epoch, net in stages(data, cell, CHECKPOINTS.get(cell["factor"], ())):
        published = epoch == cell["epochs"] and cell["factor"] == "optimizer"
        audit = nfa.audit(net, data, init, loss=cell["loss"], weight_decay=decay, published=published)
        yield from _measured(epoch, audit)
        init = init or copy.deepcopy(net)


def _measured(epoch: int, audit: nfa.Audit) -> Iterator[Row]:
    score = audit.score
    assert score is not None  # the data have targets
    network = {"score": score.value, "baseline": score.baseline, "task_learned": verdict(audit).learned}
    for layer in audit:
        yield {"epoch": epoch, **{k: v for k, v in layer.row.items() if k not in LEFT_OUT}, **network}


TASKS = {LINEAR: linear_task, PRODUCT: partial(drawn, PRODUCT)}
"""Tasks that are no pictures, from numbers of training and test rows and a seed."""

ANALYSIS = Analysis(cells, rows, findings)
