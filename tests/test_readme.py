"""The guide's walks: networks trained elsewhere, audited from their files by the commands it gives."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

import nfa
from nfa import cli

GUIDE = (Path(__file__).parent.parent / "docs" / "auditing.md").read_text()
WALKS = re.findall(r"```python\n((?:(?!```).)*?)```\n\n    nfa (audit .*?)\n", GUIDE, re.DOTALL)


@pytest.mark.parametrize(("script", "command"), WALKS)
def test_a_network_trained_elsewhere_is_audited_from_its_file(script, command, tmp_path):
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], cwd=tmp_path, check=True)
    arguments = shlex.split(command)
    done = subprocess.run(
        [sys.executable, "-m", "nfa", *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert "ends in Softmax" in done.stdout
    assert "The network has learned its task" in done.stdout
    audit = json.loads((tmp_path / arguments[-1] / "audit.json").read_text())
    assert audit["score"]["value"] > 0.9
    assert all(layer["cosine"] > 0.4 for layer in audit["layers"])


def test_there_are_two_such_walks():
    assert [command.split()[1] for _, command in WALKS] == ["digits.skops", "digits.onnx"]


FIGURES = (Path(__file__).parent.parent / "docs" / "figures.md").read_text()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A small network audited into runs/demo, as the demo leaves one, and a folder to run in."""
    folder = tmp_path_factory.mktemp("figures")
    data = nfa.load_data("digits").divide(test=0.2)
    net, init = nfa.MLP(64, 16, 2, 10, seed=1), nfa.MLP(64, 16, 2, 10)
    nfa.audit(net, data, init).save(folder / "runs" / "demo")
    tracker = nfa.Tracker(net, data, init=init)
    tracker.record(epoch=0)
    tracker.save(folder / "runs" / "demo")
    return folder


def test_what_the_page_of_figures_shows_runs_as_written(demo, monkeypatch):
    monkeypatch.chdir(demo)
    blocks = re.findall(r"```python\n(.*?)```", FIGURES, re.DOTALL)
    assert len(blocks) == 7
    with mpl.rc_context({"backend": "Agg"}):
        for block in blocks:
            exec(compile(block, "docs/figures.md", "exec"), {})
            plt.close("all")
    assert {"layers.pdf", "both.pdf"} <= {file.name for file in demo.iterdir()}


@pytest.mark.parametrize("command", re.findall(r"^    nfa (figure runs/demo .*)$", FIGURES, re.MULTILINE))
def test_every_command_of_that_page_draws(command, demo, monkeypatch, capsys):
    monkeypatch.chdir(demo)
    monkeypatch.setattr(sys, "argv", ["nfa", *shlex.split(command)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 0
    assert Path(shlex.split(command)[-1]).stat().st_size > 1000


README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def block(number):
    """A block's number; fitting machines to all layers, at the README's size, takes minutes."""
    return pytest.param(number, marks=pytest.mark.slow) if "nfa.rfm" in BLOCKS[number] else number


@pytest.mark.parametrize("number", [block(number) for number in range(1, len(BLOCKS))])
def test_what_the_readme_shows_runs_as_written(number, tmp_path):
    """The first block audits the reader's own network; the others need nothing but the demo's."""
    if "fashion-mnist" in BLOCKS[number] and not Path("/usr/share/datasets/fashion-mnist").is_dir():
        pytest.skip("dataset-fashion-mnist is not installed")
    if "runs/demo" in BLOCKS[number]:
        subprocess.run([sys.executable, "-m", "nfa", "demo", "--out", "runs/demo"], cwd=tmp_path, check=True)
    # The second audits a network of pictures.
    verdicts = "assert [layer['verdict'] for layer in audit] == ['learned', 'learned', 'learned', 'trivial']"
    script = BLOCKS[number] + (verdicts if number == 1 else "")
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], cwd=tmp_path, check=True)


TESTS = re.findall(r"^\|.*\| `([a-z0-9_/]+\.py)` \|$", GUIDE, re.MULTILINE)


@pytest.mark.parametrize("file", sorted(set(TESTS)))
def test_every_kind_and_format_of_the_guide_names_tests_that_exist(file):
    assert "\ndef test_" in (Path(__file__).parent / file).read_text()


def test_no_kind_or_format_is_without_its_test():
    tables = re.findall(r"^\|[^\n]*\| test \|\n\| --- .*\|\n((?:\|.*\n)+)", GUIDE, re.MULTILINE)
    assert len(tables) == 2
    assert sum(len(table.splitlines()) for table in tables) == len(TESTS) > 40
