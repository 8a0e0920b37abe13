"""Every format on the command line: the README's table, row by row."""

import json
import re
import sys
import warnings

import numpy as np
import pytest
import skops.io
import torch
from helpers import assert_same_table, gaussian
from safetensors.torch import save_file
from sklearn.neural_network import MLPClassifier
from torch import nn

import nfa
from nfa import cli

COMMANDS = {
    "nfa's own": "net.safetensors --init init.safetensors",
    "state dict": "net.pt --activation tanh --init init.pt",
    "checkpoint": "net.ckpt --activation tanh --init init.pt",
    "weights into a factory": "net.pth --model nets:build --init init.pt",
    "a factory for weights and for init": "net.pth --model nets:build --init nets:build",
    "foreign safetensors": "weights.safetensors --activation tanh --init init.pt",
    "under a key and a prefix": "both.pt --key nets.mine --prefix actor.net --activation tanh --init both0.pt",
    "exported program": "net.pt2 --init init.pt2",
    "onnx": "net.onnx --init init.onnx",
    "factory": "nets:trained --init nets:build",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One network before and after training in every format, and data for it."""
    folder = tmp_path_factory.mktemp("formats")
    init = nfa.MLP(6, [8, 5], 2, 3, activation="tanh", bias=True, seed=1)
    net = nfa.MLP(6, [8, 5], 2, 3, activation="tanh", bias=True, seed=2)
    shapes = ({0: torch.export.Dim("batch")},)
    for name, each in (("net", net), ("init", init)):
        state = each.state_dict()
        nfa.save_model(folder / f"{name}.safetensors", nfa.load(each))
        for suffix in ("pt", "pth"):
            torch.save(state, folder / f"{name}.{suffix}")
        torch.save({"epoch": 3, "state_dict": {f"model.{k}": v for k, v in state.items()}}, folder / f"{name}.ckpt")
        both = {f"{part}.net.{k}": v for part in ("actor", "critic") for k, v in state.items()}
        number = "" if name == "net" else "0"
        torch.save({"nets": {"mine": both, "theirs": state}}, folder / f"both{number}.pt")
        example = (torch.zeros(2, 6),)
        with warnings.catch_warnings():  # of the exporters
            warnings.simplefilter("ignore")
            torch.export.save(torch.export.export(each, example, dynamic_shapes=shapes), folder / f"{name}.pt2")
            torch.onnx.export(each, example, folder / f"{name}.onnx", dynamic_shapes=shapes, verbose=False, dynamo=True)
    save_file(net.state_dict(), folder / "weights.safetensors")
    (folder / "nets.py").write_text(
        "import nfa\n"
        "def build():\n    return nfa.MLP(6, [8, 5], 2, 3, activation='tanh', bias=True, seed=1)\n"
        "def trained():\n    return nfa.load('net.pt', model=build()).net\n"
        "class Two(nfa.MLP):\n"
        "    def forward(self, x):\n        f = super().forward(x)\n        return {'scores': f, 'sum': f.sum(1)}\n"
        "def two():\n    return Two(6, [8, 5], 2, 3, activation='tanh', bias=True, seed=1)\n"
    )
    np.savez(folder / "data.npz", X=gaussian(40, 6).numpy(), y=np.arange(40) % 3)
    return folder


def run(folder, monkeypatch, capsys, command, data="data.npz"):
    monkeypatch.chdir(folder)
    sys.modules.pop("nets", None)
    monkeypatch.setattr(sys, "argv", ["nfa", "audit", *command.split(), "--data", data, "--out", "out"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out, err = capsys.readouterr()
    return caught.value.code, out, err


@pytest.mark.parametrize("kind", COMMANDS)
def test_the_same_network_from_every_format(kind, folder, monkeypatch, capsys):
    status, _, err = run(folder, monkeypatch, capsys, COMMANDS[kind])
    assert (status, err) == (0, "")
    net, init = (nfa.load(folder / f"{name}.safetensors").net for name in ("net", "init"))
    data = (gaussian(40, 6, dtype=torch.float32), torch.arange(40) % 3)
    expected, got = nfa.audit(net, data, init), nfa.Audit.load(folder / "out")
    assert_same_table(got, expected, 1e-5)
    assert got.score.value == expected.score.value
    assert json.loads((folder / "out" / "audit.json").read_text())["model"] == COMMANDS[kind].split()[0]


def test_scikit_learn_from_its_file(folder, monkeypatch, capsys):
    X, y = gaussian(40, 6).numpy(), np.arange(40) % 3
    estimator = MLPClassifier((8,), solver="lbfgs", max_iter=500, random_state=0).fit(X, y)
    skops.io.dump(estimator, folder / "net.skops")
    status, out, err = run(folder, monkeypatch, capsys, "net.skops")
    assert (status, err) == (0, "")
    assert "ends in Softmax; logits are its input" in out
    audit = nfa.Audit.load(folder / "out")
    assert audit.score.value == pytest.approx(estimator.score(X, y))
    assert any("ends in Softmax" in note for note in audit.about.notes)
    assert "ends in Softmax" in (folder / "out" / "report.html").read_text()


def test_one_of_several_outputs(folder, monkeypatch, capsys):
    status, _, err = run(folder, monkeypatch, capsys, "nets:two")
    assert (status, err.count("\n")) == (2, 1)
    assert "choose one: head='scores', head='sum'" in err
    assert run(folder, monkeypatch, capsys, "nets:two --head scores")[0] == 0
    assert nfa.Audit.load(folder / "out").about.n_outputs == 3


def test_rows_in_the_shape_and_numbers_that_a_network_wants(folder, monkeypatch, capsys):
    (folder / "shapes.py").write_text(
        "from torch import nn\n"
        "def pictures():\n    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))\n"
        "def steps():\n    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Flatten(), nn.Linear(20, 3))\n"
        "def tokens():\n    return nn.Sequential(nn.Embedding(9, 2), nn.Flatten(), nn.Linear(32, 3))\n"
    )
    draw = np.random.default_rng(0)
    np.savez(folder / "pictures.npz", X=draw.normal(size=(20, 1, 4, 4)))
    np.savez(folder / "steps.npz", X=draw.normal(size=(20, 4, 4)))
    np.savez(folder / "tokens.npz", X=draw.integers(0, 9, size=(20, 16)))
    for kind, rows in (("pictures", 80), ("steps", 80), ("tokens", 320)):
        status, _, err = run(folder, monkeypatch, capsys, f"shapes:{kind}", f"{kind}.npz")
        assert (status, err) == (0, "")
        assert nfa.Audit.load(folder / "out")[0]["rows"] == rows


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("net.pt", r"activation: the file holds weights alone; .*--activation relu"),
        ("net.pt --activation rely", "did you mean 'relu'"),
        ("net.onnx --activation relu", "activation: only for files of weights"),
        ("net.pt --model nets:missing", "nets has no function 'missing'"),
        ("net.pt --model nets", "model: got 'nets', expected package.module:factory, as in mypackage.nets:build"),
        ("net.safetensors --activation relu", "activation: net.safetensors was written by nfa"),
        ("net.onnx --model nets:build", "model: only for files of weights"),
        ("cut.onnx", "cannot read cut.onnx as ONNX"),
        ("cut.pt2", "cut.pt2 was not written by torch.export.save"),
        ("whole.pt", "needs code to be opened .* where it was made, "),
        ("empty.pt2", "empty.pt2 is empty"),
        ("net.onnx --outputs output:7", "no output 7; the network has 3"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_status_2(command, message, folder, monkeypatch, capsys):
    for name in ("net.onnx", "net.pt2"):
        (folder / name.replace("net", "cut")).write_bytes((folder / name).read_bytes()[:-50])
    torch.save(nn.Linear(6, 2), folder / "whole.pt")
    (folder / "empty.pt2").write_bytes(b"")
    status, _, err = run(folder, monkeypatch, capsys, command)
    assert status == 2
    assert err.count("\n") == 1
    assert re.search(message, err), err
