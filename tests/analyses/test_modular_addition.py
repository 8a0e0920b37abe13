"""Modular addition: the structure that is measured, where it is known; the recursion finds it; the findings' words."""

import pandas as pd
import pytest
import torch

from analyses import modular_addition
from analyses.analysis import Options
from analyses.modular_addition import (
    between_diagonals,
    cells,
    findings,
    on_the_diagonal,
    random_features,
    rows,
    table_of_sums,
)


def test_all_rows_are_sums_and_none_is_twice():
    X, y, X_test, y_test = table_of_sums(7, 0.6, seed=1)
    assert (len(X), len(X_test)) == (29, 20)
    every, sums = torch.cat([X, X_test]), torch.cat([y, y_test])
    a, b = every[:, :7].argmax(1), every[:, 7:].argmax(1)
    assert every.sum() == 2 * 49
    assert (a + b).remainder(7).equal(sums)
    assert len(set(zip(a.tolist(), b.tolist(), strict=True))) == 49


def test_independent_entries_have_the_expected_shares():
    p, generator = 31, torch.Generator().manual_seed(0)
    found = [between_diagonals(torch.randn(p, p, generator=generator)) for _ in range(200)]
    assert sum(found) / 200 == pytest.approx(1 / (p + 1), rel=0.05)
    assert on_the_diagonal(torch.randn(p, p, generator=generator)) < 0.02


def test_random_features_are_what_they_are_called():
    circulant, shuffled = random_features(11, 3, True), random_features(11, 3, False)
    for M in (circulant, shuffled):
        torch.testing.assert_close(M, M.T)
        assert torch.linalg.eigvalsh(M)[0] > -1e-12
    assert between_diagonals(circulant[:11, :11]) == pytest.approx(1)
    assert between_diagonals(circulant[:11, 11:]) == pytest.approx(1)
    assert between_diagonals(shuffled[:11, 11:]) < 0.3


def test_the_recursion_learns_the_other_part_and_a_circulant_block():
    cell = next(cell for cell in cells(Options(quick=True)) if cell["features"] == "recursion")
    found = pd.DataFrame(rows(cell, Options(quick=True)))
    paths = found[found["quantity"] != "M"].pivot_table(index="iteration", columns="quantity", values="value")
    assert paths["train_accuracy"].min() == 1
    assert paths["test_accuracy"][0] < 0.05
    assert paths["test_accuracy"].iloc[-1] > 0.9
    assert paths["circulant"].iloc[-1] > 0.95
    assert paths["identity"].iloc[-1] > 0.95
    M = found[found["quantity"] == "M"].pivot_table(index="row", columns="column", values="value")
    assert M.shape == (23, 46)
    assert between_diagonals(torch.tensor(M.to_numpy()[:, 23:])) == pytest.approx(paths["circulant"].iloc[-1], abs=1e-2)


def test_without_a_reason_it_learns_nothing():
    """Sums in random places of the table: no update helps."""
    cell = next(cell for cell in cells(Options(quick=True)) if cell["features"] == "recursion")

    def lottery(p, share, seed):
        X, y, X_test, y_test = table_of_sums(p, share, seed)
        order = torch.randperm(p * p, generator=torch.Generator().manual_seed(0))
        drawn = torch.cat([y, y_test])[order]
        return X, drawn[: len(y)], X_test, drawn[len(y) :]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modular_addition, "table_of_sums", lottery)
        found = pd.DataFrame(rows(cell | {"seed": 1}, Options(quick=True)))
    found = found[found["quantity"] == "test_accuracy"]
    assert found["value"].max() < 0.15


def table():
    """Two seeds of one kernel: 90 % is passed after 2 and after 1 updates."""
    accuracies = {0: (0.0, 0.5, 0.9), 1: (0.0, 0.95, 1.0)}
    records = [
        {"features": "recursion", "seed": seed, "iteration": iteration, "quantity": quantity, "value": value}
        for seed, path in accuracies.items()
        for iteration, accuracy in enumerate(path)
        for quantity, value in (
            ("test_accuracy", accuracy),
            ("train_accuracy", 1.0),
            ("circulant", float("nan") if iteration == 0 else 0.4 * iteration),
        )
    ]
    records += [
        {"features": features, "seed": 0, "iteration": 0, "quantity": "test_accuracy", "value": value}
        for features, value in (("circulant", 0.9), ("shuffled", 0.1))
    ]
    return pd.DataFrame(records).assign(kernel="gaussian", p=61, share=0.5, row=None, column=None)


def test_findings():
    path, circulant, shuffled = findings(table())
    assert "0 % at M = I (chance 1.6 %), 95 (90 to 100) % after 2 updates" in path
    assert "0.4 after the first update, 0.8 after the last (independent entries: 0.016)" in path
    assert "90 % passed after 2 (1 to 2) updates" in path
    assert "random circulant C: test accuracy 90 %" in circulant
    assert "random places: test accuracy 10 %" in shuffled


def test_findings_of_what_is_there():
    whole = table()
    assert len(findings(whole[whole["features"] == "shuffled"])) == 1
    assert "after 0 updates" in findings(whole[whole["iteration"] == 0])[0]
    assert findings(whole[whole["quantity"] == "M"]) == []
