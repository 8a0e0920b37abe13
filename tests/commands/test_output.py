"""What commands print: a table that fits, a document for programs, colours for terminals alone, help in groups."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import runner

import nfa
from nfa.audits.verdict import VERDICTS
from nfa.cli import app
from nfa.commands.printing import COLOURS, Printer, records

LONG = "model.decoder.layers.11.self_attention.query_projection"


@pytest.fixture
def call(tmp_path, monkeypatch):
    """The call that audits a small network, in a folder with its files."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    torch.save({f"{LONG}.0.weight": torch.randn(8, 4), f"{LONG}.2.weight": torch.randn(3, 8)}, "net.pt")
    X = np.random.default_rng(0).normal(size=(60, 4)).astype("f4")
    np.savez("data.npz", X=X, y=np.arange(60) % 3)
    return ["audit", "net.pt", "--activation", "relu", "--data", "data.npz", "--out", "out", "--no-report"]


def run(*arguments):
    return runner().invoke(app, list(arguments))


def headings(output):
    return next(line for line in output.splitlines() if "verdict" in line).split()


def test_the_main_table_fits_80_columns_with_the_whole_of_a_long_name(call):
    result = run(*call)
    table = result.output[: result.output.index("The network")].splitlines()[1:]  # below a note
    assert max(map(len, table)) <= 80
    assert headings(result.output) == ["layer", "cosine", "(95", "%)", "null", "z", "moved", "verdict"]
    names = "".join(line.strip().split("  ")[0] for line in table if line.startswith("  "))
    assert f"{LONG}.0{LONG}.2" in names
    row = next(line for line in table if re.search(r"\d \(\d", line))
    assert re.search(r"0\.\d\d \(0\.\d\d to 0\.\d\d\)", row)


def test_wide_has_more_columns(call):
    assert {"alignment", "z", "rotated", "untrained", "k/(k+d)", "moved"} <= set(headings(run(*call, "--wide").output))


def test_json_is_one_document_and_everything_else_is_on_standard_error(call):
    result = run(*call, "--json")
    found = json.loads(result.stdout)
    saved = json.loads(Path("out/audit.json").read_text())
    assert {key: found[key] for key in saved} == saved
    assert len(found["sentences"]) == 3
    assert found["written"] == ["out/audit.json", "out/features.safetensors"]
    assert "verdict" in result.stderr
    assert found["sentences"][1] in result.stderr


def test_quiet_prints_nothing_and_with_json_the_document_alone(call):
    result = run(*call, "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    result = run(*call, "-q", "--json")
    assert result.stderr == ""
    assert json.loads(result.stdout)["layers"]


@pytest.mark.parametrize("options", [["--json"], ["--quiet"]])
def test_an_error_is_one_line_on_standard_error_all_the_same(call, options):
    command = [sys.executable, "-m", "nfa", *call, "--layers", "nowhere", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("nfa: layers: ")


def test_other_commands_print_documents_too(call):
    trained = run("train", "data.npz", "--out", "a", "--epochs", "2", "--width", "4", "--json")
    assert [row["epoch"] for row in json.loads(trained.stdout)["history"]] == [1, 2]
    assert json.loads(trained.stdout)["written"] == ["a/net.safetensors", "a/init.safetensors", "a/history.csv"]
    run(*call)
    run(*call[:-2], "two", "--no-report")
    compared = json.loads(run("compare", "out", "two", "--out", "both.html", "--columns", "cosine", "--json").stdout)
    assert [row["audit"] for row in compared["layers"]] == ["out", "out", "two", "two"]
    assert compared["written"] == ["both.html"]
    drawn = json.loads(run("figure", "out", "--kind", "layers", "--out", "f.svg", "--json").stdout)
    assert drawn["written"] == ["f.svg"]
    assert len(drawn["rows"]) == 2
    command = ["seed", *call[1:-2], "seeded", "--updates", "1", "--json"]
    seeded = json.loads(run(*command).stdout)
    assert {row["n_iters"] for row in seeded["rows"]} == {0, 1}
    assert "seeded/seeding.csv" in seeded["written"]


def test_what_is_undefined_is_null():
    assert records(pd.DataFrame({"a": [1.0, np.nan]})) == [{"a": 1.0}, {"a": None}]


def printed(call, **environment):
    """What a command prints to a terminal, as rich decides by the environment."""
    own = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "TERM")}
    command = [sys.executable, "-m", "nfa", *call]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=own | environment)
    return done.stdout


def test_a_pipe_gets_no_colours_a_terminal_does_and_no_color_is_kept(call):
    assert "\x1b" not in printed(call)
    assert "\x1b" in printed(call, FORCE_COLOR="1", TERM="xterm-256color")
    assert "\x1b" not in printed(call, FORCE_COLOR="1", TERM="xterm-256color", NO_COLOR="1")


def test_every_colour_is_of_a_verdict():
    assert set(COLOURS) <= set(VERDICTS)


def test_the_version_and_the_help_of_the_bare_command():
    result = run("--version")
    assert (result.exit_code, result.output) == (0, f"nfa {nfa.__version__}\n")
    result = run()
    assert result.exit_code == 0
    assert all(command in result.output for command in ("info", "audit", "compare", "figure", "train", "demo", "seed"))
    assert "--install-completion" in result.output


@pytest.mark.parametrize("command", ["info", "audit", "compare", "figure", "train", "demo", "seed"])
def test_help_has_groups_and_no_types(command):
    text = run(command, "--help").output
    assert "bool" not in text.lower()
    assert "<" not in text
    assert "Results" in text


def test_values_are_completed():
    from nfa.commands.figure import KINDS as DRAWN
    from nfa.commands.options import ACTIVATION_NAMES, among
    from nfa.network.mlp import ACTIVATIONS
    from nfa.plots.kinds import KINDS

    assert among("train", "test", "val")("t") == ["train", "test"]
    assert set(ACTIVATION_NAMES) == set(ACTIVATIONS)
    assert set(DRAWN) == set(KINDS)


def test_a_printer_without_json_writes_no_document(capsys):
    Printer().document({"a": 1})
    assert capsys.readouterr().out == ""
