"""Does an RFM gain by starting from a network's features? Updates and time saved, and errors by layer.

Claim (arXiv:2212.13881, abstract): networks and RFMs learn the same features, by the AGOP. If so, an RFM that starts
from the AGOP of a trained network should need fewer updates of M than one that starts from the identity, to reach the
same test error. Refuted where the identity needs no more; and the features are the network's own only where they do
better than a random matrix of the same spectrum and than the untrained network's NFM.

Data: digits, Fashion-MNIST (Debian's package `dataset-fashion-mnist`, or `--download`), and two UCI sets in
`../shared/data/uci` (`--folder`); a set that is not there is left out, which the findings say. A cell trains one
network (3 hidden layers, initialisation times 0.1) and has three kinds of rows, told apart by `part`:

- `layers`: a row per layer, features and number of updates, as `LayerwiseRFM.score_frame` returns them.
- `time`: RFMs on X itself from the identity and from the first layer's AGOP: `error` on test rows after `n_iters`
  updates, and `processor_seconds` until then; for `agop`, `audit_seconds` and `training_seconds`: what the seed cost.
- `substitution`: for each layer and all together (`name`), the score with AGOP^alpha in the NFM's place:
  `above_projector`, beside `score` and `score_before`; the controls are those of `nfa.substitute` (`matrix`).
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import nfa
from analyses.analysis import Analysis, Cell, Options, Row
from analyses.setting import PAPERS, pictures, pictures_of, trained, untrained
from nfa.common.checks import one_of
from nfa.data import Dataset, Scaling
from nfa.data.loading import NAMES
from nfa.data.uci import read_uci, uci_names
from nfa.rfm import LayerwiseRFM, RFMClassifier
from nfa.rfm.layerwise.words import standard_error

FOLDER = Path("../shared/data/uci")
UCI: dict[str, dict[str, Any]] = {"image-segmentation": {"epochs": 600}, "cardiotocography-10clases": {}}
"""The sets, and how their settings depart: 126 training rows need more epochs for as many steps as elsewhere."""
UCI_TEST_SHARE = 0.4
SEEDS = (0, 1, 2, 3, 4)
BASE = {
    "n_train": 1500,
    "n_test": 1500,
    "n_iters": 4,
    "depth": 3,
    "width": 128,
    "activation": "relu",
    "init": "factor:0.1",
    "loss": "onehot_mse",
    "optimizer": "adam",
    "lr": 1e-3,
    "weight_decay": 0.0,
    "batch_size": 64,
    "epochs": 60,
}
QUICK = {"n_train": 200, "n_test": 200, "n_iters": 1, "width": 64, "batch_size": 32, "epochs": 60}
ALPHAS = (0.25, 0.5, 0.75, 1.0, 1.5)
LAYER_COLUMNS = (
    *("layer", "name", "d_in", "features", "n_iters", "error", "network_error", "constant_error"),
    *("cosine_nfm", "cosine_agop", "n", "note"),
)


def cells(options: Options) -> list[Cell]:
    """One network for each data set and seed."""
    folder = options.folder or FOLDER
    uci = [name for name in UCI if folder.is_dir() and name in uci_names(folder)]
    if options.datasets is not None:
        names = [one_of("dataset", name, (*NAMES, *uci)) for name in options.datasets]
    else:
        names = [*pictures_of(options), *([] if options.quick else uci)]
    settings = BASE | (QUICK if options.quick else {})
    settings = {"updates": settings.pop("n_iters")} | settings
    seeds = SEEDS[: 1 if options.quick else None]
    return [{"dataset": name, "seed": seed} | settings | UCI.get(name, {}) for name in names for seed in seeds]


def dataset(cell: Cell, options: Options) -> Dataset:
    """Return a cell's rows, divided and scaled."""
    name, seed = cell["dataset"], cell["seed"]
    if name not in UCI:
        return pictures(name, replace(options, folder=None), cell["n_train"], cell["n_test"], seed)
    found = read_uci(options.folder or FOLDER, name)
    classes = tuple(str(number) for number in range(found.n_classes))
    data = Dataset(found.X.astype(np.float32), found.y, name, class_names=classes)
    data = data.sample(cell["n_train"] + cell["n_test"], seed).divide(test=UCI_TEST_SHARE, seed=seed)
    return data.scaled(Scaling.fit("standard", data.part("train").X))


def rows(cell: Cell, options: Options) -> Iterator[Row]:
    """Train a network, start machines from it, and put AGOPs in its place."""
    data, clock = dataset(cell, options), time.process_time()
    init, net = untrained(data, cell), trained(data, cell).net
    training_seconds, clock = time.process_time() - clock, time.process_time()
    audit = nfa.audit(net, data, init)
    cost = {"audit_seconds": time.process_time() - clock, "training_seconds": training_seconds}
    train, test = data.part("train"), data.part("test")
    settings = {"n_iters": cell["updates"], "fit_intercept": False, "progress": False}
    machines = LayerwiseRFM.from_audit(audit, net, train.X, train.y, **settings)
    for _, row in machines.score_frame(test.X, test.y).iterrows():
        yield {"part": "layers"} | {column: row[column] for column in LAYER_COLUMNS}
    for features, M in (("identity", None), ("agop", audit[0].agop)):
        yield from timed(features, M, cell["updates"], train, test, cost if features == "agop" else {})
    substituted = nfa.substitute(net, data, audit, alpha=ALPHAS).to_frame()
    for _, row in substituted.iterrows():
        columns = ("name", "matrix", "alpha", "score", "score_before", "above_projector", "output_r2", "note")
        yield {"part": "substitution"} | {column: row[column] for column in columns}


