"""Lottery tickets: the few input coordinates with the largest AGOP diagonal do as well as all of them.

Claim (arXiv:2212.13881, section on lottery tickets): after training on all coordinates, keep those with the largest
diagonal entries of the feature matrix (in the paper 2 % of CelebA's pixels) and train again on these alone: accuracy
is kept, or gained. The features, not a lucky initialisation, make the ticket.

Network: chosen by the AGOP of the trained network; a network of another seed is trained on what is kept. RFM: chosen
by M after its updates; a kernel machine without updates is fitted, as in the paper. Controls: as many coordinates at
random, and those with the largest variance over training rows. Tasks: all classes of a picture set, and two that look
alike, so that few pixels tell them apart.

Refuted where coordinates chosen by AGOP do no better than those of the largest variance, or than random ones.

Columns: the settings (task: "classes" or "pair"; bandwidth in median distances; choice: "all", "agop", "variance" or
"random"; fraction: of the coordinates that are kept), then `kept`, the number of coordinates, `d`, of how many,
`n_train` and `n_tested`, the rows that there were, and `accuracy` on test rows.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analyses.analysis import Analysis, Cell, Options, Row
from analyses.coordinates import NETWORK, RFM, learned
from analyses.pairs import pair
from analyses.setting import pictures, pictures_of
from analyses.spread import spread
from nfa.data import Dataset

SEEDS = (0, 1, 2)
FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
FEWEST = 4  # coordinates that are worth a training
TASKS = {"classes": pictures, "pair": pair}
CHOICES = ("agop", "variance", "random")


def cells(options: Options) -> list[Cell]:
    """All choices and fractions for both models, after all coordinates together."""
    sizes = {"n": 500, "n_test": 300} if options.quick else {"n": 2000, "n_test": 2000}
    epochs = 10 if options.quick else 30
    kept = [("all", 1.0), *((choice, fraction) for fraction in FRACTIONS for choice in CHOICES)]
    return [
        {"dataset": name, "task": task, **sizes, "seed": seed, **model, "choice": choice, "fraction": fraction}
        for name in pictures_of(options)
        for task in TASKS
        for model in (RFM, NETWORK | {"epochs": epochs})
        for seed in SEEDS
        for choice, fraction in kept
        if name != "digits" or 64 * fraction >= FEWEST
    ]


def rows(cell: Cell, options: Options) -> Iterator[Row]:
    """Train on what is kept alone."""
    about = {name: value for name, value in cell.items() if name not in ("choice", "fraction")}
    data, diagonal, all_accuracy = _on_all(tuple(about.items()), options)
    kept = max(1, round(cell["fraction"] * data.d))
    if cell["choice"] == "all":
        accuracy = all_accuracy
    else:
        few = on_coordinates(data, chosen(cell["choice"], kept, data, diagonal, cell["seed"]))
        # Other initial weights: were they part of the ticket, it would not be the features' doing.
        again = {**cell, "updates": 0} if cell["model"] == "rfm" else {**cell, "seed": cell["seed"] + 1000}
        test = few.part("test")
        accuracy = learned(few, again).accuracy(test.X, test.y)
    counts = {"n_train": len(data.split["train"]), "n_tested": len(data.split["test"])}
    yield {"kept": kept, "d": data.d, **counts, "accuracy": accuracy}


@lru_cache(maxsize=1)
def _on_all(about: tuple[tuple[str, object], ...], options: Options) -> tuple[Dataset, NDArray[np.float64], float]:
    cell = dict(about)
    data = TASKS[cell["task"]](cell["dataset"], options, cell["n"], cell["n_test"], cell["seed"])
    test, model = data.part("test"), learned(data, cell)
    diagonal = model.diagonals["M" if cell["model"] == "rfm" else "agop"]
    return data, diagonal, model.accuracy(test.X, test.y)


def chosen(choice: str, count: int, data: Dataset, diagonal: NDArray[np.float64], seed: int) -> NDArray[np.int64]:
    """Return the numbers of `count` coordinates, in order."""
    if choice == "random":
        return np.sort(np.random.default_rng([seed, count]).choice(data.d, count, replace=False))
    worth = diagonal if choice == "agop" else data.part("train").X.var(axis=0, dtype=np.float64)
    return np.sort(np.argsort(-worth, kind="stable")[:count])


def on_coordinates(data: Dataset, kept: NDArray[np.int64]) -> Dataset:
    """Return the same rows with some coordinates alone."""
    return replace(data, X=np.ascontiguousarray(data.X[:, kept]), feature_names=None, feature_shape=None)


def findings(table: pd.DataFrame) -> list[str]:
    """Return, for each data set and model, the accuracies at every fraction."""
    said = []
    for (dataset, task, model), part in table.groupby(["dataset", "task", "model"], sort=False):
        name = f"{dataset}, {task}, {model}"
        whole = part.loc[part["choice"] == "all", "accuracy"]
        if len(whole):
            said.append(f"{name}: test accuracy {spread(100 * whole)} % on all {part['d'].iloc[0]} coordinates.")
        for fraction, few in part[part["choice"] != "all"].groupby("fraction"):
            by = {choice: 100 * few.loc[few["choice"] == choice, "accuracy"] for choice in CHOICES}
            values = ", ".join(f"{choice} {spread(each)}" for choice, each in by.items() if len(each))
            said.append(f"{name}, {100 * fraction:g} % kept ({few['kept'].iloc[0]}): test accuracy, %, by {values}.")
    return said


ANALYSIS = Analysis(cells, rows, findings)
