"""Do RFMs and networks learn the same features? M of an RFM, first-layer NFM and AGOP of a network on the same rows.

Claim (abstract; section "Recursive feature machines", figure on features of RFMs and networks): M of an RFM and the NFM
of a network's first layer are alike, down to the picture of the diagonal and of the leading eigenvector. Refuted
where M is no more like the NFM than like an untrained network's, or than like the covariance of the inputs. And RFMs
are better than the same kernel without updates: refuted on a task where the test error rises with the updates of M.

Pictures, and polynomials of few directions (`analyses.targets`). The same training rows for both; neither is tuned.
The network's first layer starts near 0, as in the authors' experiments, and is trained by SGD, or by Adam. Adam divides
each weight's gradient by its size, so that pixels that are almost always 0 get weights as large as any other's.
Cells without an optimizer have no network: they follow the RFM over its updates.

Columns: the cell's settings; then `quantity`, `a`, `b`, `index`, `value`:

- `rows`: how many training rows there are, n at most;
- `error`: of `a` (rfm; kernel, without updates; network; untrained; constant) on test rows: share of wrong classes, or
  mean squared error over the variance of y; of cells without an optimizer: of the RFM after `index` updates;
- `cosine`: of matrices `a` and `b` (rfm: M; nfm, agop: the network's first layer; init: the NFM untrained; covariance:
  of the training inputs; last, of cells without an optimizer: M after the last update, `a` being M after `index`);
  `correlation`: of their diagonals (Pearson); `overlap`: of their leading eigenvectors, |U'V|^2 / r, where `index` is
  r; `b` = chance is r/d; `cosine_after`: of M after `index` updates and `b`;
- of seed 0 only: entry number `index` of `a`'s `diagonal` and leading `eigenvector` (pictures), or of the whole
  matrix (`entry`, row by row; polynomials), over the largest; of pictures also a `sample`, the first training row.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nfa
from analyses.analysis import Analysis, Cell, Options, Row
from analyses.rfm_vs_network_summary import findings
from analyses.setting import PAPERS, pictures, pictures_of, trained
from analyses.targets import TARGETS, drawn, top_of
from nfa.common.checks import one_of
from nfa.data import Dataset
from nfa.data.loading import NAMES

SEEDS = (0, 1, 2)
POLYNOMIALS = ("product", "staircase")
NETWORK: dict[str, Any] = {
    **{"depth": 2, "width": 256, "activation": "relu", "init": "first-normal:0.001"},
    **{"weight_decay": 0.0, "batch_size": 64, "epochs": 60},
}
STEPS = {"sgd": {"pictures": 1.0, "polynomials": 0.1}, "adam": {"pictures": 1e-3, "polynomials": 1e-3}}
"""By optimizer: the size of its steps."""
RFM: dict[str, Any] = {"kernel": "laplace", "bandwidth": 1.0, "ridge": 1e-3, "n_iters": 4}
SIZE, QUICK = {"n": 2000, "n_test": 2000}, {"n": 500, "n_test": 300, "width": 64, "n_iters": 2}
UPDATES = (0, 1, 2)
"""Numbers of updates after which the RFM is looked at, besides the last."""
LEADING = 5
"""Eigenvectors of pictures to compare; of polynomials as many as there are directions."""
DIGITS = 4  # of a picture's entries

Matrix = NDArray[np.float64]


def cells(options: Options) -> list[Cell]:
    """All tasks, the RFM alone and by both optimizers, seed by seed; with data sets named, these alone."""
    if options.datasets is None:
        tasks = [*pictures_of(options), *POLYNOMIALS]
    else:
        tasks = [one_of("dataset", name, (*NAMES, *POLYNOMIALS)) for name in options.datasets]
    change = QUICK if options.quick else {}
    found: list[Cell] = []
    for seed in SEEDS:
        for task in tasks:
            kind, loss = ("polynomials", "mse") if task in POLYNOMIALS else ("pictures", "onehot_mse")
            for optimizer, steps in STEPS.items():
                own = {"loss": loss, "optimizer": optimizer, "lr": steps[kind]}
                found.append({"task": task, **SIZE, **own, **NETWORK, **RFM, "seed": seed} | change)
            # No network, none of its settings.
            found.append(found[-1] | dict.fromkeys(("loss", "optimizer", "lr", *NETWORK)))
    return found


def rows(cell: Cell, options: Options) -> Iterator[Row]:
    """Train both, then compare; or follow the RFM alone."""
    task, n, n_test, seed = (cell[key] for key in ("task", "n", "n_test", "seed"))
    polynomial = task in POLYNOMIALS
    data = drawn(task, n, n_test, seed) if polynomial else pictures(task, options, n, n_test, seed)
    if cell["optimizer"] is None:
        yield from _over_updates(cell, data)
        return
    train, after = data.part("train"), {}
    kernel = _unfitted(cell, data, 0).fit(train.X, train.y)
    rfm = _unfitted(cell, data, cell["n_iters"])
    for updates, _ in enumerate(rfm.staged_fit(train.X, train.y)):
        after[updates] = rfm.M_
    training = trained(data, cell)
    first = nfa.audit(training.net, data, training.init, layers="layers.0")["layers.0"]
    assert first.init_nfm is not None
    matrices: dict[str, Matrix] = {"rfm": rfm.M_}
    for name, matrix in (("nfm", first.nfm), ("agop", first.agop), ("init", first.init_nfm)):
        matrices[name] = matrix.dense().double().numpy()
    matrices["covariance"] = np.cov(data.part("train").X.T.astype(np.float64))
    yield _row("rows", None, None, None, train.n)
    yield from _errors(data, rfm, kernel, training)
    r = TARGETS[task].directions if polynomial else LEADING
    yield from _similarities(matrices, r)
    for updates in sorted({*UPDATES, cell["n_iters"]} - {0}):  # before the first, M is the identity
        for name in ("nfm", "agop", "init"):
            yield _row("cosine_after", "rfm", name, updates, _cosine(after[updates], matrices[name]))
    if seed == SEEDS[0]:
        yield from _entries(matrices) if polynomial else _pictures(matrices)
        if not polynomial:
            yield from _entry_rows("sample", "x", data.part("train").X[0])


def _unfitted(cell: Cell, data: Dataset, n_iters: int) -> Any:
    from nfa.rfm import RFMClassifier, RFMRegressor

    kind = RFMClassifier if data.is_classification else RFMRegressor
    settings = {key: cell[key] for key in RFM} | {"n_iters": n_iters, "random_state": cell["seed"], "progress": False}
    own = {"temperature": None} if data.is_classification else {"scale_targets": False}
    return kind(**settings, **PAPERS, **own)


def _over_updates(cell: Cell, data: Dataset) -> Iterator[Row]:
    train, test, found = data.part("train"), data.part("test"), {}
    for updates, machine in enumerate(_unfitted(cell, data, cell["n_iters"]).staged_fit(train.X, train.y)):
        if updates in (*UPDATES, cell["n_iters"]):
            yield _row("error", "rfm", None, updates, 1 - machine.score(test.X, test.y))
            if 0 < updates < cell["n_iters"]:  # before the first, M is the identity
                found[updates] = machine.M_
    for updates, M in found.items():
        yield _row("cosine", "rfm", "last", updates, _cosine(M, machine.M_))


def _cosine(A: Matrix, B: Matrix) -> float:
    return float((A * B).sum() / np.linalg.norm(A) / np.linalg.norm(B))


def _errors(data: Dataset, rfm: Any, kernel: Any, training: nfa.network.Training) -> Iterator[Row]:
    from nfa.network import score

    test = data.part("test")
    found = {"rfm": rfm.score(test.X, test.y), "kernel": kernel.score(test.X, test.y)}
    for name, net in (("network", training.net), ("untrained", training.init)):
        result = score(net, test, "test")
        assert result is not None
        found |= {name: result.value, "constant": result.baseline}
    for name, value in found.items():
        yield _row("error", name, None, None, 1 - value)


def _similarities(matrices: dict[str, Matrix], r: int) -> Iterator[Row]:
    for a, b in itertools.combinations(matrices, 2):
        A, B = matrices[a], matrices[b]
        yield _row("cosine", a, b, None, _cosine(A, B))
        yield _row("correlation", a, b, None, float(np.corrcoef(A.diagonal(), B.diagonal())[0, 1]))
        yield _row("overlap", a, b, r, float(((top_of(A, r).T @ top_of(B, r)) ** 2).sum() / r))
    yield _row("overlap", "rfm", "chance", r, r / len(matrices["rfm"]))


def _pictures(matrices: dict[str, Matrix]) -> Iterator[Row]:
    reference = top_of(matrices["rfm"], 1)[:, 0]
    for name in ("rfm", "nfm", "agop"):
        vector = top_of(matrices[name], 1)[:, 0]
        # An eigenvector's sign means nothing: all are shown in RFM's.
        vector = vector if vector @ reference >= 0 else -vector
        for quantity, values in (("diagonal", matrices[name].diagonal()), ("eigenvector", vector)):
            yield from _entry_rows(quantity, name, values)


def _entries(matrices: dict[str, Matrix]) -> Iterator[Row]:
    for name in ("rfm", "nfm", "agop"):
        yield from _entry_rows("entry", name, matrices[name].flatten())


def _entry_rows(quantity: str, name: str, values: Matrix) -> Iterator[Row]:
    for index, value in enumerate(np.round(values / np.abs(values).max(), DIGITS)):
        yield _row(quantity, name, None, index, float(value))


def _row(quantity: str, a: str | None, b: str | None, index: int | None, value: float) -> Row:
    return {"quantity": quantity, "a": a, "b": b, "index": index, "value": value}


ANALYSIS = Analysis(cells, rows, findings)