def timed(features: str, M: Any, n_iters: int, train: Dataset, test: Dataset, cost: dict[str, float]) -> Iterator[Row]:
    """Yield test errors of an RFM on X after each update, with the processor's seconds until then."""
    clock, predicting = time.process_time(), 0.0
    model = RFMClassifier(ridge=1e-3, **PAPERS, temperature=None, n_iters=n_iters, M_init=M, progress=False)
    for number, machine in enumerate(model.staged_fit(train.X, train.y)):
        until = time.process_time()
        error = float((machine.predict(test.X) != test.y).mean())
        row = {"features": features, "n_iters": number, "error": error, "n": test.n}
        yield {"part": "time", "processor_seconds": until - clock - predicting} | row | cost
        predicting += time.process_time() - until


def reached(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return for each data set and seed the updates, or seconds, after which both starts have reached the same error.

    That error is the larger of the two least ones along the paths: the smallest that both reach.

    Args:
        table: Rows of the part `time`.
        column: "n_iters" or "processor_seconds".
    """
    found = []
    for (name, seed), part in table.groupby(["dataset", "seed"]):
        target = part.groupby("features")["error"].min().max()
        there = part[part["error"] <= target].groupby("features")[column].min()
        found.append({"dataset": name, "seed": seed, "error": target} | there.to_dict())
    return pd.DataFrame(found)


def findings(table: pd.DataFrame) -> list[str]:
    """Say for each data set what starting from the network saves, where features are good enough, what AGOPs carry."""
    found = []
    for name, part in table.groupby("dataset", sort=False):
        found += [f"{name}: {sentence}" for sentence in (_saved(part), *_by_layer(part), *_substituted(part))]
    if missing := [name for name in UCI if name not in set(table["dataset"])]:
        found.append(f"Not in the table: {', '.join(missing)} (UCI sets, looked for in {FOLDER}; --folder says where).")
    return found


def _saved(part: pd.DataFrame) -> str:
    timing = part[part["part"] == "time"]
    updates, seconds = (reached(timing, column) for column in ("n_iters", "processor_seconds"))
    cost = timing[["audit_seconds", "training_seconds"]].max()
    return (
        f"an RFM on X reaches {_spread(100 * updates['error'])} % errors from the identity after "
        f"{_spread(updates['identity'])} updates ({_spread(seconds['identity'], 2)} s), from the network's AGOP after "
        f"{_spread(updates['agop'])} ({_spread(seconds['agop'], 2)} s; besides, up to {cost['audit_seconds']:.1f} s "
        f"for the audit and {cost['training_seconds']:.1f} s for the training)."
    )


def _by_layer(part: pd.DataFrame) -> Iterator[str]:
    layers = part[part["part"] == "layers"]
    first = layers[layers["n_iters"] == 0]
    own = first["network_error"].mean()
    for name, layer in first.groupby("name"):
        errors = layer.groupby("features")["error"].mean()
        said = ", ".join(f"{kind} {100 * errors[kind]:.1f}" for kind in errors.sort_values().index if errors[kind] >= 0)
        near = errors.get("agop", np.nan) - own <= standard_error(own, int(layer["n"].iloc[0]), "error rate")
        yield (
            f"{name}, % errors without updates: {said}; the network has {100 * own:.1f}, so the AGOP is "
            f"{'good' if near else 'not good'} enough for a kernel machine."
        )


def _substituted(part: pd.DataFrame) -> Iterator[str]:
    rows = part[(part["part"] == "substitution") & part["above_projector"].notna()]
    for name, layer in rows.groupby("name"):
        powers = layer[layer["matrix"] == "agop"].groupby("alpha")["above_projector"].mean()
        others = layer[layer["matrix"] != "agop"].groupby("matrix")["above_projector"].mean()
        if powers.empty:
            continue
        said = ", ".join(f"{alpha:g}: {value:+.3f}" for alpha, value in powers.items())
        yield (
            f"{name}, accuracy above the projector's with AGOP^alpha in the NFM's place: {said}; the network's own "
            f"{others.get('nfm', np.nan):+.3f}, random {others.get('random', np.nan):+.3f}."
        )


def _spread(values: "pd.Series[float]", digits: int = 1) -> str:
    return f"{values.mean():.{digits}f}" + (f" ± {values.std():.{digits}f}" if len(values) > 1 else "")


ANALYSIS = Analysis(cells, rows, findings)
