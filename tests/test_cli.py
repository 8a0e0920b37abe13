"""The command line, as a user calls it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import nfa
from nfa import cli


def run(capsys, *arguments):
    """Exit status, standard output and standard error of one call."""
    sys.argv = ["nfa", *map(str, arguments)]
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out, err = capsys.readouterr()
    return caught.value.code, out, err


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small network trained on digits by the command line."""
    folder = tmp_path_factory.mktemp("trained")
    command = [sys.executable, "-m", "nfa", "train", "digits", "--out", folder, "--width", "32", "--depth", "2"]
    subprocess.run([*map(str, command), "--epochs", "30", "--init", "factor:0.3"], check=True, capture_output=True)
    return folder


def test_train_writes_what_audit_needs(trained):
    assert {path.name for path in trained.iterdir()} >= {"net.safetensors", "init.safetensors", "history.csv"}
    assert len(pd.read_csv(trained / "history.csv")) == 30
    model = nfa.load(trained / "net.safetensors")
    assert model.scaling.kind == "max"
    assert model.split == {"test": 0.2, "val": 0.0, "seed": 0, "rows": 1797}
    assert model.settings["loss"] == "onehot_mse"


def test_a_loss_that_does_not_fit_the_targets_is_one_line(trained, tmp_path, capsys):
    call = ["audit", trained / "net.safetensors", "--data", "digits", "--out", tmp_path, "--loss", "mse"]
    status, _, err = run(capsys, *call)
    assert status == 2
    assert "onehot_mse" in err
    assert err.count("\n") == 1


def test_audit_applies_scaling_and_split_and_says_so(trained, tmp_path, capsys):
    status, out, err = run(
        capsys, "audit", trained / "net.safetensors", "--init", trained / "init.safetensors", "--data", "digits",
        "--out", tmp_path,
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert "Rows divided as in training" in out
    assert "Inputs scaled as in training (max)" in out
    assert "The network has learned its task" in out
    assert out.count("Layer ") == 3
    headings = next(line for line in out.splitlines() if "cosine" in line)
    assert all(heading.strip() for heading in headings.strip("┃").split("┃"))
    assert {path.name for path in tmp_path.iterdir()} == {"audit.json", "features.safetensors", "report.html"}
    saved = json.loads((tmp_path / "audit.json").read_text())
    assert (saved["n_samples"], saved["split"]) == (1438, "train")
    # The same table as in Python.
    data = nfa.load_data("digits").divide(test=0.2, seed=0)
    model = nfa.load(trained / "net.safetensors")
    before = nfa.load(trained / "init.safetensors")
    audit = nfa.audit(model.net, data.scaled(model.scaling), before.net)
    assert [layer["cosine"] for layer in saved["layers"]] == pytest.approx([layer["cosine"] for layer in audit])


def test_every_option_of_audit(trained, tmp_path, capsys):
    status, _, err = run(
        capsys, "audit", trained / "net.safetensors", "--data", "digits", "--out", tmp_path, "--outputs", "output:3",
        "--layers", "layers.[01]", "--split", "test", "--samples", 50, "--probes", 2, "--device", "cpu", "--seed", 7,
        "--no-report", "--loss", "onehot_mse", "--published", "--init", trained / "init.safetensors",
    )  # fmt: skip
    assert (status, err) == (0, "")
    saved = json.loads((tmp_path / "audit.json").read_text())
    assert [saved[key] for key in ("n_samples", "split", "outputs", "n_outputs", "seed", "probes")] == [
        50, "test", "output:3", 1, 7, 2,
    ]  # fmt: skip
    assert [layer["name"] for layer in saved["layers"]] == ["layers.0", "layers.1"]
    assert saved["layers"][0]["fact_lambda"] is not None
    assert saved["layers"][0]["fact_residual"] is None  # trained without weight decay
    assert saved["layers"][0]["published_cosine"] is not None
    assert not (tmp_path / "report.html").exists()


def test_published_numbers_without_init_are_refused(trained, tmp_path, capsys):
    call = ("audit", trained / "net.safetensors", "--data", "digits", "--out", tmp_path / "o", "--published")
    status, _, err = run(capsys, *call)
    assert status == 2
    assert "published: the published numbers are of the weights' change: give init=, the network before" in err
    assert err.count("\n") == 1


def test_a_factory_and_a_table(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clinets.py").write_text("import torch\ndef build():\n    return torch.nn.Linear(2, 2)\n")
    pd.DataFrame({"a": [1, 2, 3], "b": [3, 4, 5], "y": ["u", "v", "u"]}).to_csv("t.csv", index=False)
    status, out, err = run(capsys, "audit", "clinets:build", "--data", "t.csv", "--target", "y", "--out", "o")
    assert (status, err) == (0, "")
    assert "all 3 rows of t.csv" in out


def test_a_table_without_a_target_that_does_not_fit_asks_for_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "twonets.py").write_text("import torch\ndef build():\n    return torch.nn.Linear(2, 2)\n")
    pd.DataFrame({"a": [1, 2, 3], "b": [3, 4, 5], "y": [0, 1, 0]}).to_csv("t.csv", index=False)
    status, out, err = run(capsys, "audit", "twonets:build", "--data", "t.csv", "--out", "o")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("nfa: data: ")
    assert err.endswith(" (without --target all 3 columns of t.csv are features)\n")


def test_train_on_a_table_for_regression_and_resume(tmp_path, capsys):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "y": X[:, 0]}).to_csv(tmp_path / "t.csv", index=False)
    call = ["train", tmp_path / "t.csv", "--target", "y", "--out", tmp_path / "o", "--width", "8,4", "--val", "0.2"]
    assert run(capsys, *call, "--epochs", 2, "--keep", "best")[0] == 0
    status, out, _ = run(capsys, *call, "--epochs", 4, "--keep", "best")
    assert status == 0
    assert "Trained 4 epochs" in out
    model = nfa.load(tmp_path / "o" / "net.safetensors")
    assert model.scaling.kind == "standard"
    assert model.settings["loss"] == "mse"
    # Another network, or other data, is another training.
    for change in (["--activation", "tanh"], ["--scaling", "none"], ["--seed", 1]):
        status, _, err = run(capsys, *call, "--epochs", 4, "--keep", "best", *change)
        assert status == 2
        assert "delete it to start again" in err
    status, _, err = run(capsys, *call, "--epochs", 4, "--lr", 0.5)
    assert status == 2
    assert "delete it to start again" in err


