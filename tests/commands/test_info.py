"""`nfa info`: what a file holds, without data."""

import json

import pytest
import torch
from helpers import runner

import nfa
from nfa.cli import app
from nfa.formats.contents import contents


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*arguments):
    return runner().invoke(app, ["info", *arguments])


def save_mlp(path="net.safetensors"):
    scaling = nfa.data.Scaling.fit("max", torch.rand(9, 4).numpy())
    split = {"test": 0.2, "val": 0.0, "seed": 0, "rows": 9}
    model = nfa.network.Model(nfa.MLP(4, [8], n_outputs=2), "net", scaling, split, tuple("abcd"), ("cat", "dog"))
    nfa.save_model(path, model)


def test_a_file_that_says_all_of_its_network():
    save_mlp()
    output = run("net.safetensors").output
    assert "weight 8 x 4" in output
    assert "Inputs: a, b, c, d." in output
    assert "Outputs: cat, dog." in output
    assert "Scaling of inputs: max." in output
    assert "nfa audit net.safetensors --data DATA --init MODEL0 --out DIR" in output
    found = contents("net.safetensors")
    assert [part.shapes for part in found.parts] == [{"weight": (8, 4)}, {"weight": (2, 8)}]
    assert found.entries == 48
    assert not [each for each in found.missing if "scaling" in each or "--classes" in each]


def test_a_regression_on_a_table_needs_its_target_and_no_classes():
    settings = {"loss": "mse", "data": "plant.csv"}
    nfa.save_model("net.safetensors", nfa.network.Model(nfa.MLP(4, [8], n_outputs=1), "net", settings=settings))
    output = run("net.safetensors").output
    assert "nfa audit net.safetensors --data DATA --target NAME --init MODEL0 --out DIR" in output
    assert "--classes" not in output


def test_weights_alone_are_told_by_tensors_and_what_they_need():
    torch.save({"net": {"0.weight": torch.randn(8, 4), "2.weight": torch.randn(3, 8)}, "epoch": 3}, "net.pt")
    result = run("net.pt")
    assert result.exit_code == 0
    assert "net.0.weight" in result.output
    assert "8 x 4" in result.output
    assert "activation: the file holds weights alone" in result.output
    assert "Audit it" not in result.output
    result = run("net.pt", "--activation", "relu")
    assert "nfa audit net.pt --activation relu --data DATA" in result.output
    assert {part.kind for part in contents("net.pt", activation="relu").parts} == {"layer"}
    assert "Rebuilt as a chain" in result.output


def test_several_networks_in_one_file_are_all_told():
    weights = {"0.weight": torch.randn(8, 4), "2.weight": torch.randn(3, 8)}
    torch.save({"actor": weights, "critic": weights}, "agent.pt")
    found = contents("agent.pt")
    assert [part.name for part in found.parts] == [
        "actor.0.weight", "actor.2.weight", "critic.0.weight", "critic.2.weight",
    ]  # fmt: skip
    assert "several state dicts (actor, critic)" in found.missing[0]


def test_a_function_of_the_user_s(tmp_path, monkeypatch):
    (tmp_path / "infonets.py").write_text(
        "from torch import nn\ndef build():\n    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.Linear(2, 2).half())\n"
    )
    output = run("infonets:build").output
    assert "weight 3 x 1 x 3 x 3, bias 3" in output
    assert "(float16)" in output
    assert "a function that returns a network" in output


def test_json_holds_the_same():
    save_mlp()
    found = json.loads(run("net.safetensors", "--json").stdout)
    assert found["format"] == "safetensors"
    assert found["parts"][0] == {
        "name": "layers.0", "kind": "Linear", "shapes": {"weight": [8, 4]}, "dtype": "float32", "entries": 32,
    }  # fmt: skip
    assert found["said"]["outputs"] == "cat, dog"
    assert found["network"] is True


def test_names_from_a_file_command_no_terminal():
    torch.save({"a\x1b[31m.weight": torch.randn(2, 3)}, "net.pt")
    assert "\x1b" not in run("net.pt").output


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.pt", None, "model: no such file"),
        ("net.pt", b"damaged", "model: net.pt cannot be read: it is truncated"),
        ("net.joblib", b"", ".joblib files run code"),
        ("net.safetensors", b"damaged", "cannot read net.safetensors as safetensors"),
    ],
)
def test_what_cannot_be_read_is_one_line(name, content, message, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(nfa.InputError, match=message):
        contents(name)


def test_buffers_are_no_weights(tmp_path):
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, 2, 3))
    file = tmp_path / "conv.pt"
    torch.save(net.state_dict() | {"mask": torch.ones(5, dtype=torch.bool)}, file)
    found = contents(str(file))
    kinds = {part.name: part.kind for part in found.parts}
    assert {name for name, kind in kinds.items() if kind == "buffer"} == {
        *("1.running_mean", "1.running_var", "1.num_batches_tracked"),
        "mask",
    }
    assert found.entries == sum(weight.numel() for weight in net.parameters())
