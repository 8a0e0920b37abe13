"""Every way to name a network."""

import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.neural_network import MLPClassifier
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import nfa
from nfa.network import Model
from nfa.network.preparing import encoded


def test_a_factory_of_the_user_s_own(tmp_path, monkeypatch):
    (tmp_path / "mynets.py").write_text(
        "import torch\ndef build():\n    return torch.nn.Linear(3, 2)\ndef wrong():\n    return 3\n"
        "def asks(width):\n    return torch.nn.Linear(3, width)\nvalue = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    assert isinstance(nfa.load("mynets:build").net, nn.Linear)
    for message, source in {
        "returned int, expected a torch.nn.Module": "mynets:wrong",
        "takes arguments": "mynets:asks",
        "mynets has no function 'value'": "mynets:value",
        "mynets has no function 'missing'": "mynets:missing",
        "cannot import 'nowhere'": "nowhere:build",
    }.items():
        with pytest.raises(nfa.InputError, match=message):
            nfa.load(source)


def test_a_network_and_a_model_load_as_themselves():
    net = nn.Linear(3, 2).train()
    model = nfa.load(net)
    assert model.net is net
    assert net.training
    assert nfa.load(model) is model
    assert isinstance(model, Model)


@pytest.mark.parametrize("suffix", [".joblib", ".pkl", ".pickle"])
def test_a_pickle_is_refused_with_what_to_do_instead(tmp_path, suffix):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    path = tmp_path / f"net{suffix}"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(nfa.InputError, match=re.escape(f"{suffix} files run code") + r".*skops\.io\.dump"):
        nfa.load(path)
    assert not (tmp_path / "ran").exists()


def test_what_cannot_be_loaded_is_one_line(tmp_path):
    (tmp_path / "net.xyz").write_bytes(b"something")
    (tmp_path / "folder.onnx").mkdir()
    torch.save(nn.Linear(3, 2).state_dict(), tmp_path / "net.pt")
    cases = [
        ("no such file", tmp_path / "missing.onnx", {}),
        ("no such file", "missing", {}),
        ("folder.onnx is a folder without config.json; give a file", tmp_path / "folder.onnx", {}),
        (r"net.xyz is of no format that is read \(.pt, .*onnx", tmp_path / "net.xyz", {}),
        ("activation: only for files of weights", tmp_path / "net.onnx", {"activation": "relu"}),
        ("model: only for files of weights", "some.module:factory", {"model": nn.Linear(3, 2)}),
        ("model: cannot import 'nowhere'", tmp_path / "net.pt", {"model": "nowhere:build"}),
    ]
    for message, source, options in cases:
        with pytest.raises(nfa.InputError, match=message) as caught:
            nfa.load(source, **options)
        assert "\n" not in str(caught.value)
    with pytest.raises(nfa.InputError, match="init: no such file"):
        nfa.load(tmp_path / "missing.pt", argument="init")


@pytest.mark.parametrize("kind", [nn.Linear, MLPClassifier, nfa.MLP])
def test_a_class_is_no_network_yet(kind):
    for argument, call in {
        "model": lambda: nfa.load(kind, activation="relu"),
        "net": lambda: nfa.audit(kind, torch.eye(3)),
        "init": lambda: nfa.audit(nn.Linear(3, 2), torch.eye(3), kind),
    }.items():
        with pytest.raises(
            nfa.InputError, match=rf"^{argument}: got the class {kind.__name__}: call it, {kind.__name__}\(\)$"
        ):
            call()


def test_the_same_network_may_be_named_for_two_files(tmp_path):
    net, init, template = (nn.Linear(3, 2) for _ in range(3))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    torch.save(init.state_dict(), tmp_path / "init.pt")
    before = template.weight.clone()
    loaded, initial = (nfa.load(tmp_path / name, model=template).net for name in ("net.pt", "init.pt"))
    assert torch.equal(loaded.weight, net.weight)
    assert torch.equal(initial.weight, init.weight)
    assert torch.equal(template.weight, before)


def test_the_order_of_the_labels_is_said_once_and_serves_every_kind_of_data():
    """The network answers emu, cat, dog, which is no sorted order."""
    order = ["emu", "cat", "dog"]
    X, net = torch.eye(3).repeat(20, 1), nn.Linear(3, 3, bias=False)
    with torch.no_grad():
        net.weight.copy_(torch.eye(3))
    labels = np.array(order * 20)
    data = nfa.Dataset(X.numpy(), np.array([2, 0, 1] * 20), class_names=("cat", "dog", "emu"))
    for given in ((X, labels), (X, labels.tolist()), (X, pd.Series(labels)), data):
        audit = nfa.audit(net, given, classes=order)
        assert (audit.score.value, audit.about.classes) == (1.0, tuple(order))
        assert nfa.audit(nfa.load(net, classes=order), given).score.value == 1.0
        assert nfa.audit(net, given).score.value == 0.0


@pytest.mark.parametrize(
    "order", [[7, 3, 5], [7.0, 3.0, 5.0], np.array([7, 3, 5]), torch.tensor([7, 3, 5]), ["7", "3", "5"]]
)
def test_labels_that_are_numbers_have_an_order_too(order):
    X, net = torch.eye(3).repeat(4, 1), nn.Linear(3, 3, bias=False)
    with torch.no_grad():
        net.weight.copy_(torch.eye(3))
    y = np.array([7, 3, 5] * 4)
    loader = DataLoader(TensorDataset(X, torch.from_numpy(y)), 5)
    objects = y.astype(float).astype(object)
    for given in (
        (X, y),
        (X, y.astype(float)),
        (X, objects),
        (X, torch.from_numpy(y)),
        nfa.Dataset(X.numpy(), y),
        loader,
    ):
        assert nfa.audit(net, given, classes=order).score.value == 1.0


@pytest.mark.parametrize("order", [[0, 1], ["0", "1"], [False, True], ["False", "True"]])
def test_labels_that_are_truth_values_are_classes(order):
    X, net = torch.eye(2).repeat(4, 1), nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        net.weight.copy_(torch.eye(2))
    y = np.arange(8) % 2 == 1
    for given in ((X, y), (X, torch.from_numpy(y)), (X, y.tolist())):
        assert nfa.audit(net, given, classes=order).score.value == 1.0


def test_only_text_is_noted_to_be_sorted_and_not_all_of_it():
    X, net = torch.randn(40, 3), nn.Linear(3, 1)
    real = np.linspace(0, 1, 40).astype(object)
    assert not any("sorted order" in note for note in nfa.audit(net, (X, real.tolist())).about.notes)
    [note] = encoded(Model(nn.Linear(3, 40), "net"), (X, [f"label {number}" for number in range(40)]), 40)[1]
    assert "and 20 more" in note
    assert "label 39" not in note
    with pytest.raises(nfa.InputError, match=r"^y: a list of unequal parts"):
        nfa.audit(net, (X, [[1], [1, 2]] * 20))


def test_an_order_that_does_not_fit_is_refused():
    X, net = torch.eye(3), nn.Linear(3, 3)
    y = ["a", "b", "c"]
    known = Model(net, "net.skops", classes=("a", "b", "c"))
    regression = Model(net, "net.safetensors", settings={"loss": "mse"})
    for message, (source, targets, classes) in {
        r"^y: class 'c' is not among the network's: a, b, d$": (net, y, ["a", "b", "d"]),
        r"^y: classes 'b', 'c' are not among the network's: a, d, e$": (net, y, ["a", "d", "e"]),
        r"^y: class '0' is not among the network's: 1, 2, 3$": (net, np.array([0, 1, 2]), [1, 2, 3]),
        r"^classes: 4 labels, but the network has 3 outputs$": (net, y, ["a", "b", "c", "d"]),
        r"^classes: 'a' is named twice$": (net, y, ["a", "b", "a"]),
        r"^classes: got 'abc', expected the labels in the order of the network's outputs$": (net, y, "abc"),
        r"^classes: got 3, expected the labels": (net, y, 3),
        r"^classes: got \{.*\}, expected the labels": (net, y, set(y)),
        r"^classes: got tensor\(3\), expected the labels": (net, y, torch.tensor(3)),
        r"^classes: got array\(3\), expected the labels": (net, y, np.array(3)),
        r"^classes: got tensor\(\[\[1., 0.": (net, y, torch.eye(3)),
        r"^classes: got \[array": (net, y, list(np.eye(3))),
        r"^classes: got \['a'\], expected the labels": (net, y, ["a"]),
        r"^classes: net.skops says its own: a, b, c$": (known, y, ["b", "a", "c"]),
        r"^classes: net.safetensors was trained on numbers \(mse\), not on classes$": (regression, y, ["b", "a", "c"]),
    }.items():
        with pytest.raises(nfa.InputError, match=message):
            nfa.audit(source, (X, targets), classes=classes)
    assert nfa.load(known, classes=["a", "b", "c"]).classes == ("a", "b", "c")


def test_a_factory_that_fails_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken_nets.py").write_text("def build():\n    raise RuntimeError('no gpu\\ntoday')\n")
    with pytest.raises(nfa.InputError, match=r"^model: broken_nets:build raised RuntimeError: no gpu today$"):
        nfa.load("broken_nets:build", argument="model")
