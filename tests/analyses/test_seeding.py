"""The seeding analysis: what is reached when, and that absent sets are named."""

import numpy as np
import pandas as pd
import pytest

from analyses import seeding
from analyses.analysis import Options


def timing(identity, agop, seed=0, dataset="digits"):
    rows = []
    for features, errors in (("identity", identity), ("agop", agop)):
        for number, error in enumerate(errors):
            rows.append({"features": features, "n_iters": number, "error": error, "processor_seconds": 2.0 * number})
    return pd.DataFrame(rows).assign(part="time", dataset=dataset, seed=seed)


def test_both_starts_are_held_to_the_least_error_that_both_reach():
    table = pd.concat([timing([0.3, 0.2, 0.1], [0.2, 0.2, 0.15]), timing([0.1, 0.1, 0.1], [0.4, 0.3, 0.2], seed=1)])
    found = seeding.reached(table, "n_iters")
    assert found["error"].tolist() == [0.15, 0.2]
    assert (found["identity"].tolist(), found["agop"].tolist()) == ([2, 0], [2, 2])
    assert seeding.reached(table, "processor_seconds")["identity"].tolist() == [4.0, 0.0]


def uci_folder(folder, names):
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    parts = {"tune_train": np.arange(30), "tune_val": np.arange(30, 60)}
    parts |= {f"fold{k}_{part}": parts["tune_train" if part == "train" else "tune_val"] for k in range(4) for part in
              ("train", "test")}  # fmt: skip
    for name in names:
        np.savez(folder / f"{name}.npz", X=rng.normal(size=(60, 4)) + np.eye(3, 4)[y], y=y, **parts)


def test_uci_sets_are_taken_where_they_are(tmp_path):
    uci_folder(tmp_path, seeding.UCI)
    cells = seeding.cells(Options(folder=tmp_path))
    assert {cell["dataset"] for cell in cells} >= {"digits", *seeding.UCI}
    assert len({cell["seed"] for cell in cells}) == 5
    assert not {cell["dataset"] for cell in seeding.cells(Options(folder=tmp_path / "no"))} & set(seeding.UCI)
    cell = next(cell for cell in cells if cell["dataset"] == "cardiotocography-10clases")
    data = seeding.dataset(cell, Options(folder=tmp_path))
    assert (data.part("train").n, data.part("test").n, data.n_outputs) == (36, 24, 3)
    np.testing.assert_allclose(data.part("train").X.mean(0), 0, atol=1e-6)


@pytest.fixture(scope="module")
def table():
    [cell] = seeding.cells(Options(quick=True))
    found = pd.DataFrame(list(seeding.rows(cell, Options(quick=True))))
    return found.assign(dataset=cell["dataset"], seed=cell["seed"])


def test_a_cell_has_all_three_parts(table):
    assert set(table["part"]) == {"layers", "time", "substitution"}
    assert (table[table["part"] == "time"].groupby("features")["processor_seconds"].min() >= 0).all()
    layers, first = table[table["part"] == "layers"], table[table["part"] == "time"]
    # RFMs on X are the machines of the first layer.
    for features in ("identity", "agop"):
        errors = first[first["features"] == features]["error"].tolist()
        same = layers[(layers["features"] == features) & (layers["layer"] == 0)]["error"].tolist()
        assert errors == pytest.approx(same, abs=0.02)


def test_findings_name_every_layer_and_the_sets_that_are_not_there(table):
    said = "\n".join(seeding.findings(table))
    for expected in (
        "digits: an RFM on X reaches",
        "layers.0, % errors",
        "layers.3, % errors",
        "above the projector's",
    ):
        assert expected in said
    assert "Not in the table: image-segmentation, cardiotocography-10clases" in said
