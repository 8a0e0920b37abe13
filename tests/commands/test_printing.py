"""Names of others on a terminal."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import nfa
from nfa.cli import app
from nfa.common.errors import Place

ESCAPE = "\x1b[31m\x1b]0;title\x07"


def named(name):
    net = nn.Sequential()
    net.add_module(name, nn.Linear(4, 8))
    net.add_module("relu", nn.ReLU())
    net.add_module("last", nn.Linear(8, 3))
    return net


def printable(text):
    return all(line.isprintable() for line in text.split("\n"))


def test_names_of_a_file_command_no_terminal_and_stay_as_they_are_in_json(tmp_path):
    torch.save({f"a0{ESCAPE}.weight": torch.randn(8, 4), "a1.weight": torch.randn(3, 8)}, tmp_path / "net.pt")
    np.savez(tmp_path / "data.npz", X=np.random.default_rng(0).normal(size=(60, 4)).astype("f4"))
    call = ["audit", str(tmp_path / "net.pt"), "--activation", "relu", "--data", str(tmp_path / "data.npz")]
    result = CliRunner().invoke(app, [*call, "--out", str(tmp_path / "out"), "--no-report"])
    assert result.exit_code == 0
    assert printable(result.output)
    assert "a0?[31m?]0;title?" in result.output
    assert json.loads((tmp_path / "out" / "audit.json").read_text())["layers"][0]["name"] == f"a0{ESCAPE}"


def test_an_older_report_is_named_where_none_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"0.weight": torch.randn(8, 4), "2.weight": torch.randn(3, 8)}, "net.pt")
    np.savez("data.npz", X=np.random.default_rng(0).normal(size=(60, 4)).astype("f4"))
    call = ["audit", "net.pt", "--activation", "relu", "--data", "data.npz", "--out", "out", "--no-report"]
    assert "report.html" not in CliRunner().invoke(app, call).output
    (tmp_path / "out" / "report.html").write_text("older")
    assert "out/report.html stays as it was: it is of an earlier audit" in CliRunner().invoke(app, call).output
    assert (tmp_path / "out" / "report.html").read_text() == "older"


def test_names_of_a_user_s_own_module_are_shown_safely():
    audit = nfa.audit(named(ESCAPE), torch.randn(20, 4))
    assert audit.layers[0]["name"] == ESCAPE
    assert printable(repr(audit))
    assert all(printable(sentence) for sentence in nfa.report.sentences(audit))


@pytest.mark.parametrize("text", [ESCAPE, "two\nlines", "two\r\nlines", "tab\t\x00"])
def test_an_error_is_one_line_that_prints(text):
    assert str(Place("model", text).error("is empty")).isprintable()
