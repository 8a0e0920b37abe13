"""Files of every version of torch.export's JSON, written by torch of their time, are the network that was saved."""

import json
from pathlib import Path

import pytest
import torch
from exported import edit_old, refusal

import nfa

FILES = Path(__file__).parents[2] / "files"
EXPECTED = json.loads((FILES / "expected-exported.json").read_text())


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_answers_as_the_module_did(name):
    model = nfa.load(FILES / f"{name}.pt2")
    outputs = model.net(torch.tensor(EXPECTED[name]["rows"]))
    if model.ending == "softmax":
        outputs = outputs.softmax(-1)
    torch.testing.assert_close(outputs, torch.tensor(EXPECTED[name]["outputs"]), rtol=1e-6, atol=1e-6)
    assert (model.ending == "softmax") is ("pictures" in name)


@pytest.mark.parametrize("version", [5, 7, 8])
def test_layers_have_the_names_of_the_module(version):
    net = nfa.load(FILES / f"exported-{version}-residual.pt2").net
    names = {"start", "W", "values.weight", "values.bias", "inner.a.weight", "norm.weight", "norm.bias"}
    assert {name for name, _ in net.named_parameters()} == {f"0.{name}" for name in names}
    audit = nfa.audit(net, torch.randn(40, 6, generator=torch.Generator().manual_seed(0)))
    assert [layer["name"] for layer in audit] == ["0.values", "0.inner.a", "0.W"]
    (skipped,) = audit.skipped  # `start`, which is added to what it computes
    assert (skipped["name"], skipped["kind"].split(",")[0]) == ("0", "Residual")
    net = nfa.load(FILES / f"exported-{version}-pictures.pt2").net
    assert [name for name, _ in net.named_parameters()] == [
        f"{place}.{name}" for place in (0, 1, 6) for name in ("weight", "bias")
    ]
    assert [type(part).__name__ for part in net.children()] == ["Conv2d", "BatchNorm2d", "Linear"]


def test_versions_that_no_release_wrote_are_read_if_they_lie_between_and_others_refused(tmp_path):
    for version in (4, 6, 9, "7"):
        path = tmp_path / f"{version}.pt2"
        path.write_bytes((FILES / "exported-7-pictures.pt2").read_bytes())
        edit_old(path, lambda document, version=version: document["schema_version"].update(major=version))
    rows = torch.tensor(EXPECTED["exported-7-pictures"]["rows"])
    assert torch.equal(nfa.load(tmp_path / "6.pt2").net(rows), nfa.load(FILES / "exported-7-pictures.pt2").net(rows))
    for version in (4, 9, "7"):
        assert f"has schema version {version}, expected 5 to 8" in refusal(tmp_path / f"{version}.pt2")
