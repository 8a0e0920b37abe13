"""The guide's walks: networks trained elsewhere, audited from their files by the commands it gives."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

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


README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("number", range(1, len(BLOCKS)))
def test_what_the_readme_shows_runs_as_written(number, tmp_path):
    """The first block audits the reader's own network; the others need nothing but the demo's."""
    if "runs/demo" in BLOCKS[number]:
        subprocess.run([sys.executable, "-m", "nfa", "demo", "--out", "runs/demo"], cwd=tmp_path, check=True)
    subprocess.run([sys.executable, "-W", "ignore", "-c", BLOCKS[number]], cwd=tmp_path, check=True)
