"""A network, an audit and a tracker written by the code of the first version are read, and are what they were."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

import nfa
from nfa.tracking import History

FILES = Path(__file__).parent / "files"
EXPECTED = json.loads((FILES / "expected-1.json").read_text())


def test_a_network_of_schema_1():
    model = nfa.load(FILES / "network-1.safetensors")
    assert (model.features, model.classes) == (("u", "v", "w"), ("no", "yes"))
    assert (model.split["rows"], model.settings["loss"]) == (12, "cross_entropy")
    inputs = model.scaling.apply(np.array(EXPECTED["rows"], dtype=np.float32))
    outputs = model.net(torch.from_numpy(inputs)).detach()
    np.testing.assert_allclose(outputs, EXPECTED["network"], rtol=1e-5, atol=1e-6)


def test_an_audit_of_schema_1():
    """As nfa 0.1.0 wrote it, without groups and without the hash of its matrices."""
    saved = json.loads((FILES / "audit-1" / "audit.json").read_text())
    assert not {"groups", "features_sha256"} & set(saved)
    audit = nfa.Audit.load(FILES / "audit-1")
    assert [layer["name"] for layer in audit] == ["layers.0", "layers.1"]
    # `pearson_sqrt_centered` is there on request alone now; columns that it did not have are empty.
    columns = set(audit.to_frame().columns) - {"note"}
    for layer, row in zip(audit, saved["layers"], strict=True):
        for column in row.keys() & columns:
            assert layer[column] == row[column] or (row[column] is None and math.isnan(layer[column]))
        N, A = (matrix.dense() for matrix in (layer.nfm, layer.agop))
        np.testing.assert_allclose(float((N * A).sum() / (N.norm() * A.norm())), layer["cosine"], rtol=1e-5)
        assert layer.agop.trace() == pytest.approx(layer["agop_trace"])
    assert audit.score.metric == "accuracy"
    assert audit.about.loss == "onehot_mse"
    assert "version 0.1.0 measured this, which gives no verdicts" in audit.sentences()[1]


def test_an_audit_of_schema_2():
    """Its first layer has few rows, so that the file holds these in the place of S."""
    with safe_open(FILES / "audit-2" / "features.safetensors", "pt") as file:
        parts = set(file.keys())
    assert {"layers.0.D", "layers.0.mean", "layers.1.S", "layers.1.S_centered"} <= parts
    assert "layers.0.S" not in parts
    audit = nfa.Audit.load(FILES / "audit-2")
    for layer in audit:
        N, A = (matrix.dense() for matrix in (layer.nfm, layer.agop))
        np.testing.assert_allclose(float((N * A).sum() / (N.norm() * A.norm())), layer["cosine"], rtol=1e-5)
        assert layer.agop.trace() == pytest.approx(layer["agop_trace"])
        assert float(layer.S.trace()) >= float(layer.S_centered.trace()) >= 0


def test_a_tracker_of_schema_1():
    frame = History.load(FILES / "tracker-1").to_frame()
    assert frame["epoch"].tolist() == [0, 0, 0, 1, 1, 1]
    assert frame["name"].tolist() == ["", "0", "2"] * 2
    np.testing.assert_allclose(frame["init_cosine"].dropna(), [1, 1, 0.9430395, 1], rtol=1e-6)
    np.testing.assert_allclose(frame["score"].dropna(), 0.55)
    assert frame["loss"].dropna().tolist() == [0.5]
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    tracker = nfa.Tracker(net, torch.eye(3))
    tracker.history.settings = History.load(FILES / "tracker-1").settings
    tracker.load(FILES / "tracker-1")
    assert tracker.cost.audits == 2
