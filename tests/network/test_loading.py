"""Every way to name a network."""

import pickle
import re
from pathlib import Path

import pytest
import torch
from torch import nn

import nfa
from nfa.network import Model


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
    (tmp_path / "net.h5").write_bytes(b"something")
    (tmp_path / "folder.onnx").mkdir()
    torch.save(nn.Linear(3, 2).state_dict(), tmp_path / "net.pt")
    cases = [
        ("no such file", tmp_path / "missing.onnx", {}),
        ("no such file", "missing", {}),
        ("folder.onnx is not a file", tmp_path / "folder.onnx", {}),
        (r"net.h5 is of no format that is read \(.pt, .*onnx", tmp_path / "net.h5", {}),
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


def test_the_same_network_may_be_named_for_two_files(tmp_path):
    net, init, template = (nn.Linear(3, 2) for _ in range(3))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    torch.save(init.state_dict(), tmp_path / "init.pt")
    before = template.weight.clone()
    loaded, initial = (nfa.load(tmp_path / name, model=template).net for name in ("net.pt", "init.pt"))
    assert torch.equal(loaded.weight, net.weight)
    assert torch.equal(initial.weight, init.weight)
    assert torch.equal(template.weight, before)
