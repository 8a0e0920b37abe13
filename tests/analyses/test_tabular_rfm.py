"""Recursive feature machines on a data set in the authors' divisions."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from analyses import tabular_rfm
from analyses.tabular_rfm import (
    RIDGES,
    Choice,
    path,
    prepared,
    run_authors,
    run_cv,
    run_inside_fold,
    tuned,
)
from nfa.data.uci import UciSet


def two_features(n=80, d=6, seed=0, name="toy"):
    """A set whose classes depend on two of its features."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n, d))
    y = (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0.5)
    rows = generator.permutation(n)
    folds = tuple((np.sort(order[:60]), np.sort(order[60:])) for order in (generator.permutation(n) for _ in range(4)))
    return UciSet(name, X, y, np.sort(rows[:40]), np.sort(rows[40:]), folds)


@pytest.fixture(scope="module")
def data():
    return two_features()


def test_rows_are_scaled_to_norm_one_and_zeros_stay(data):
    X = data.X.copy()
    X[3] = 0
    rows = prepared(replace(data, X=X), normalize=True)
    norms = rows.norm(dim=1)
    assert norms[3] == 0
    torch.testing.assert_close(norms[[0, 1, 2, 4]], torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(prepared(data, normalize=False), torch.from_numpy(data.X))


def test_the_path_is_kernel_regression_and_its_updates(data):
    """Against a plain implementation of the protocol's formulas."""
    X, y = torch.from_numpy(data.X)[data.tune_train], torch.from_numpy(data.y)[data.tune_train]
    M = torch.eye(6, dtype=torch.float64)
    for machine in path(X, y, data.n_classes, M.clone(), 0.1, 2):
        torch.testing.assert_close(machine.metric.M, M)
        difference = X[:, None] - X[None]
        r = (difference @ M * difference).sum(-1).clamp(min=0).sqrt()
        K = torch.exp(-r / 10)
        a = torch.linalg.solve(K + 0.1 * torch.eye(len(X)), torch.eye(data.n_classes, dtype=torch.float64)[y])
        torch.testing.assert_close(machine.predict(X), K @ a)
        Q = torch.where(r > 0, -K / (10 * r.where(r > 0, 1)), 0)
        J = torch.einsum("xi,ij,xid->xjd", Q, a, difference @ M)
        M = torch.einsum("xjd,xje->de", J, J) / len(X)


def test_the_first_best_choice_is_kept(data):
    choice, M = tuned(data, data.tune_train, data.tune_val)
    y, found = torch.from_numpy(data.y), {}
    for ridge in RIDGES:
        for normalize in (True, False):
            X = prepared(data, normalize)
            identity = torch.eye(6, dtype=torch.float64)
            for iteration, machine in enumerate(path(X[data.tune_train], y[data.tune_train], 3, identity, ridge, 4)):
                right = machine.predict(X[data.tune_val]).argmax(1) == y[data.tune_val]
                found[Choice(ridge, normalize, iteration)] = (float(right.double().mean()), machine.metric.M)
    best = max(accuracy for accuracy, _ in found.values())
    assert choice == next(each for each, (accuracy, _) in found.items() if accuracy == best)
    torch.testing.assert_close(M, found[choice][1])


def test_balance_scale_is_never_scaled(data):
    choice, _ = tuned(replace(data, name="balance-scale"), data.tune_train, data.tune_val)
    assert not choice.normalize


@pytest.mark.parametrize("run", [run_inside_fold, run_cv])
def test_what_is_honest_does_not_see_the_test_rows(data, run):
    """Other test rows change the accuracy, but nothing that was chosen."""
    _, test = data.folds[0]
    X, y = data.X.copy(), data.y.copy()
    X[test], y[test] = X[test] + 100, (y[test] + 1) % 3
    first, second = run(data, 0, 0), run(replace(data, X=X, y=y), 0, 0)
    assert first.pop("accuracy") > 0.7
    second.pop("accuracy")
    assert first == second


def test_the_authors_protocol_does_see_them(data):
    _, test = data.folds[0]
    X = data.X.copy()
    X[test] = X[test][:, ::-1]
    _, M = tabular_rfm.tuned_on_all(data)
    _, other = tabular_rfm.tuned_on_all(replace(data, X=X))
    assert not torch.allclose(M, other)
    assert run_authors(data, 0, 0)["accuracy"] > 0.5


def test_a_class_of_one_row_divides_all_the_same():
    data = two_features(name="rare")
    y = data.y.copy()
    y[data.folds[0][0][0]] = 3
    assert 0 <= run_inside_fold(replace(data, y=y), 0, 0)["accuracy"] <= 1
