"""Audits during `nfa train`."""

import json
import sys
from pathlib import Path

import pytest
import torch

import nfa
from nfa import cli
from nfa.tracking import History


def train(*arguments):
    sys.argv = ["nfa", "train", "digits", "--width", "16", "--depth", "1", *map(str, arguments)]
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code


def test_a_training_that_goes_on_has_the_audits_of_one_that_never_stopped(tmp_path):
    whole, parts, plain = tmp_path / "whole", tmp_path / "parts", tmp_path / "plain"
    assert train("--epochs", 3, "--audit-at", "0,1,3", "--out", whole) == 0
    for epochs, at in ((2, "0,1"), (3, "0,1,3")):
        assert train("--epochs", epochs, "--audit-at", at, "--out", parts) == 0
    frame, other = (History.load(folder).to_frame() for folder in (whole, parts))
    assert frame["epoch"].unique().tolist() == [0, 1, 3]
    assert frame.equals(other)
    assert frame.loc[frame["epoch"] == 0, "init_cosine"].dropna().tolist() == pytest.approx([1, 1])
    assert frame["loss"].notna().sum() == 2
    assert train("--epochs", 3, "--out", plain) == 0
    nets = [nfa.load(folder / "net.safetensors").net.state_dict() for folder in (whole, plain)]
    assert all(torch.equal(value, nets[1][name]) for name, value in nets[0].items())


@pytest.mark.parametrize(
    ("epochs", "message"),
    [
        ("1,x", "audit_at: got '1,x', expected a number or numbers with commas between"),
        ("1,1_0", "audit_at: got '1,1_0', expected a number or numbers with commas between"),
        ("0,101", "audit_at: epoch 101 is beyond the last, 100 (--epochs)"),
        ("-1", "at: got -1, expected a whole number of at least 0"),
    ],
)
def test_epochs_that_are_none_are_one_line(epochs, message, tmp_path, capsys):
    assert train(f"--audit-at={epochs}", "--out", tmp_path) == 2
    assert capsys.readouterr().err == f"nfa: {message}\n"
    assert not list(tmp_path.iterdir())


def test_only_what_was_audited_is_said_to_be(tmp_path, capsys):
    assert train("--epochs", 1, "--out", tmp_path) == 0
    assert "Audited" not in capsys.readouterr().out
    assert train("--epochs", 1, "--audit-at", "0,1", "--out", tmp_path, "--json") == 0
    out, err = capsys.readouterr()
    assert [Path(each).name for each in json.loads(out)["written"]] == [path.name for path in written(tmp_path)]
    assert "Not audited: epochs 0, 1, which were over before." in err
    assert train("--epochs", 2, "--audit-at", "0,2", "--out", tmp_path) == 0
    out = capsys.readouterr().out
    assert "Audited at epochs 2: tracker.safetensors.\nNot audited: epochs 0, which were over before.\n" in out
    assert (tmp_path / "tracker.safetensors").exists()


def written(folder):
    named = ["net.safetensors", "init.safetensors", "history.csv", "tracker.safetensors"]
    return [folder / name for name in named if (folder / name).exists()]
