"""Networks as files, and by factory."""

import contextlib

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save_file

import nfa
from nfa.data import Scaling
from nfa.network import Model


def saved(path, dtype=torch.float32, scaling="standard"):
    net = nfa.MLP(3, [5, 4], n_outputs=2, activation="tanh", bias=True, init="factor:0.5").to(dtype)
    fitted = Scaling.fit(scaling, np.random.default_rng(0).normal(2, 3, (20, 3)))
    model = Model(
        net, "net", fitted, {"test": 0.2, "val": 0.1, "seed": 4, "rows": 20}, tuple("abc"), ("u", "v"), {"loss": "mse"}
    )
    nfa.save_model(path, model)
    return model


@pytest.mark.parametrize("scaling", Scaling.KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_what_is_saved_comes_back(tmp_path, dtype, scaling):
    model = saved(tmp_path / "net.safetensors", dtype, scaling)
    loaded = nfa.load(tmp_path / "net.safetensors")
    assert loaded.net.architecture == model.net.architecture
    for name, tensor in model.net.state_dict().items():
        assert torch.equal(loaded.net.state_dict()[name], tensor)
    assert (loaded.features, loaded.classes) == (model.features, model.classes)
    assert (loaded.split, loaded.settings, loaded.scaling.kind) == (model.split, model.settings, scaling)
    X = np.random.default_rng(1).normal(size=(4, 3))
    np.testing.assert_array_equal(loaded.scaling.apply(X), model.scaling.apply(X))
    assert not loaded.net.training


def test_damaged_and_foreign_files_are_one_line(tmp_path):
    good = tmp_path / "net.safetensors"
    saved(good)
    whole = good.read_bytes()

    def damaged(content):
        path = tmp_path / "bad.safetensors"
        path.write_bytes(content)
        return path

    for content in (whole[:20], whole[: len(whole) // 2], whole[:-3], b"not safetensors at all", whole[8:]):
        with pytest.raises(nfa.InputError, match="truncated or of another kind"):
            nfa.load(damaged(content))
    with pytest.raises(nfa.InputError, match="is empty"):
        nfa.load(damaged(b""))
    with pytest.raises(nfa.InputError, match="no such file"):
        nfa.load(tmp_path / "missing.safetensors")
    for metadata in ("{}", "[]", "{", '{"architecture": {"d": 3}, "scaling": null, "split": null, "settings": {}}'):
        save_file({"weight": torch.zeros(2, 2)}, str(tmp_path / "odd.safetensors"), metadata={"nfa": metadata})
        with pytest.raises(nfa.InputError, match="does not fit its tensors"):
            nfa.load(tmp_path / "odd.safetensors")


def test_a_flipped_bit_is_a_model_or_one_line(tmp_path):
    """Any single damaged byte: either the file still reads, or it is refused in one line."""
    good = tmp_path / "net.safetensors"
    saved(good)
    whole = bytearray(good.read_bytes())
    rng = np.random.default_rng(0)
    for place in [*range(0, 64), *rng.integers(0, len(whole), 150)]:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "flipped.safetensors").write_bytes(bytes(flipped))
        with contextlib.suppress(nfa.InputError):
            nfa.load(tmp_path / "flipped.safetensors")


def test_weights_that_are_not_finite_are_named(tmp_path):
    net = nfa.MLP(3, 4, 1, 2)
    with torch.no_grad():
        net.layers[1].weight[1, 2] = float("nan")
    nfa.save_model(tmp_path / "net.safetensors", Model(net, "net"))
    with pytest.raises(nfa.InputError, match=r"layers\.1\.weight: nan at row 1, column 2"):
        nfa.load(tmp_path / "net.safetensors")


def test_what_cannot_be_saved(tmp_path):
    with pytest.raises(nfa.InputError, match=r"only nfa\.MLP can be saved"):
        nfa.save_model(tmp_path / "net.safetensors", Model(torch.nn.Linear(2, 2), "net"))
    with pytest.raises(nfa.InputError, match="cannot write"):
        nfa.save_model(tmp_path / "no" / "folder.safetensors", Model(nfa.MLP(3), "net"))


def test_headers_that_lie_are_one_line(tmp_path):
    import json

    good = {
        "architecture": {"d": 3, "width": [4], "n_outputs": 2, "activation": "relu", "bias": False, "init": "default"},
        "scaling": None, "split": None, "features": None, "classes": None, "settings": {},
    }  # fmt: skip
    tensors = {"layers.0.weight": torch.zeros(4, 3), "layers.1.weight": torch.zeros(2, 4)}
    path = tmp_path / "net.safetensors"
    save_file(tensors, str(path), metadata={"nfa": json.dumps(good)})
    assert nfa.load(path).net.architecture == good["architecture"]
    scaling = {"scaling.shift": torch.zeros(3), "scaling.scale": torch.ones(3)}
    lies = [
        ({"architecture": good["architecture"] | {"d": 30_000, "width": [30_000]}}, {}),
        ({"architecture": good["architecture"] | {"width": 10**12}}, {}),
        ({"split": {"foo": 1}}, {}),
        ({"split": "abc"}, {}),
        ({"split": {"test": 0.2, "val": 0.0, "seed": -1, "rows": 5}}, {}),
        ({"scaling": "max"}, {}),
        ({"scaling": "odd"}, scaling),
        ({"scaling": "standard"}, scaling | {"scaling.scale": torch.zeros(3)}),
        ({"scaling": "standard"}, scaling | {"scaling.shift": torch.full((3,), float("nan"))}),
        ({"classes": 3}, {}),
        ({"settings": 3}, {}),
    ]
    for change, extra in lies:
        save_file(tensors | extra, str(path), metadata={"nfa": json.dumps(good | change)})
        with pytest.raises(nfa.InputError, match="does not fit its tensors"):
            nfa.load(path)


@pytest.mark.parametrize("version", [2, 0, "1", None, [1]])
def test_an_unknown_version_is_refused_by_its_number(version, tmp_path):
    import json

    saved(tmp_path / "net.safetensors")
    whole = (tmp_path / "net.safetensors").read_bytes()
    tensors = load_tensors(whole)
    header = json.loads(json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])["__metadata__"]["nfa"])
    assert header["schema"] == 1
    path = tmp_path / "new.safetensors"
    save_file(tensors, str(path), metadata={"nfa": json.dumps(header | {"schema": version})})
    with pytest.raises(nfa.InputError, match=r"^model: .*new.safetensors has schema .*, expected 1$"):
        nfa.load(path)
    save_file(tensors, str(path), metadata={"nfa": json.dumps(header | {"more": 1})})
    assert nfa.load(path).classes == ("u", "v")
