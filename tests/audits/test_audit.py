"""What an audit's files must hold, and what they say of the inputs."""

import hashlib
import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import TensorDataset

import nfa


@pytest.fixture
def saved(small, tmp_path):
    """The folder of an audit, and what its JSON holds."""
    nfa.audit(*small).save(tmp_path)
    return tmp_path, json.loads((tmp_path / "audit.json").read_text())


def change(about, path, value):
    *way, last = path
    for key in way:
        about = about[key]
    if value is KeyError:
        del about[last]
    else:
        about[last] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["model"], KeyError),
        (["data"], 3),
        (["notes"], "a"),
        (["notes"], KeyError),
        (["seed"], "0"),
        (["score"], KeyError),
        (["score"], {"metric": "r2"}),
        (["score"], {"metric": "r2", "value": "1", "baseline": 0.0, "n": 3, "rows": "all", "constant": False}),
        (["score"], {"metric": "r2", "value": 0.1, "baseline": 0.0, "n": 0, "rows": "all", "constant": False}),
        (["score"], {"metric": "r2", "value": 0.1, "baseline": 10**400, "n": 3, "rows": "all", "constant": False}),
        (["score"], {"metric": "r2", "value": math.inf, "baseline": 0.0, "n": 3, "rows": "all", "constant": False}),
        (["thresholds", "z"], KeyError),
        (["thresholds", "z"], "3"),
        (["layers", 0, "cosine"], 10**400),
        (["skipped"], [{"name": "a"}]),
        (["feature_names"], [1]),
        (["feature_shape"], ["a"]),
        (["feature_shape"], [-2, -3]),
        (["feature_shape"], 6),
        (["layers"], {}),
        (["layers"], []),
        (["layers"], [[]]),
        (["layers", 0, "cosine"], "high"),
        (["layers", 0, "cosine"], KeyError),
        (["layers", 0, "name"], 3),
        (["layers", 0, "name"], "other"),
        (["layers", 0, "d_in"], 7),
        (["layers", 0, "trivial"], None),
    ],
)
def test_a_table_that_is_not_whole_is_one_line(saved, path, value):
    folder, about = saved
    change(about, path, value)
    (folder / "audit.json").write_text(json.dumps(about))
    with pytest.raises(nfa.InputError, match=r"^audit: .* does not hold a whole audit$"):
        nfa.Audit.load(folder)


@pytest.mark.parametrize("text", ["[" * 200_000, '{"schema": ' + "1" * 5000 + "}", "\udcff", "{}", "3"])
def test_a_text_that_is_no_table_is_one_line(saved, text):
    folder, _ = saved
    (folder / "audit.json").write_text(text, errors="surrogateescape")
    with pytest.raises(nfa.InputError, match=r"^audit: .* does not hold a whole audit$"):
        nfa.Audit.load(folder)


@pytest.mark.parametrize("value", [math.inf, math.nan, -1])
def test_a_threshold_that_no_audit_has_names_the_file(saved, value):
    folder, about = saved
    about["thresholds"]["z"] = value
    (folder / "audit.json").write_text(json.dumps(about))
    with pytest.raises(nfa.InputError, match=r"^audit: .* does not hold a whole audit \(thresholds.z: got "):
        nfa.Audit.load(folder)


def test_keys_of_a_later_version_are_left_aside(saved):
    folder, about = saved
    expected = nfa.Audit.load(folder).about
    about["score"] = {"metric": "r2", "value": 0.5, "baseline": 0, "n": 3, "rows": "all", "constant": False, "more": 1}
    for holder in (about, about["thresholds"], about["layers"][0]):
        holder["more"] = {"a": 1}
    (folder / "audit.json").write_text(json.dumps(about))
    found = nfa.Audit.load(folder).about
    assert found.thresholds == expected.thresholds
    assert (found.score.value, found.score.n) == (0.5, 3)


def test_an_audit_that_another_replaces_while_it_is_read(saved, small, monkeypatch):
    """What was hashed is what is loaded."""
    folder, _ = saved
    before = nfa.Audit.load(folder)
    small[0].layers[0].weight.data *= 2
    sha256, other = hashlib.sha256, nfa.audit(*small)

    def replaced(content):
        other.save(folder)
        return sha256(content)

    monkeypatch.setattr(hashlib, "sha256", replaced)
    after = nfa.Audit.load(folder)
    assert all(torch.equal(one.weight, two.weight) for one, two in zip(before, after, strict=True))
    assert not torch.equal(nfa.Audit.load(folder)["layers.0"].weight, before["layers.0"].weight)


