"""Grokking: the patch is the only reason, and both models find it; the findings' words."""

import numpy as np
import pandas as pd
import pytest
import torch

from analyses.analysis import Options
from analyses.coordinates import RFM, machines
from analyses.grokking import cells, findings, patched, rows
from analyses.setting import pictures


def test_the_patch_alone_tells_the_class():
    plain = pictures("digits", Options(), 400, 100, seed=0)
    data, mask = patched(plain, 2, 0.3, seed=0)
    assert mask.sum() == 4
    np.testing.assert_array_equal(data.X[:, ~mask], plain.X[:, ~mask])
    np.testing.assert_array_equal(data.X[:, mask].max(axis=1), np.float32(0.3) * data.y)
    assert 0.4 < data.y.mean() < 0.6
    assert abs(np.corrcoef(data.y, plain.y)[0, 1]) < 0.15


def small(model, **settings):
    cell = next(cell for cell in cells(Options(quick=True)) if cell["model"] == model)
    found = pd.DataFrame(rows({**cell, "n_test": 300, "contrast": 0.5, **settings}, Options(quick=True)))
    return found.pivot_table(index="time", columns="quantity", values="value")


def test_the_rfm_turns_to_the_patch():
    path = small("rfm", updates=3)
    assert list(path.index) == [0, 1, 2, 3]
    assert path["M"][0] == path["pixels"][0] == 1 / 64
    assert path["M"][3] > 0.5
    assert path["train_accuracy"].min() == 1
    assert path["test_accuracy"][3] > path["test_accuracy"][0] + 0.05


def test_the_network_turns_to_the_patch():
    path = small("network", epochs=120)
    assert path.index[0] == 0
    assert path.index[-1] == 120
    assert abs(path["test_accuracy"][0] - 0.5) < 0.15
    assert path["agop"][120] > 0.4
    assert path["test_accuracy"][120] > 0.75


def test_findings_compare_the_first_fit_with_the_end():
    records = [
        {"dataset": "made", "model": "network", "seed": seed, "time": time, "quantity": quantity, "value": value}
        for seed in (0, 1)
        for time, train, test, agop in ((0, 0.5, 0.5, 0.1), (10, 1.0, 0.6, 0.2), (20, 1.0, 0.9 + 0.1 * seed, 0.8))
        for quantity, value in (("train_accuracy", train), ("test_accuracy", test), ("agop", agop), ("pixels", 0.01))
    ]
    table = pd.DataFrame(records).assign(scale=None, bandwidth=None)
    (said,) = findings(table)
    assert "from training accuracy 100 % (10 epochs) to 20" in said
    assert "test accuracy, % 60 -> 95 (90 to 100)" in said
    assert "AGOP, % 20 -> 80 (of the pixels 1 %)" in said
    assert "never reached" in findings(table[table["time"] == 0])[0]
    assert findings(table[table["quantity"] == "agop"]) == []


def test_findings_tell_bandwidths_apart():
    about = {"dataset": "made", "model": "rfm", "seed": 0}
    records = [
        {
            **about,
            "scale": scale,
            "bandwidth": bandwidth,
            "time": time,
            "quantity": quantity,
            "value": value + time / 10,
        }
        for scale, bandwidth, value in (("median", 1.0, 0.5), ("median", 10.0, 0.6), ("raw", 10.0, 0.7))
        for time in (0, 1)
        for quantity, value in (("train_accuracy", 1 - time / 10), ("test_accuracy", value))
    ]
    said = findings(pd.DataFrame(records))
    assert [line.split(", from")[0] for line in said] == [
        "made, rfm, L = 1 median",
        "made, rfm, L = 10 medians",
        "made, rfm, L = 10, raw M",
    ]
    assert ["50 -> 60" in said[0], "60 -> 70" in said[1], "70 -> 80" in said[2]] == [True] * 3


def test_a_raw_machine_has_the_authors_bandwidth_and_the_agop_as_it_is():
    plain = pictures("digits", Options(), 60, 10, seed=0)
    cell = RFM | {"seed": 0, "updates": 1, "bandwidth": 10.0}
    raw, scaled = list(machines(plain, cell, raw=True)), list(machines(plain, cell))
    assert [machine.bandwidth for machine in raw] == pytest.approx([10.0, 10.0])
    torch.testing.assert_close(raw[1].metric.M, raw[0].agop())
    assert scaled[1].metric.M.max() == pytest.approx(1)


def test_settings_of_one_model_are_not_the_others():
    for cell in cells(Options(quick=True)):
        assert (cell["kernel"] is None) == (cell["model"] == "network")
        assert cell.keys() >= RFM.keys()
