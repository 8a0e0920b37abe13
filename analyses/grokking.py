"""Grokking: test accuracy goes on rising long after training accuracy is 100 %, as features turn to what decides.

Claim (arXiv:2212.13881, section on grokking): where a small patch tells the class, networks first fit their training
rows by other pixels and predict badly; training goes on, the patch comes to hold ever more of NFM and AGOP, and with it
test accuracy rises, while training accuracy has been 100 % all along. RFMs do the same over updates of M.

Here pictures and classes have nothing to do with each other: a square patch near the corner is `contrast` for one
class and 0 for the other, all classes drawn at random. So test accuracy beyond chance, 1/2, is due to the patch alone.
(In the paper the pictures' own classes, STL-10's airplanes and trucks, tell as well.) That networks fit first and find
the patch later takes large initial weights and weight decay; with the default init the two come closer together.

RFMs have bandwidths of 1, 3 and 10 median distances, M divided by its largest entry after each update; or, as in the
authors' scripts, L = 10 in units of the pixels and M the AGOP as it is.

Refuted where test accuracy rises no more once training accuracy is 100 %, or rises while the patch's shares do not.

Columns: the settings (n training and n_test test rows, patch: its side in pixels, contrast in units of the largest
pixel; scale: what an RFM's bandwidth is in, "median" distances or "raw", and M not divided), then a row for each `time`
(epochs of a network, updates of an RFM's M) and `quantity` with its `value`: `train_accuracy`, `test_accuracy`; `nfm`,
`agop` (of a network's first layer) and `M`: the patch's share of the trace; `pixels`: its share of the pixels. Of seed
0 also pictures: `nfm_at`, `agop_at`, `M_at`, the diagonal's part of the trace at `row` and `column`, channels added up,
at `SHOWN` and the last time.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analyses.analysis import Analysis, Cell, Options, Row
from analyses.coordinates import (
    NETWORK,
    RFM,
    Diagonals,
    accuracy,
    machines,
    of_machine,
    of_network,
    outputs_of,
    picture_rows,
    predicted,
    share,
)
from analyses.setting import pictures, pictures_of, trained, untrained
from analyses.spread import spread
from nfa.data import Dataset
from nfa.network import MLP

SEEDS = (0, 1, 2)
SIZES = {"digits": {"n": 100, "patch": 1}}
OTHER = {"n": 200, "patch": 2}
"""A patch of 2 x 2 of 28 x 28 pixels is the paper's 5 x 5 of 96 x 96, about."""
WEIGHT_DECAY = {"digits": 3.0}
TRAINING = {"optimizer": "adamw", "init": "factor:3"}
BANDWIDTHS: tuple[dict[str, Any], ...] = (
    {"scale": "median", "bandwidth": 1.0},
    {"scale": "median", "bandwidth": 3.0},
    {"scale": "median", "bandwidth": 10.0},
    {"scale": "raw", "bandwidth": 10.0},
)
SHARES = {"nfm": "NFM", "agop": "AGOP", "M": "M"}
"""Quantities that are shares of a trace."""
PER_DECADE = 8  # epochs at which a network is measured
SHOWN = (0, 1, 10, 100)
"""Times whose diagonals are kept as pictures, beside the last one."""


def cells(options: Options) -> list[Cell]:
    """RFM and network on every picture set."""
    epochs = 300 if options.quick else 1000
    network = NETWORK | TRAINING | {"epochs": epochs, "scale": None}
    return [
        {
            "dataset": name,
            **SIZES.get(name, OTHER),
            "n_test": 1000,
            "contrast": 0.3,
            "seed": seed,
            **model,
            **({"weight_decay": WEIGHT_DECAY.get(name, 1.0)} if model["model"] == "network" else {}),
        }
        for name in pictures_of(options)
        for model in (*(RFM | {"updates": 6} | own for own in BANDWIDTHS), network)
        for seed in SEEDS
    ]


def patched(data: Dataset, side: int, contrast: float, seed: int) -> tuple[Dataset, NDArray[np.bool_]]:
    """Return pictures of random classes that a patch tells, and which coordinates it is.

    Args:
        data: Pictures with pixels from 0 to 1.
        side: Of the patch, in pixels.
        contrast: Its value for one class; it is 0 for the other.
        seed: Of the classes.
    """
    mask, y = corner(data, side), np.random.default_rng(seed).integers(0, 2, data.n)
    X = data.X.copy()
    X[:, mask] = (contrast * y)[:, None]
    return replace(data, X=X, y=y, class_names=("without", "with")), mask


def corner(data: Dataset, side: int) -> NDArray[np.bool_]:
    """Return which coordinates are a square near the upper left corner, in all channels."""
    assert data.feature_shape is not None
    mask = np.zeros(data.feature_shape, dtype=bool)
    # Where it lies in the paper, in the same proportion.
    top, left = (round(data.feature_shape[-1] * offset / 96) for offset in (2, 7))
    mask[..., top : top + side, left : left + side] = True
    return mask.ravel()


