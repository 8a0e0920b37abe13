"""Lottery tickets: the few input coordinates with the largest AGOP diagonal do as well as all of them.

Claim (arXiv:2212.13881, section on lottery tickets): after training on all coordinates, keep those with the largest
diagonal entries of the feature matrix (in the paper 2 % of CelebA's pixels) and train again on these alone: accuracy
is kept, or gained. The features, not a lucky initialisation, make the ticket.

Network: chosen by the AGOP of the trained network; a network of another seed is trained on what is kept. RFM: chosen
by M after its updates; a kernel machine without updates is fitted, as in the paper. Adam divides each weight's gradient
by its size, so that pixels that are almost always 0 get weights as large as any other's; so a network trained by SGD
from a small first layer chooses, too, and on what it chose the network is trained by Adam as ever. Which step suits SGD
hangs on the task (the loss is a mean over outputs: a step of 1 for ten classes is one of 0.2 for two); it is the one of
a few that is best on a fifth of the training rows, held out. Controls: as many coordinates at random, those with the
largest variance over training rows, and those with the largest F score of an analysis of variance, which asks of each
coordinate by itself how far apart the classes are. Tasks: all classes of a picture set, and two that look alike, so
that few pixels tell them apart.

Refuted where coordinates chosen by AGOP do no better than those of the largest variance or F score, or than random
ones.

Columns: the settings (task: "classes" or "pair"; bandwidth in median distances; choice: "all", "agop", "agop_sgd",
"f_score", "variance" or "random"; fraction: of the coordinates that are kept; chooser_*: what the network that chose by
SGD has in place of the other's settings, the steps among which it was chosen in one column), then `kept`, the number of
coordinates, `d`, of how many, `n_train` and `n_tested`, the rows that there were, `step`, that of the network that
chose by SGD, and `accuracy` on test rows: of "agop_sgd" at fraction 1 the chooser's own; of seed 0 also `places`, the
numbers of the coordinates that are kept.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.feature_selection import f_classif

from analyses.analysis import Analysis, Cell, Options, Row
from analyses.coordinates import NETWORK, RFM, learned
from analyses.pairs import pair
from analyses.setting import pictures, pictures_of
from analyses.spread import spread
from nfa.common import InputError
from nfa.data import Dataset

SEEDS = (0, 1, 2)
FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
FEWEST = 4  # coordinates that are worth a training
TASKS = {"classes": pictures, "pair": pair}
SGD: dict[str, Any] = {
    **{"init": "first-normal:0.0001", "optimizer": "sgd", "lr": "0.03 0.1 0.3 1", "batch_size": 64, "epochs": 60}
}
"""What a network that chooses by SGD has in place of `NETWORK`; its steps are those to choose from."""
HELD_OUT = 5
"""Every so-manieth training row is held out where the step is chosen."""
CHOICES = ("agop", "agop_sgd", "f_score", "variance", "random")
WHOLE = {"all": "all", "agop_sgd": "all, by SGD"}
"""Choices that a model on all coordinates is trained for, and what to call it."""


def cells(options: Options) -> list[Cell]:
    """All choices and fractions for both models, after all coordinates together."""
    sizes = {"n": 500, "n_test": 300} if options.quick else {"n": 2000, "n_test": 2000}
    epochs = 10 if options.quick else 30
    sgd = SGD | {"epochs": 30} if options.quick else SGD
    # A choice's fractions together: the model that chooses is trained once for all of them.
    kept = [("all", 1.0), *((choice, fraction) for choice in CHOICES if choice != "agop_sgd" for fraction in FRACTIONS)]
    kept += [("agop_sgd", fraction) for fraction in (1.0, *FRACTIONS)]
    return [
        {
            **{"dataset": name, "task": task, **sizes, "seed": seed, **model, "choice": choice, "fraction": fraction},
            **{f"chooser_{key}": value if choice == "agop_sgd" else None for key, value in sgd.items()},
        }
        for name in pictures_of(options)
        for task in TASKS
        for model in (RFM, NETWORK | {"epochs": epochs})
        for seed in SEEDS
        for choice, fraction in kept
        if name != "digits" or 64 * fraction >= FEWEST
        if choice != "agop_sgd" or model["model"] == "network"
    ]


def rows(cell: Cell, options: Options) -> Iterator[Row]:
    """Train on what is kept alone."""
    about = {key: value for key, value in cell.items() if key not in ("choice", "fraction") and "chooser" not in key}
    if cell["choice"] == "agop_sgd":
        about |= {key: cell[f"chooser_{key}"] for key in SGD}
    data, diagonal, all_accuracy, step = _on_all(tuple(about.items()), options)
    kept = max(1, round(cell["fraction"] * data.d))
    places = None
    if cell["fraction"] == 1:
        accuracy = all_accuracy
    else:
        numbers = chosen(cell["choice"], kept, data, diagonal, cell["seed"])
        few = on_coordinates(data, numbers)
        if cell["seed"] == SEEDS[0]:
            places = " ".join(map(str, numbers))
        # Other initial weights: were they part of the ticket, it would not be the features' doing.
        again = {**cell, "updates": 0} if cell["model"] == "rfm" else {**cell, "seed": cell["seed"] + 1000}
        test = few.part("test")
        accuracy = learned(few, again).accuracy(test.X, test.y)
    counts = {"n_train": len(data.split["train"]), "n_tested": len(data.split["test"]), "places": places}
    yield {"kept": kept, "d": data.d, **counts, "step": step, "accuracy": accuracy}


@lru_cache(maxsize=1)
def _on_all(
    about: tuple[tuple[str, Any], ...], options: Options
) -> tuple[Dataset, NDArray[np.float64], float, float | None]:
    cell = dict(about)
    data = TASKS[cell["task"]](cell["dataset"], options, cell["n"], cell["n_test"], cell["seed"])
    step = None
    if isinstance(cell["lr"], str):
        step = best_step(data, cell, [float(lr) for lr in cell["lr"].split()])
        cell["lr"] = step
    test, model = data.part("test"), learned(data, cell)
    diagonal = model.diagonals["M" if cell["model"] == "rfm" else "agop"]
    return data, diagonal, model.accuracy(test.X, test.y), step


def best_step(data: Dataset, cell: Cell, steps: Sequence[float]) -> float:
    """Return the step whose network is best on every fifth training row, trained without these; the smallest of equals.

    Raises:
        InputError: with every step the loss grows beyond all bounds.
    """
    train = data.split["train"]
    held_out = np.arange(len(train)) % HELD_OUT == 0
    divided = replace(data, split={"train": train[~held_out], "test": train[held_out]})
    rows, found = divided.part("test"), {}
    for step in sorted(steps):
        try:
            found[step] = learned(divided, {**cell, "lr": step}).accuracy(rows.X, rows.y)
        except InputError as error:
            # Too large a step: the network is as bad as can be. Others may be good.
            if error.argument != "lr" or (step == max(steps) and not found):
                raise
    return max(found, key=lambda step: found[step])


def chosen(choice: str, count: int, data: Dataset, diagonal: NDArray[np.float64], seed: int) -> NDArray[np.int64]:
    """Return the numbers of `count` coordinates, in order."""
    if choice == "random":
        return np.sort(np.random.default_rng([seed, count]).choice(data.d, count, replace=False))
    train = data.part("train")
    if choice == "variance":
        worth = train.X.var(axis=0, dtype=np.float64)
    elif choice == "f_score":
        worth = f_scores(train.X, train.y)
    else:
        worth = diagonal
    return np.sort(np.argsort(-worth, kind="stable")[:count])


def f_scores(X: NDArray[Any], y: Any) -> NDArray[np.float64]:
    """Return the F score of each coordinate: its variance between the classes over that within them; 0 if constant.

    >>> f_scores(np.array([[0.0, 0.0, 5.0], [2.0, 1.0, 5.0], [4.0, 0.0, 5.0], [6.0, 1.0, 5.0]]), [0, 0, 1, 1])
    array([8., 0., 0.])
    """
    varies = np.ptp(X, axis=0) > 0
    scores = np.zeros(X.shape[1])
    scores[varies] = f_classif(X[:, varies].astype(np.float64), y)[0]
    return scores


def on_coordinates(data: Dataset, kept: NDArray[np.int64]) -> Dataset:
    """Return the same rows with some coordinates alone."""
    return replace(data, X=np.ascontiguousarray(data.X[:, kept]), feature_names=None, feature_shape=None)


def findings(table: pd.DataFrame) -> list[str]:
    """Return, for each data set and model, the accuracies at every fraction."""
    said = []
    for (dataset, task, model), part in table.groupby(["dataset", "task", "model"], sort=False):
        name = f"{dataset}, {task}, {model}"
        for choice, words in WHOLE.items():
            whole = part[(part["choice"] == choice) & (part["fraction"] == 1)]
            if len(whole):
                steps = f"; steps of {spread(whole['step'])}" if choice == "agop_sgd" else ""
                said.append(
                    f"{name}: test accuracy {spread(100 * whole['accuracy'])} % on {words} "
                    f"({part['d'].iloc[0]} coordinates{steps})."
                )
        for fraction, few in part[part["fraction"] < 1].groupby("fraction"):
            by = {choice: 100 * few.loc[few["choice"] == choice, "accuracy"] for choice in CHOICES}
            values = ", ".join(f"{choice} {spread(each)}" for choice, each in by.items() if len(each))
            said.append(f"{name}, {100 * fraction:g} % kept ({few['kept'].iloc[0]}): test accuracy, %, by {values}.")
        wanted = [choice for choice in CHOICES if choice != "agop_sgd" or model == "network"]
        seeds = {choice: part.loc[part["choice"] == choice, "seed"].nunique() for choice in wanted}
        if missing := [
            f"{choice} ({len(SEEDS) - count} of {len(SEEDS)} seeds)"
            for choice, count in seeds.items()
            if count < len(SEEDS)
        ]:
            said.append(f"{name}: missing: {', '.join(missing)}.")
    return said


ANALYSIS = Analysis(cells, rows, findings)
