"""`nfa seed`, as a user calls it."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from test_cli import run

import nfa
from nfa.rfm import LayerwiseRFM, load


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small network trained on a table of three classes."""
    folder = tmp_path_factory.mktemp("seed")
    rng = np.random.default_rng(0)
    y = np.arange(240) % 3
    X = rng.normal(size=(240, 4)) + 2 * np.eye(3, 4)[y]
    names = np.array(["cat", "dog", "emu"])
    pd.DataFrame(X, columns=list("abcd")).assign(label=names[y]).to_csv(folder / "t.csv", index=False)
    pd.DataFrame(X, columns=list("abcd")).to_csv(folder / "x.csv", index=False)
    command = [sys.executable, "-m", "nfa", "train", folder / "t.csv", "--target", "label", "--out", folder]
    subprocess.run(
        [*map(str, command), "--width", "9", "--depth", "2", "--epochs", "20"], check=True, capture_output=True
    )
    return folder


def test_it_writes_machines_and_tables_and_says_a_sentence_for_each_layer(trained, tmp_path, capsys):
    status, out, err = run(
        capsys, "seed", trained / "net.safetensors", "--init", trained / "init.safetensors", "--data",
        trained / "t.csv", "--target", "label", "--out", tmp_path, "--updates", 1, "--features", "nfm",
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert "Rows divided as in training" in out
    assert out.count("a kernel machine on its inputs, started from the NFM, has") == 3
    table = pd.read_csv(tmp_path / "seeding.csv")
    # The same in Python, with the file's own scaling and classes.
    data = nfa.load_data(str(trained / "t.csv"), "label").divide(test=0.2, seed=0)
    train, test = data.part("train"), data.part("test")
    names = np.array(data.class_names)
    machines = LayerwiseRFM.from_network(
        trained / "net.safetensors", train.X, names[train.y], trained / "init.safetensors", features="nfm", n_iters=1
    )
    expected = machines.score_frame(test.X, names[test.y])
    assert list(table["features"]) == list(expected["features"])
    np.testing.assert_allclose(table["error"], expected["error"], atol=0.03)
    np.testing.assert_allclose(table["network_error"], expected["network_error"])
    np.testing.assert_allclose(table["cosine_nfm"], expected["cosine_nfm"], atol=1e-4)
    assert nfa.Audit.load(tmp_path)["layers.1"]["d_in"] == 9
    for name, machine in machines.machines_.items():
        read = load(tmp_path / "machines" / f"{name[-1]}-{name}.safetensors")
        np.testing.assert_allclose(read.M_, machine.M_, atol=1e-4)


def test_every_option(trained, tmp_path, capsys):
    status, _, err = run(
        capsys, "seed", trained / "net.safetensors", "--data", trained / "t.csv", "--target", "label", "--out",
        tmp_path, "--updates", 0, "--power", 0.5, "--layers", "layers.[01]", "--split", "test", "--seed", 3,
        "--outputs", "margin", "--device", "cpu",
    )  # fmt: skip
    assert (status, err) == (0, "")
    table = pd.read_csv(tmp_path / "seeding.csv")
    assert set(table["name"]) == {"layers.0", "layers.1"}
    assert set(table["n"]) == {192}  # fitted to the test rows, tested on the others
    assert nfa.Audit.load(tmp_path).about.outputs == "margin"


def test_rows_that_nobody_divided_are_divided(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seednets.py").write_text(
        "from torch import nn\ndef build():\n    return nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))\n"
    )
    rng = np.random.default_rng(0)
    pd.DataFrame(rng.normal(size=(50, 3)), columns=list("abc")).to_csv("t.csv", index=False)
    status, out, _ = run(capsys, "seed", "seednets:build", "--data", "t.csv", "--target", "c", "--out", "o")
    assert status == 0
    assert "Rows divided at random: 20% are held out as test rows." in out
    table = pd.read_csv("o/seeding.csv")
    assert set(table["metric"]) == {"1 - R^2"}
    # Nobody said that the network was not trained on them.
    doubt = "It is not known which rows the network was trained on; it may know those that are tested here."
    assert doubt in out
    assert "10 others tested (the network may know them)" in " ".join(out.split())
    assert doubt in nfa.Audit.load("o").about.notes
    assert table["note"].str.contains("the network may have been trained on the rows tested").all()


def test_rows_that_the_network_does_not_know_are_not_doubted_and_its_training_rows_are(trained, tmp_path, capsys):
    call = ["seed", trained / "net.safetensors", "--target", "label", "--out", tmp_path, "--updates", 0, "--data"]
    _, out, _ = run(capsys, *call, trained / "t.csv")
    assert ("trained on" in out, "may know" in out) == (False, False)
    assert not pd.read_csv(tmp_path / "seeding.csv")["note"].str.contains("trained on", na=False).any()
    _, out, _ = run(capsys, *call, trained / "t.csv", "--split", "test")
    known = "The rows tested here are those that the network was trained on: its own error there is no test error."
    assert known in out
    assert known in nfa.Audit.load(tmp_path).about.notes
    assert (
        pd.read_csv(tmp_path / "seeding.csv")["note"].str.contains("the network was trained on the rows tested").all()
    )
    # Other rows than those of training are divided anew.
    pd.read_csv(trained / "t.csv").head(200).to_csv(tmp_path / "fewer.csv", index=False)
    _, out, _ = run(capsys, *call, tmp_path / "fewer.csv")
    assert "it may know those that are tested here" in out


def test_the_order_of_the_labels_can_be_said(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seedorder.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def build():\n    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))\n"
        "    for layer in (net[0], net[2]):\n"
        "        layer.weight.data, layer.bias.data = torch.eye(3), torch.zeros(3)\n"
        "    return net\n"
    )
    y = np.arange(300) % 3
    X = np.eye(3)[y] + 0.1 * np.random.default_rng(0).normal(size=(300, 3))
    pd.DataFrame(X).assign(label=np.array(["emu", "cat", "dog"])[y]).to_csv("t.csv", index=False)
    call = ["seed", "seedorder:build", "--data", "t.csv", "--target", "label", "--out", "o", "--updates", 0]
    for options, error in (([], 1.0), (["--classes", "emu,cat,dog"], 0.0)):
        assert run(capsys, *call, *options)[0] == 0
        assert set(pd.read_csv("o/seeding.csv")["network_error"]) == {error}
    # An order that was said is in the audit beside the table, and is not doubted, even where it is wrong.
    for options, doubted in (([], True), (["--classes", "cat,dog,emu"], False)):
        _, out, _ = run(capsys, *call, *options)
        assert ("the order of the labels may not be" in out.replace("\n", " ")) == doubted
        assert nfa.Audit.load("o").about.classes == (("cat", "dog", "emu") if options else ())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--features", "nfms"], "features: 'nfms' is unknown; did you mean 'nfm'?"),
        (["--layers", "layer.0"], "layers: 'layer.0' is unknown; did you mean 'layers.0'?"),
        (["--power", "-1"], "power: got -1.0, expected a number above 0"),
        (["--updates", "-1"], "updates: got -1, expected a whole number of at least 0"),
        (["--split", "val"], "split: t.csv has no val rows"),
        (["--device", "meta"], "device: 'meta' computes nothing"),
        (["--features", "init_nfm"], "features: no layer has a machine"),
    ],
)
def test_unusable_calls(trained, tmp_path, capsys, options, message):
    call = ["seed", trained / "net.safetensors", "--data", trained / "t.csv", "--target", "label", "--out", tmp_path]
    status, _, err = run(capsys, *call, *options)
    assert (status, err.count("\n")) == (2, 1)
    assert message in err


def test_data_without_targets_and_a_missing_network(trained, tmp_path, capsys):
    status, _, err = run(capsys, "seed", trained / "net.safetensors", "--data", trained / "x.csv", "--out", tmp_path)
    assert (status, "has no targets to fit machines to" in err) == (2, True)
    status, _, err = run(capsys, "seed", "no.pt", "--data", trained / "t.csv", "--out", tmp_path)
    assert (status, "no such file" in err) == (2, True)
