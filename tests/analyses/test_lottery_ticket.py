"""Lottery tickets: coordinates that matter are found among louder ones; the findings' words."""

import numpy as np
import pandas as pd
import pytest

from analyses import lottery_ticket
from analyses.analysis import Options
from analyses.coordinates import NETWORK, RFM
from analyses.lottery_ticket import chosen, findings, on_coordinates, rows
from nfa.data import Dataset


def loud(name, options, n, n_test, seed):
    """Two quiet coordinates tell the class, thirty louder ones do not."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n + n_test, 32)).astype(np.float32)
    y = (X[:, 3] + X[:, 20] > 0).astype(np.int64)
    X[:, [3, 20]] *= 0.8
    split = {"train": np.arange(n), "test": np.arange(n, n + n_test)}
    return Dataset(X, y, name=name, class_names=("a", "b"), split=split)


@pytest.mark.parametrize("model", [RFM, NETWORK | {"epochs": 10}])
def test_the_ticket_is_found(model, monkeypatch):
    monkeypatch.setitem(lottery_ticket.TASKS, "loud", loud)
    cell = {"dataset": "made", "task": "loud", "n": 400, "n_test": 300, "seed": 0, **model, "fraction": 2 / 32}
    found = {}
    for choice in ("agop", "variance", "random"):
        (row,) = rows({**cell, "choice": choice}, Options())
        assert (row["kept"], row["d"]) == (2, 32)
        found[choice] = row["accuracy"]
    (row,) = rows({**cell, "choice": "all", "fraction": 1.0}, Options())
    assert found["agop"] > 0.93
    assert found["agop"] >= row["accuracy"]
    assert max(found["variance"], found["random"]) < 0.85


def test_choices():
    data = loud("made", Options(), 50, 10, 0)
    diagonal = np.zeros(32)
    diagonal[[3, 20]] = 1, 2
    assert chosen("agop", 2, data, diagonal, 0).tolist() == [3, 20]
    assert not {3, 20} & set(chosen("variance", 2, data, diagonal, 0).tolist())
    drawn = chosen("random", 16, data, diagonal, 0)
    assert len(set(drawn.tolist())) == 16
    np.testing.assert_array_equal(on_coordinates(data, drawn).X, data.X[:, drawn])


def test_findings():
    about = {"dataset": "made", "task": "pair", "model": "rfm", "d": 100, "kept": 10}
    records = [
        {"choice": "all", "fraction": 1.0, "seed": 0, "accuracy": 0.9},
        *(
            {"choice": choice, "fraction": 0.1, "seed": seed, "accuracy": accuracy + 0.1 * seed}
            for choice, accuracy in (("agop", 0.8), ("random", 0.5))
            for seed in (0, 1)
        ),
    ]
    table = pd.DataFrame(records).assign(**about)
    whole, few = findings(table)
    assert "test accuracy 90 % on all 100" in whole
    assert "10 % kept (10): test accuracy, %, by agop 85 (80 to 90), random 55 (50 to 60)." in few
    assert len(findings(table[table["choice"] == "random"])) == 1
