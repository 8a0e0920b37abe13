"""Where does the neural feature ansatz hold? NFM against AGOP over architectures, training and time.

Claim (abstract; section "Deep neural feature ansatz"): after training, each layer's NFM W'W is proportional to a power
of the AGOP with respect to that layer's input, over depths, widths, activations, initialisations and optimisers.
Refuted where networks that have learned their task show similarities no higher than their nulls: the same network
untrained, and k/(k+d), that of independent random weights.

Also asked: is alpha of layer l nearer to 1/2 (the paper's experiments) or to 1/(linear layers from l to the output),
which is exact for deep linear networks trained to rest with weight decay? Those are here as `linear`. And the rival of
arXiv:2507.05644, W'W = -(1/lambda) W' dL/dW, exact at rest with weight decay: `fact_cosine`, `fact_residual`.

A cell trains one network: `setting` says in which one way it departs from the base (3 hidden layers, ReLU,
initialisation times 0.1, Adam 1e-3, MSE against one-hot classes, no weight decay). Its rows are its layers, at several
epochs for the base and at the last epoch elsewhere; the columns are those of an audit (README). `cnfa_cosine` is the
authors' own number: the change dW in place of W, on both sides.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

import nfa
from analyses.analysis import Analysis, Cell, Options, Row
from analyses.setting import dataset_names, network, small, trained
from nfa.network import MLP

SEEDS = (0, 1, 2)
BASE = {
    "n_train": 2000,
    "n_test": 1000,
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
DEPARTURES = {
    "linear": {
        "n_train": 600, "width": 32, "activation": "identity", "init": "default", "optimizer": "sgd", "lr": 0.5,
        "weight_decay": 3e-3, "batch_size": 600, "epochs": 1500,
    },
    "base": {},
    "1 hidden layer": {"depth": 1},
    "5 hidden layers": {"depth": 5},
    "width 32": {"width": 32},
    "width 512": {"width": 512},
    "tanh": {"activation": "tanh"},
    "GELU": {"activation": "gelu"},
    "default init": {"init": "default"},
    "N(0, 0.01) first": {"init": "first-normal:0.01"},
    "SGD 0.1": {"optimizer": "sgd", "lr": 0.1, "init": "default"},
    "cross-entropy": {"loss": "cross_entropy"},
    "decay 1e-4": {"weight_decay": 1e-4},
    "decay 1e-4, default init": {"weight_decay": 1e-4, "init": "default"},
}  # fmt: skip
EPOCHS = (0, 1, 3, 10, 30)
"""When the base is measured, besides at the end."""

QUICK = {"n_train": 300, "n_test": 200, "epochs": 60, "batch_size": 32}
QUICK_DEPARTURES = ("linear", "base", "default init", "decay 1e-4")

KEPT = (
    "name", "d_in", "d_out", "cosine", "cosine_centered", "pearson", "cosine_sqrt", "pearson_sqrt",
    "pearson_sqrt_centered", "alpha_best", "cosine_alpha_best", "alpha_linear", "cosine_alpha_linear",
    "untrained_cosine", "untrained_cosine_sqrt", "init_cosine", "init_cosine_null", "delta_cosine", "cnfa_cosine",
    "cnfa_pearson", "subspace_overlap", "subspace_overlap_null", "fact_cosine", "fact_lambda", "fact_residual",
    "trivial", "note",
)  # fmt: skip


def cells(options: Options) -> list[Cell]:
    """One departure at a time, for each data set and seed."""
    departures = {name: DEPARTURES[name] for name in (QUICK_DEPARTURES if options.quick else DEPARTURES)}
    quick = QUICK if options.quick else {}
    found = []
    for dataset in dataset_names(options):
        for seed in SEEDS[: 1 if options.quick else None]:
            for setting, departure in departures.items():
                cell = {"dataset": dataset, "setting": setting, "seed": seed} | BASE | departure | quick
                if options.quick and setting == "linear":
                    cell |= {"batch_size": 300, "epochs": 1000}
                found.append(cell)
    return found


def rows(cell: Cell, options: Options) -> Iterator[Row]:
    """Train a network, and measure its layers on the training rows."""
    data = small(cell["dataset"], cell["n_train"], cell["n_test"], cell["seed"], options)
    stops = [epoch for epoch in EPOCHS if epoch < cell["epochs"]] if cell["setting"] == "base" else []
    init = network(cell, data)
    with tempfile.TemporaryDirectory() as folder:
        for epoch in [*stops, cell["epochs"]]:
            # The same call with more epochs goes on where the last one stopped.
            part = {"epochs": epoch, "checkpoint": Path(folder) / "checkpoint.pt"}
            net = trained(cell, data, **part).net if epoch else init
            assert isinstance(net, MLP)
            audit = nfa.audit(net, data, init, loss=cell["loss"], weight_decay=cell["weight_decay"] or None)
            assert audit.score is not None
            about = {"epoch": epoch, "score": audit.score.value, "score_constant": audit.score.baseline}
            for layer in audit:
                yield about | {"layer": layer["layer"]} | {column: layer[column] for column in KEPT}


def last(table: pd.DataFrame) -> pd.DataFrame:
    """Return the layers of trained networks that have learned their task, but for the head.

    The head's gradient is the same for every row, so that its similarity says nothing. In a deep linear network that
    holds for every layer, but there it is the theory.
    """
    learned = table["score"] > table["score_constant"] + 0.2
    tells = ~table["trivial"].astype(bool) | (table["setting"] == "linear")
    return table[(table["epoch"] == table["epochs"]) & tells & learned]


def findings(table: pd.DataFrame) -> list[str]:
    """Say for each data set where the ansatz holds, which power fits, and how the rivals do."""
    parts = last(table).groupby("dataset")
    return [f"{dataset}: {sentence}" for dataset, part in parts for sentence in _about(part)]


def _about(kept: pd.DataFrame) -> list[str]:
    found = []
    linear, others = kept[kept["setting"] == "linear"], kept[kept["setting"] != "linear"]
    if len(linear):
        fit = linear.groupby("layer")[["alpha_best", "alpha_linear", "cosine_alpha_linear"]].mean()
        powers = ", ".join(f"{a:.2f} ({b:.2f})" for a, b in zip(fit["alpha_best"], fit["alpha_linear"], strict=True))
        found.append(
            f"deep linear networks with weight decay: best alpha by layer (theory) {powers}; cosine at theory's alpha "
            f"at least {linear['cosine_alpha_linear'].min():.4f}."
        )
    if others.empty:
        return found
    null = others[["untrained_cosine", "init_cosine_null"]].max(axis=1)
    above = others["cosine"] > null
    found.append(
        f"in {above.sum()} of {len(others)} hidden layers of trained networks cosine(NFM, AGOP) is above both nulls; "
        f"median {others['cosine'].median():.2f}, null {null.median():.2f}; with the square root "
        f"{others['cosine_sqrt'].median():.2f}, untrained {others['untrained_cosine_sqrt'].median():.2f}."
    )
    share = above.groupby(others["setting"]).mean()
    if (weak := share[share < 1]).size:
        found.append("not in all layers: " + ", ".join(f"{name} ({value:.0%})" for name, value in weak.items()) + ".")
    nearer = (others["alpha_best"] - 0.5).abs() < (others["alpha_best"] - others["alpha_linear"]).abs()
    tied = (others["alpha_best"] - 0.5).abs() == (others["alpha_best"] - others["alpha_linear"]).abs()
    found.append(
        f"best alpha (median {others['alpha_best'].median():.2f}) is nearer to 1/2 than to 1/(linear layers to the "
        f"output) in {nearer[~tied].sum()} of {(~tied).sum()} layers where the two differ."
    )
    found.append(
        f"NFM against init's NFM: median cosine {others['init_cosine'].median():.2f}; the authors' number, dW'dW "
        f"against dW' S dW: median cosine {others['cnfa_cosine'].median():.2f}."
    )
    decayed = kept[kept["weight_decay"] > 0].groupby("setting")[["fact_cosine", "cosine", "cosine_alpha_best"]].median()
    for setting, row in decayed.iterrows():
        found.append(
            f"{setting}: the rival -(1/lambda) W' dL/dW has cosine {row['fact_cosine']:.3f} with the NFM, AGOP "
            f"{row['cosine']:.3f}, AGOP^alpha {row['cosine_alpha_best']:.3f} (medians)."
        )
    return found


ANALYSIS = Analysis(cells, rows, findings)
