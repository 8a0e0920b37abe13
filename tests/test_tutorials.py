"""The tutorials are notebooks in jupytext's percent format, and run as they are written."""

import re
from pathlib import Path

import matplotlib as mpl
import pytest

from nfa import Audit

FOLDER = Path(__file__).parent.parent / "docs" / "tutorials"
TUTORIALS = sorted(file.stem for file in FOLDER.glob("*.py"))


def cells(name):
    """Kind and text of each cell."""
    _, *parts = re.split(r"^# %%", (FOLDER / f"{name}.py").read_text(), flags=re.MULTILINE)
    return [
        ("markdown" if part.startswith(" [markdown]") else "code", part.partition("\n")[2].strip()) for part in parts
    ]


def run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = {}
    with mpl.rc_context({"backend": "Agg"}):
        for kind, text in cells(name):
            if kind == "code":
                exec(compile(text, f"{name}.py", "exec"), found)
    return found


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_is_a_notebook(name):
    assert (FOLDER / f"{name}.py").read_text().startswith("# ---\n# jupyter:\n#   jupytext:\n")
    kinds = {kind for kind, _ in cells(name)}
    assert kinds == {"markdown", "code"}
    for kind, text in cells(name):
        assert kind == "code" or all(line.startswith("#") for line in text.splitlines())


def test_audit_a_model(tmp_path, monkeypatch):
    found = run("audit_a_model", tmp_path, monkeypatch)
    assert found["audit"].about.score.value > 0.9
    assert [layer["verdict"] for layer in found["audit"]][-1] == "trivial"
    assert Audit.load(tmp_path / "runs" / "mine")["0"]["alignment_z"] > 3
    assert (tmp_path / "runs" / "mine" / "report.html").exists()


def test_figure_of_a_training(tmp_path, monkeypatch):
    found = run("figure_of_a_training", tmp_path, monkeypatch)
    assert [ax.get_title() for ax in found["figure"].axes] == ["0", "2", "score", "loss"]
    assert len(found["figure"].axes[2].lines) == 3 + 2  # a line for each seed, their mean, the constant answer
    assert {"training.pdf", "layers.pdf"} <= {file.name for file in tmp_path.iterdir()}


def test_machines_from_a_network(tmp_path, monkeypatch):
    found = run("machines_from_a_network", tmp_path, monkeypatch)
    assert found["audit"].about.score.value > 0.9
    frame = found["frame"]
    assert frame.loc[frame["features"] == "agop", "error"].max() < 0.1
    assert set(frame["name"]) == {layer["name"] for layer in found["audit"]}
    assert found["machine"].score(found["X_test"], found["y_test"]) > 0.95


def test_there_are_three():
    assert TUTORIALS == ["audit_a_model", "figure_of_a_training", "machines_from_a_network"]
