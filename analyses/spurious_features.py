"""Spurious features: a mark that goes with the class in training is found from the AGOP alone.

Claim (arXiv:2212.13881, section on spurious features): features show what a model relies on, though nobody told where
to look: the largest diagonal entries of AGOP and M are the mark's, and accuracy falls where the mark is removed or
put onto the other class. (In the paper: lips and eyes of CelebA's pictures.)

Two picture classes that look alike; a white square near the corner is on the second class's pictures, a black one on
the first's, in a share `goes_with` of the rows. Control: goes_with = 0.5, a mark that says nothing.

Refuted where the mark's pixels are not among the largest of the AGOP, or as much so with a mark that says nothing, or
where accuracy does not depend on the mark although they are.

Columns: the settings (patch: the mark's side in pixels; bandwidth in median distances), then rows of `quantity` and
`value`: accuracy on test rows, `as_trained` (marked as the training rows are), `removed` (black on all), `moved` (white
on the first class alone) and `repaired` (trained again without the coordinates found, on rows without a mark);
`found`, `nfm_found`: the share of the mark's pixels among as many coordinates, the largest of the AGOP's diagonal (M's)
and of the NFM's; `share`: the mark's share of the AGOP's (M's) trace; `pixels`: its share of the pixels. Of seed 0 also
pictures: `M_at` and `agop_at`, the diagonal's part of the trace at `row` and `column`, channels added up, and
`sample_at`, the first row with a white mark.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analyses.analysis import Analysis, Cell, Options, Row
from analyses.coordinates import NETWORK, RFM, Learned, learned, picture_rows, share
from analyses.grokking import corner
from analyses.pairs import pair
from analyses.setting import pictures_of
from analyses.spread import spread
from nfa.data import Dataset

SEEDS = (0, 1, 2)
GOES_WITH = (1.0, 0.9, 0.5)
TRAINING = {"init": "first-normal:0.001", "optimizer": "sgd", "lr": 0.1}
"""As in the analysis of simplicity biases."""
Marks = NDArray[np.int64]


def cells(options: Options) -> list[Cell]:
    """Both models, for marks that say all, much and nothing."""
    sizes = {"n": 300, "n_test": 200} if options.quick else {"n": 2000, "n_test": 1000}
    epochs = 60 if options.quick else 40
    return [
        {"dataset": name, "patch": 1 if name == "digits" else 2, **sizes, "seed": seed, **model, "goes_with": goes_with}
        for name in pictures_of(options)
        for model in (RFM, NETWORK | {"epochs": epochs, **TRAINING, "batch_size": 32})
        for seed in SEEDS
        for goes_with in GOES_WITH
    ]


def marked(data: Dataset, mask: NDArray[np.bool_], marks: Marks) -> Dataset:
    """Return the pictures with a mark: white where `marks` is 1, black where 0."""
    X = data.X.copy()
    X[:, mask] = marks[:, None]
    return replace(data, X=X)


def rows(cell: Cell, options: Options) -> Iterator[Row]:
    """Train with the mark, look for it, and measure accuracy with other marks."""
    plain = pair(cell["dataset"], options, cell["n"], cell["n_test"], cell["seed"])
    assert plain.y is not None
    mask, y = corner(plain, int(cell["patch"])), plain.y
    agrees = np.random.default_rng(cell["seed"]).random(plain.n) < cell["goes_with"]
    as_trained = marked(plain, mask, np.where(agrees, y, 1 - y))
    model = learned(as_trained, cell)
    diagonal = model.diagonals["M" if cell["model"] == "rfm" else "agop"]
    found = {
        "found": _found(diagonal, mask),
        "share": share(diagonal, mask),
        "pixels": float(mask.mean()),
        "as_trained": _accuracy(model, as_trained),
        "removed": _accuracy(model, marked(plain, mask, np.zeros_like(y))),
        "moved": _accuracy(model, marked(plain, mask, 1 - y)),
    }
    if cell["model"] == "network":
        found["nfm_found"] = _found(model.diagonals["nfm"], mask)
    # Nobody says where the mark is: what the AGOP has found is taken out.
    suspects = largest(diagonal, int(mask.sum()))
    blind = learned(replace(as_trained, X=np.where(suspects, np.float32(0), as_trained.X)), cell)
    removed = marked(plain, mask, np.zeros_like(y))
    found["repaired"] = _accuracy(blind, replace(removed, X=np.where(suspects, np.float32(0), removed.X)))
    for quantity, value in found.items():
        yield {"quantity": quantity, "value": value, "row": None, "column": None}
    if cell["seed"] == SEEDS[0]:
        name = "M" if cell["model"] == "rfm" else "agop"
        yield from picture_rows(f"{name}_at", diagonal / diagonal.sum(), plain)
        yield from picture_rows("sample_at", as_trained.X[as_trained.X[:, mask].min(axis=1) > 0][0], plain)


def largest(diagonal: NDArray[np.float64], count: int) -> NDArray[np.bool_]:
    """Return which coordinates have the `count` largest entries.

    >>> largest(np.array([1.0, 3.0, 2.0]), 2).tolist()
    [False, True, True]
    """
    mask = np.zeros(len(diagonal), dtype=bool)
    mask[np.argsort(-diagonal, kind="stable")[:count]] = True
    return mask


def _found(diagonal: NDArray[np.float64], mask: NDArray[np.bool_]) -> float:
    return float(mask[largest(diagonal, int(mask.sum()))].mean())


def _accuracy(model: Learned, data: Dataset) -> float:
    test = data.part("test")
    assert test.y is not None
    return model.accuracy(test.X, test.y)


WORDS = {
    "found": "of the mark's pixels among the largest of AGOP or M",
    "nfm_found": "of NFM",
    "share": "the mark's share of the trace",
    "pixels": "of the pixels",
    "as_trained": "accuracy marked as in training",
    "removed": "mark removed",
    "moved": "mark on the other class",
    "repaired": "trained again without what was found",
}


def findings(table: pd.DataFrame) -> list[str]:
    """Return, for each data set, model and mark, what was found and what depends on it; all in percent."""
    said = []
    for (dataset, model, goes_with), part in table.groupby(["dataset", "model", "goes_with"], sort=False):
        values = {
            name: spread(100 * part.loc[part["quantity"] == key, "value"])
            for key, name in WORDS.items()
            if (part["quantity"] == key).any()
        }
        text = "; ".join(f"{name} {value}" for name, value in values.items())
        said.append(f"{dataset}, {model}, mark goes with the class in {100 * goes_with:.0f} %: in percent, {text}.")
    return said


ANALYSIS = Analysis(cells, rows, findings)