def rows(cell: Cell, options: Options) -> Iterator[Row]:
    """Measure a network over its epochs, or an RFM over its updates."""
    plain = pictures(cell["dataset"], options, cell["n"], cell["n_test"], cell["seed"])
    data, mask = patched(plain, int(cell["patch"]), cell["contrast"], cell["seed"])
    parts = {part: data.part(part) for part in ("train", "test")}
    if cell["model"] == "rfm":
        for time, machine in enumerate(machines(data, cell, raw=cell["scale"] == "raw")):
            diagonals = {"M": of_machine(machine)}
            accuracies = {part: accuracy(predicted(machine, rows.X), _classes(rows)) for part, rows in parts.items()}
            yield from _rows(time, diagonals, accuracies, mask)
            yield from _pictures(time, cell["updates"], diagonals, data, cell["seed"])
        return
    for time, net in over_epochs(data, cell):
        diagonals = of_network(net, parts["train"].X)
        accuracies = {part: accuracy(outputs_of(net, rows.X), _classes(rows)) for part, rows in parts.items()}
        yield from _rows(time, diagonals, accuracies, mask)
        yield from _pictures(time, cell["epochs"], diagonals, data, cell["seed"])


def over_epochs(data: Dataset, cell: Cell) -> Iterator[tuple[int, MLP]]:
    """Yield the network before training, and after ever more epochs."""
    yield 0, untrained(data, cell)
    last = int(cell["epochs"])
    count = max(2, round(PER_DECADE * np.log10(last)) + 1)
    with tempfile.TemporaryDirectory() as folder:
        for epochs in dict.fromkeys(np.geomspace(1, last, count).round().astype(int).tolist()):
            net = trained(data, {**cell, "epochs": epochs}, checkpoint=Path(folder) / "training.pt").net
            assert isinstance(net, MLP)
            yield epochs, net


def _classes(data: Dataset) -> NDArray[np.int64]:
    assert data.y is not None
    return data.y


def _rows(time: int, diagonals: Diagonals, accuracies: dict[str, float], mask: NDArray[np.bool_]) -> Iterator[Row]:
    found = {name: share(diagonal, mask) for name, diagonal in diagonals.items()}
    found |= {f"{part}_accuracy": value for part, value in accuracies.items()}
    for quantity, value in {**found, "pixels": float(mask.mean())}.items():
        yield {"time": time, "quantity": quantity, "value": value, "row": None, "column": None}


def _pictures(time: int, last: int, diagonals: Diagonals, data: Dataset, seed: int) -> Iterator[Row]:
    if seed != SEEDS[0] or time not in (*SHOWN, last):
        return
    for name, diagonal in diagonals.items():
        for row in picture_rows(f"{name}_at", diagonal / diagonal.sum(), data):
            yield {"time": time} | row


def models(table: pd.DataFrame) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
    """Yield the rows of each data set and model: data set, "rfm" or "network", what to call it, and the rows."""
    for (dataset, model, scale, bandwidth), part in table.groupby(
        ["dataset", "model", "scale", "bandwidth"], sort=False, dropna=False
    ):
        unit = "median" if bandwidth == 1 else "medians"
        own = {"median": f", L = {bandwidth:g} {unit}", "raw": f", L = {bandwidth:g}, raw M"}.get(scale, "")
        yield dataset, model, model + own, part


def findings(table: pd.DataFrame) -> list[str]:
    """Return, for each data set and model, what was so when training accuracy first was 100 %, and at the end."""
    said = []
    for dataset, model, name, part in models(table):
        paths = part.pivot_table(index=["seed", "time"], columns="quantity", values="value")
        if not {"train_accuracy", "test_accuracy"} <= set(paths):
            continue
        fitted = paths[paths["train_accuracy"] == 1].groupby("seed").head(1)
        unit = "updates" if model == "rfm" else "epochs"
        if fitted.empty:
            said.append(f"{dataset}, {name}: training accuracy never reached 100 %: nothing to say of grokking.")
            continue
        last = paths.groupby("seed").tail(1)
        what = [("test accuracy, %", "test_accuracy", 100)]
        what += [(f"the patch's share of {name}, %", key, 100) for key, name in SHARES.items() if key in paths]
        moves = "; ".join(
            f"{name} {spread(scale * fitted[key])} -> {spread(scale * last[key])}" for name, key, scale in what
        )
        times = [spread(pd.Series(each.index.get_level_values("time")), digits=0) for each in (fitted, last)]
        null = f" (of the pixels {100 * paths['pixels'].iloc[0]:.2g} %)" if "pixels" in paths else ""
        said.append(
            f"{dataset}, {name}, from training accuracy 100 % ({times[0]} {unit}) to {times[1]}: {moves}{null}."
        )
    return said


ANALYSIS = Analysis(cells, rows, findings)
