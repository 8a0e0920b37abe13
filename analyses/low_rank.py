"""Targets of few directions: who learns them from how many rows, and who finds the directions?

Claim (section "Recursive feature machines", and its appendix on low-rank polynomials): where y depends on few
directions of x, RFMs learn them as neural networks do, and so need far fewer rows than kernel machines that learn no
features. Refuted where an RFM is no better than the same kernel without updates, or where the leading eigenvectors of
M do not span the directions. A control depends on all directions alike: there is nothing for M to find.

No method is tuned. Columns: the cell's settings: target (`analyses.targets`; without noise), d, directions, n, n_test,
method (`rfm`; `kernel`, the same without updates; `network`; `forest`) and what belongs to it alone, seed; then one
row:

- `test_error`, `train_error`: mean squared error over the variance of y (1 is a constant answer);
- `overlap`: the share |U'V|^2 / r of the r directions U that the r leading eigenvectors V of the machine's M (for the
  kernel its AGOP; for the network the first layer's AGOP) hold, `overlap_nfm`: of the first layer's NFM,
  `overlap_null`: of random vectors, r/d.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

import nfa
from analyses.analysis import Analysis, Cell, Options, Row
from analyses.low_rank_summary import findings
from analyses.setting import PAPERS, trained
from analyses.targets import TARGETS, Array, directions, drawn, overlap, top_of
from nfa.common.checks import one_of

SEEDS = (0, 1, 2)
SIZES, QUICK_SIZES, TEST_ROWS = (125, 250, 500, 1000, 2000), (125, 500), 2000
STEPS, QUICK_STEPS = 2000, 200
"""Of the network's optimizer."""
QUICK_TREES = 50
METHODS: dict[str, dict[str, Any]] = {
    "rfm": {"kernel": "laplace", "bandwidth": 1.0, "ridge": 1e-3, "n_iters": 5},
    "kernel": {"kernel": "laplace", "bandwidth": 1.0, "ridge": 1e-3, "n_iters": 0},
    "network": {
        **{"depth": 2, "width": 256, "activation": "relu", "init": "default", "optimizer": "adam", "lr": 1e-3},
        **{"loss": "mse", "weight_decay": 0.0, "batch_size": 64},
    },
    "forest": {"trees": 200, "max_features": 1 / 3},
}
SETTINGS = tuple(dict.fromkeys(key for settings in METHODS.values() for key in settings))


def cells(options: Options) -> list[Cell]:
    """Every method on every target, few rows first."""
    names = [one_of("dataset", name, TARGETS) for name in options.datasets or TARGETS]
    steps = QUICK_STEPS if options.quick else STEPS
    found: list[Cell] = []
    for n in QUICK_SIZES if options.quick else SIZES:
        for name in names:
            about = {"target": name, "d": TARGETS[name].d, "directions": TARGETS[name].directions}
            for method, own in METHODS.items():
                settings = {key: own.get(key) for key in SETTINGS}
                if options.quick and method == "forest":
                    settings["trees"] = QUICK_TREES
                epochs = round(steps * own["batch_size"] / n) if method == "network" else None
                sizes = {"n": n, "n_test": TEST_ROWS, "method": method}
                found += [about | sizes | settings | {"epochs": epochs, "seed": seed} for seed in SEEDS]
    return found


def rows(cell: Cell, options: Options) -> Iterator[Row]:
    """Fit, predict, compare the directions."""
    name, seed = cell["target"], cell["seed"]
    data, U = drawn(name, cell["n"], cell["n_test"], seed), directions(name, seed)
    train, test = data.part("train"), data.part("test")
    learned = {"rfm": _kernel_machine, "kernel": _kernel_machine, "network": _network, "forest": _forest}
    predict, spaces = learned[cell["method"]](cell, data, U.shape[1])
    # Every direction is all there is: no choice of eigenvectors can miss.
    found = {} if U.shape[1] == len(U) else {key: overlap(vectors, U) for key, vectors in spaces.items()}
    yield {
        **{f"{part}_error": _error(predict(rows.X), rows.y) for part, rows in (("test", test), ("train", train))},
        "overlap": found.get("agop"),
        "overlap_nfm": found.get("nfm"),
        "overlap_null": U.shape[1] / len(U),
    }


def _error(predicted: Any, y: Any) -> float:
    residual = np.asarray(predicted, dtype=np.float64) - y
    return float((residual**2).mean() / np.var(y.astype(np.float64)))


def _kernel_machine(cell: Cell, data: nfa.Dataset, r: int) -> tuple[Any, dict[str, Array]]:
    from nfa.rfm import RFMRegressor

    settings = {key: cell[key] for key in METHODS["rfm"]}
    model = RFMRegressor(**settings, **PAPERS, random_state=cell["seed"], dtype="float64", progress=False)
    train = data.part("train")
    model.fit(train.X, train.y)
    # An RFM's M is the AGOP of the machine before the last update; a plain kernel's is the identity.
    return model.predict, {"agop": top_of(model.M_ if cell["n_iters"] else model.agop(), r)}


def _network(cell: Cell, data: nfa.Dataset, r: int) -> tuple[Any, dict[str, Array]]:
    import torch

    net = trained(data, cell).net
    first = nfa.audit(net, data, layers="layers.0")["layers.0"]

    def predict(X: Any) -> Any:
        with torch.no_grad():
            return net(torch.from_numpy(X))[:, 0].numpy()

    matrices = {"agop": first.agop, "nfm": first.nfm}
    return predict, {key: top_of(matrix.dense().double().numpy(), r) for key, matrix in matrices.items()}


def _forest(cell: Cell, data: nfa.Dataset, r: int) -> tuple[Any, dict[str, Array]]:
    from sklearn.ensemble import RandomForestRegressor

    train = data.part("train")
    forest = RandomForestRegressor(cell["trees"], max_features=cell["max_features"], random_state=cell["seed"])
    return forest.fit(train.X, train.y).predict, {}


ANALYSIS = Analysis(cells, rows, findings)
