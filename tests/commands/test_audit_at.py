"""Audits during `nfa train`."""

import sys

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
    for epochs in (2, 3):
        assert train("--epochs", epochs, "--audit-at", "0,1,3", "--out", parts) == 0
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
        ("-1", "at: got -1, expected a whole number of at least 0"),
    ],
)
def test_epochs_that_are_none_are_one_line(epochs, message, tmp_path, capsys):
    assert train(f"--audit-at={epochs}", "--out", tmp_path) == 2
    assert capsys.readouterr().err == f"nfa: {message}\n"