def test_matrices_that_are_not_finite_are_no_audit(saved):
    folder, _ = saved
    tensors = load_file(folder / "features.safetensors")
    tensors["layers.0.S"][0, 0] = torch.nan
    save_file(tensors, folder / "features.safetensors")
    with pytest.raises(nfa.InputError, match="does not hold a whole audit"):
        nfa.Audit.load(folder)


def test_an_audit_from_before_features_had_names_still_loads(saved):
    folder, about = saved
    for key in ("feature_names", "feature_shape"):
        del about[key]
    (folder / "audit.json").write_text(json.dumps(about))
    assert nfa.Audit.load(folder).about.feature_names == ()


def test_names_and_shape_of_the_inputs_are_kept(small):
    net, X = small
    rows = X.numpy()
    plain = nfa.audit(net, X).about
    assert (plain.feature_names, plain.feature_shape) == ((), ())
    named = nfa.Dataset(rows, feature_names=tuple("abcdef"))
    assert nfa.audit(net, named).about.feature_names == tuple("abcdef")
    frame = pd.DataFrame(rows, columns=[*"abcde", 6])
    assert nfa.audit(net, frame).about.feature_names == (*"abcde", "6")
    assert nfa.audit(net, (frame, np.zeros((len(frame), 3)))).about.feature_names == (*"abcde", "6")
    assert nfa.audit(net, nfa.Dataset(rows, feature_shape=(2, 3))).about.feature_shape == (2, 3)


def test_names_are_in_the_network_s_order(small):
    net, X = small
    model = nfa.network.Model(net, "net", features=tuple("abcdef"))
    frame = pd.DataFrame(X.numpy(), columns=list("abcdef"))
    audit = nfa.audit(model, frame[list("fedcba")])
    assert audit.about.feature_names == tuple("abcdef")
    assert audit[0]["cosine"] == nfa.audit(net, X)[0]["cosine"]


def test_inputs_that_a_pipeline_makes_have_no_names(small):
    net, X = small
    model = nfa.network.Model(net, "net", transform=lambda rows: np.asarray(rows)[:, ::-1].copy())
    frame = pd.DataFrame(X.numpy(), columns=list("abcdef"))
    assert nfa.audit(model, frame).about.feature_names == ()
    assert nfa.audit(model, nfa.Dataset(X.numpy(), feature_names=tuple("abcdef"))).about.feature_names == ()


def test_data_are_called_what_a_reader_understands(small):
    net, X = small
    y = torch.arange(len(X)) % 3
    frame = pd.DataFrame(X.numpy())
    for words, data in {
        "a tensor": X,
        "an array": X.numpy(),
        "a list": X.tolist(),
        "a data frame": frame,
        "a tensor with targets": (X, y),
        "a data frame with targets": (frame, y),
        "rows": nfa.Dataset(X.numpy(), name="rows"),
        "TensorDataset": TensorDataset(X),
    }.items():
        audit = nfa.audit(net, data)
        assert audit.about.data == words
        assert repr(audit).startswith(f"Audit of MLP on all 40 rows of {words}")


def test_the_score_is_shown_with_its_rows(small):
    net, X = small
    audit = nfa.audit(net, (X, torch.arange(len(X)) % 3))
    assert f"; accuracy {audit.score.value:.4g} on all 40 rows (constant answer 0.35)\n" in repr(audit)


def test_an_audit_knows_the_weights_it_is_of(small):
    """To rounding, of another device or dtype, whatever their size; not to a step of training."""
    net, X = small
    layer = nfa.audit(net, X)[0]
    W = net.layers[0].weight.detach()
    assert layer.is_of(W)
    assert layer.is_of(W.float())
    assert not layer.is_of(W.T)
    assert not layer.is_of(W + 1e-4 * W.abs().mean())
    with torch.no_grad():
        net.layers[0].weight.mul_(1e-9)
    assert not nfa.audit(net, X)[0].is_of(1.001e-9 * W)