@pytest.fixture
def labelled(tmp_path, monkeypatch, capsys):
    """A network trained on a table with named columns and classes, and that table."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = np.arange(150) % 3
    X = rng.normal(size=(150, 3)) + 2 * np.eye(3)[y]
    table = pd.DataFrame(X, columns=["a", "b", "c"]).assign(label=np.array(["cat", "dog", "emu"])[y])
    table.to_csv("t.csv", index=False)
    call = ["train", "t.csv", "--target", "label", "--out", "o", "--loss", "cross_entropy", "--width", "16"]
    assert run(capsys, *call, "--epochs", 30, "--lr", 0.01)[0] == 0
    return table


def audited(capsys, file):
    status, out, err = run(
        capsys, "audit", "o/net.safetensors", "--data", file, "--target", "label", "--split", "all", "--out", "a"
    )
    return status, out, err


def test_columns_and_classes_are_matched_by_name(labelled, capsys):
    assert audited(capsys, "t.csv")[0] == 0
    expected = nfa.Audit.load("a")
    labelled[["c", "label", "a", "b"]].to_csv("reordered.csv", index=False)
    audited(capsys, "reordered.csv")
    assert nfa.Audit.load("a")[0]["cosine"] == expected[0]["cosine"]
    assert nfa.Audit.load("a").score == expected.score
    # Without dogs, cats and emus keep their outputs.
    labelled[labelled["label"] != "dog"].to_csv("subset.csv", index=False)
    status, out, _ = audited(capsys, "subset.csv")
    assert status == 0
    assert "Not the data of training (100 rows, not 150)" in out
    assert nfa.Audit.load("a").score.value > 0.8
    labelled.assign(label="yak").to_csv("yak.csv", index=False)
    status, _, err = audited(capsys, "yak.csv")
    assert (status, "class 'yak' is not among the network's: cat, dog, emu" in err) == (2, True)
    labelled.rename(columns={"b": "z"}).to_csv("renamed.csv", index=False)
    status, _, err = audited(capsys, "renamed.csv")
    assert (status, "has no column 'b'" in err) == (2, True)


def test_whole_numbers_are_the_outputs_of_these_numbers(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plainnets.py").write_text(
        "import torch\ndef build():\n    net = torch.nn.Linear(3, 3, bias=False)\n"
        "    net.weight.data = torch.eye(3)\n    return net\n"
    )
    np.savez("t.npz", X=np.eye(3)[[0, 2, 0, 2]], y=np.array([0, 2, 0, 2]))
    assert run(capsys, "audit", "plainnets:build", "--data", "t.npz", "--out", "a")[0] == 0
    assert nfa.Audit.load("a").score.value == 1.0


def test_the_order_of_the_labels_can_be_said(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ordernets.py").write_text(
        "import torch\ndef build():\n    net = torch.nn.Linear(3, 3, bias=False)\n"
        "    net.weight.data = torch.eye(3)\n    return net\n"
    )
    order = np.array(["emu", "cat", "dog"])
    pd.DataFrame(np.eye(3)[np.arange(60) % 3]).assign(label=order[np.arange(60) % 3]).to_csv("t.csv", index=False)
    call = ["audit", "ordernets:build", "--data", "t.csv", "--target", "label", "--out", "a"]
    status, out, err = run(capsys, *call)
    assert (status, err, nfa.Audit.load("a").score.value) == (0, "", 0.0)
    assert "Classes in sorted order are outputs 0 to 2: cat, dog, emu; classes= (--classes) says another order." in out
    assert "the order of the labels may not be that of the network's outputs" in out
    assert run(capsys, *call, "--classes", "emu, cat,dog")[0] == 0
    assert nfa.Audit.load("a").score.value == 1.0
    status, _, err = run(capsys, *call, "--classes", "emu,cat")
    assert (status, err) == (2, "nfa: y: class 'dog' is not among the network's: emu, cat\n")


def test_integer_targets_can_be_regressed(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.arange(60) % 20
    pd.DataFrame({"x": x / 20, "age": 2 * x}).to_csv("t.csv", index=False)
    call = ["train", "t.csv", "--target", "age", "--loss", "mse", "--out", "o", "--width", "8", "--epochs", 3]
    status, _, err = run(capsys, *call)
    assert (status, err) == (0, "")
    assert run(capsys, "audit", "o/net.safetensors", "--data", "t.csv", "--target", "age", "--out", "a")[0] == 0
    assert nfa.Audit.load("a").score.metric == "r2"


def test_names_are_not_markup(trained, tmp_path, capsys):
    import shutil

    shutil.copy(trained / "net.safetensors", tmp_path / "net[bold].safetensors")
    _, out, _ = run(capsys, "audit", tmp_path / "net[bold].safetensors", "--data", "digits", "--out", tmp_path / "o")
    assert "net[bold].safetensors" in out


BLOCKS = re.findall(r"```\n(.*?)```", (Path(__file__).parent.parent / "docs" / "first-audit.md").read_text(), re.DOTALL)


def without_numbers(text):
    """The words of an output in order; another machine may round its numbers otherwise."""
    return re.sub(r"[0-9][0-9.e-]*", "#", text).split()


def test_demo_prints_what_the_docs_show(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, "demo", "--out", "runs/demo")
    assert (status, err) == (0, "")
    assert without_numbers(out) == without_numbers(next(block for block in BLOCKS if "Trained" in block))
    audit = nfa.Audit.load("runs/demo")
    assert audit.score.value > 0.95
    assert (audit.score.rows, audit.about.split) == ("test", "train")
    for layer in list(audit)[:-1]:
        assert layer["ci_low"] > 0.2 + max(layer["untrained_cosine"], layer["init_cosine_null"])
    assert out.count("consistent with feature learning") == 3
    assert [layer["verdict"] for layer in audit] == ["learned"] * 3 + ["trivial"]


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_demo_on_a_table(kind, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X = np.random.default_rng(0).normal(size=(6000, 3))
    y = np.where(X[:, 0] > 0, "up", "down") if kind == "classes" else X[:, 0] * X[:, 1]
    pd.DataFrame(X, columns=list("abc")).assign(answer=y).to_csv("t.csv", index=False)
    status, out, err = run(capsys, "demo", "t.csv", "--target", "answer", "--out", "o")
    assert (status, err) == (0, "")
    assert "The network has learned its task" in out
    loss, score = {"classes": ("onehot_mse", "accuracy"), "numbers": ("mse", "R^2")}[kind]
    assert re.search(rf" by {loss}: loss \S+, {re.escape(score)} \S+ on them\.", out)
    audit = nfa.Audit.load("o")
    assert (audit.score.metric, audit.about.feature_names) == (
        "accuracy" if kind == "classes" else "r2",
        tuple("abc"),
    )
    status, _, err = run(capsys, "demo", "t.csv", "--target", "anwser", "--out", "o")
    assert (status, "target: 'anwser' is unknown; did you mean 'answer'?" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["audits"], "No such command 'audits'"),
        (["audit"], "Missing"),
        (["audit", "NET", "--data", "digits"], "Missing option '--out'"),
        (["audit", "NET", "--data", "digits", "--out", "OUT", "--sampels", "3"], "No such option: --sampels"),
        (["audit", "NET", "--data", "digits", "--out", "OUT", "--samples", "many"], "Invalid value for '--samples'"),
        (["audit", "NET", "--data", "digits", "--out", "OUT", "--samples", "0"], "samples: got 0"),
        (["audit", "NET", "--data", "digist", "--out", "OUT"], "did you mean 'digits'"),
        (["audit", "NET", "--data", "digits", "--out", "OUT", "--layers", "layer.0"], "did you mean 'layers.0'"),
        (["audit", "NET", "--data", "digits", "--out", "OUT", "--outputs", "logit"], "did you mean 'logits'"),
        (["audit", "NET", "--data", "digits", "--out", "OUT", "--split", "tets"], "did you mean 'test'"),
        (["audit", "NET", "--data", "digits", "--out", "OUT", "--device", "gpu9"], "device: cannot use 'gpu9'"),
        (["audit", "NET", "--data", "digits", "--out", "NET"], "out: cannot write to"),
        (["audit", "NET", "--data", "digits", "--out", "/proc/nowhere"], "out: cannot write to /proc/nowhere"),
        (["audit", "missing.safetensors", "--data", "digits", "--out", "OUT"], "model: no such file"),
        (["audit", "net.joblib", "--data", "digits", "--out", "OUT"], ".joblib files run code when they are opened"),
        (["audit", "NET", "--data", "digits", "--init", "OTHER", "--out", "OUT"], "init: layer layers.0 has shape"),
        (["audit", "NET", "--data", "wide.npz", "--out", "OUT"], "but the inputs' scaling is|features reach layer"),
        (["audit", "NET", "--data", "digits", "--out", "OUT", "--seed", "-1"], "seed: got -1"),
        (["audit", "NET", "--data", "digits", "--init", "gone.safetensors", "--out", "OUT"], "init: no such file"),
        (["audit", ":x", "--data", "digits", "--out", "OUT"], "model: got ':x', expected package.module:factory"),
        (["audit", "..a:b", "--data", "digits", "--out", "OUT"], r"model: cannot import '\.\.a'"),
        (["audit", "json:loads", "--data", "digits", "--out", "OUT"], "model: json:loads takes arguments"),
        (["audit", "NET", "--data", "digits", "--out", "OUT", "--device", "meta"], "device: "),
        (["train", "digits", "--out", "OUT", "--seed", "-3"], "seed: got -3"),
        (["train", "digits", "--out", "OUT", "--lr", "-1"], "lr: got -1"),
        (["demo", "--out", "OUT", "--seed", "-3"], "seed: got -3"),
        (["train", "digits", "--out", "OUT", "--width", "a,b"], "width: got 'a,b'"),
        (["train", "digits", "--out", "OUT", "--activation", "rleu"], "did you mean 'relu'"),
        (["train", "digits", "--out", "OUT", "--test", "2"], "together below 1"),
        (["train", "wide.npz", "--out", "OUT"], "no targets"),
        (["demo", "digist", "--out", "OUT"], "did you mean 'digits'"),
    ],
)
def test_a_bad_call_is_one_line_and_status_2(trained, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    np.savez("wide.npz", X=np.random.default_rng(0).normal(size=(20, 70)))
    from nfa.network import Model

    nfa.save_model(tmp_path / "other.safetensors", Model(nfa.MLP(64, 16, 2, 10), "other"))
    places = {"NET": trained / "net.safetensors", "OUT": tmp_path / "out", "OTHER": tmp_path / "other.safetensors"}
    status, _, err = run(capsys, *(places.get(argument, argument) for argument in arguments))
    assert status == 2
    assert err.count("\n") == 1
    assert err.startswith("nfa: ")
    assert re.search(message, err), err


def test_anything_else_is_status_1_with_a_traceback(tmp_path):
    (tmp_path / "broken.py").write_text("raise RuntimeError('mine')\n")  # a module that cannot even be imported
    command = [sys.executable, "-m", "nfa", "audit", "broken:build", "--data", "digits", "--out", "o"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "RuntimeError: mine" in done.stderr


def test_help_needs_no_heavy_import():
    code = "import sys; sys.argv = ['nfa', 'audit', '--help']\nfrom nfa import cli\n"
    code += "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
    code += "assert not {'torch', 'pandas', 'sklearn', 'scipy', 'matplotlib'} & set(sys.modules), 'heavy'"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
