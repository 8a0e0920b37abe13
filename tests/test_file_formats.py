"""A network and an audit written by the code of the first version are read, and are what they were."""

import json
from pathlib import Path

import numpy as np
import torch

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
    audit = nfa.Audit.load(FILES / "audit-1")
    assert [layer["name"] for layer in audit] == EXPECTED["audit"]["name"]
    assert [layer["cosine"] for layer in audit] == EXPECTED["audit"]["cosine"]
    assert audit.score.metric == "accuracy"
    for layer in audit:
        N, A = (matrix.dense() for matrix in (layer.nfm, layer.agop))
        np.testing.assert_allclose(float((N * A).sum() / (N.norm() * A.norm())), layer["cosine"], rtol=1e-5)


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
