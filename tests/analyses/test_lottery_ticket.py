"""Lottery tickets: coordinates that matter are found among louder ones; the findings' words."""

import numpy as np
import pandas as pd
import pytest

from analyses import lottery_ticket
from analyses.analysis import Options
from analyses.coordinates import NETWORK, RFM, learned
from analyses.lottery_ticket import SGD, best_step, cells, chosen, f_scores, findings, on_coordinates, rows
from nfa.common import InputError
from nfa.data import Dataset


def loud(name, options, n, n_test, seed):
    """Two quiet coordinates tell the class, thirty louder ones do not."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n + n_test, 32)).astype(np.float32)
    y = (X[:, 3] + X[:, 20] > 0).astype(np.int64)
    X[:, [3, 20]] *= 0.8
    split = {"train": np.arange(n), "test": np.arange(n, n + n_test)}
    return Dataset(X, y, name=name, class_names=("a", "b"), split=split)


CHOOSER = {f"chooser_{key}": value for key, value in SGD.items()}


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


def test_a_network_by_sgd_chooses_for_one_by_adam(monkeypatch):
    monkeypatch.setitem(lottery_ticket.TASKS, "loud", loud)
    seen = []
    monkeypatch.setattr(lottery_ticket, "learned", lambda data, cell: seen.append(cell) or learned(data, cell))
    cell = {"dataset": "made", "task": "loud", "n": 400, "n_test": 300, "seed": 0, **NETWORK, "epochs": 10, **CHOOSER}
    cell |= {"choice": "agop_sgd", "chooser_lr": "0.1 1e9"}
    (own,) = rows({**cell, "fraction": 1.0}, Options())
    (few,) = rows({**cell, "fraction": 2 / 32}, Options())
    by_sgd = ("sgd", SGD["init"], SGD["epochs"])
    assert [(each["optimizer"], each["init"], each["epochs"]) for each in seen] == [
        *[by_sgd] * 3,
        ("adam", "default", 10),
    ]
    assert [each["lr"] for each in seen] == [0.1, 1e9, 0.1, NETWORK["lr"]]
    assert own["step"] == few["step"] == 0.1
    assert (own["kept"], few["kept"]) == (32, 2)
    assert own["accuracy"] > 0.85
    assert few["accuracy"] > 0.93


def test_the_step_is_chosen_on_held_out_training_rows(monkeypatch):
    data = loud("made", Options(), 50, 10, 0)
    accuracies = {0.1: 0.5, 0.3: 0.9, 1.0: 0.9}

    class Stub:
        def __init__(self, step):
            self.step = step

        def accuracy(self, X, y):
            np.testing.assert_array_equal(X, data.X[0:50:5])
            np.testing.assert_array_equal(y, data.y[0:50:5])
            return accuracies[self.step]

    def fitted(divided, cell):
        assert not set(divided.split["train"]) & {*range(0, 50, 5), *data.split["test"]}
        if cell["lr"] not in accuracies:
            raise InputError("lr", "the loss is nan")
        return Stub(cell["lr"])

    monkeypatch.setattr(lottery_ticket, "learned", fitted)
    assert best_step(data, {}, [3.0, 1.0, 0.3, 0.1]) == 0.3
    with pytest.raises(InputError, match="lr: the loss is nan"):
        best_step(data, {}, [3.0, 10.0])


def test_only_networks_are_chosen_for_by_sgd():
    made = pd.DataFrame(cells(Options(quick=True)))
    by_sgd = made[made["choice"] == "agop_sgd"]
    assert set(by_sgd["model"]) == {"network"}
    assert by_sgd["chooser_lr"].eq(SGD["lr"]).all()
    assert made.loc[made["choice"] != "agop_sgd", "chooser_lr"].isna().all()
    assert {"f_score", "all"} < set(made.loc[made["model"] == "rfm", "choice"])


def test_f_scores_are_those_of_an_analysis_of_variance():
    data = loud("made", Options(), 200, 10, 0)
    X, y = data.X[:200].astype(np.float64), data.y[:200]
    X[:, 7] = 3
    between, within = np.zeros(32), np.zeros(32)
    for number in (0, 1):
        rows_of = X[y == number]
        between += len(rows_of) * (rows_of.mean(0) - X.mean(0)) ** 2
        within += ((rows_of - rows_of.mean(0)) ** 2).sum(0)
    expected = np.divide(between, within / 198, out=np.zeros(32), where=within > 1e-9)
    np.testing.assert_allclose(f_scores(X, y), expected)
    assert {3, 20} <= set(chosen("f_score", 4, data, np.zeros(32), 0).tolist())


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
    whole, few, missing = findings(table)
    assert "test accuracy 90 % on all (100 coordinates)" in whole
    assert "10 % kept (10): test accuracy, %, by agop 85 (80 to 90), random 55 (50 to 60)." in few
    assert missing == (
        "made, pair, rfm: missing: agop (1 of 3 seeds), f_score (3 of 3 seeds), variance (3 of 3 seeds), "
        "random (1 of 3 seeds)."
    )
    assert len(findings(table[table["choice"] == "random"])) == 2


def test_findings_say_how_good_the_network_is_that_chose():
    about = {"dataset": "made", "task": "pair", "model": "network", "d": 100, "choice": "agop_sgd"}
    records = [
        {**about, "fraction": fraction, "kept": round(100 * fraction), "seed": seed, "accuracy": accuracy, "step": 0.1}
        for fraction, accuracy in ((1.0, 0.9), (0.1, 0.7))
        for seed in (0, 1, 2)
    ]
    whole, few, missing = findings(pd.DataFrame(records))
    assert whole == "made, pair, network: test accuracy 90 % on all, by SGD (100 coordinates; steps of 0.1)."
    assert few.endswith("10 % kept (10): test accuracy, %, by agop_sgd 70.")
    assert "agop_sgd" not in missing
