"""The docs: every block runs as written, every command does what its page says, every link leads somewhere."""

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


SKLEARN = (Path(__file__).parent.parent / "docs" / "rfm-for-scikit-learn-users.md").read_text()


def test_what_the_page_for_users_of_scikit_learn_shows_runs_as_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks, found = re.findall(r"```python\n(.*?)```", SKLEARN, re.DOTALL), {}
    assert len(blocks) == 4
    for block in blocks:
        exec(compile(block, "docs/rfm-for-scikit-learn-users.md", "exec"), found)
    score, _, shapes, same = capsys.readouterr().out.splitlines()
    assert float(score.split()[0]) > 0.9
    assert found["search"].score(found["X_test"], found["y_test"]) > 0.9
    assert "flavanoids" in shapes
    assert same == "True"
    assert [file.name for file in tmp_path.iterdir()] == ["wine.safetensors"]


ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OTHERWISE = ("figures.md", "training.md", "design.md", "rfm-for-scikit-learn-users.md")
"""Pages whose blocks are run elsewhere, or are parts of files of the package."""


def blocks():
    """Every block that stands by itself, as (page, script); machines, and training on pictures, take a minute: slow."""
    walked = [script for script, _ in WALKS]
    for page in PAGES:
        for script in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
            if page.name in OTHERWISE or script in walked or "net_before" in script:  # the reader's own network
                continue
            marks = [pytest.mark.slow] if "nfa.rfm" in script or "fashion-mnist" in script else []
            first = next(line for line in script.splitlines() if not line.startswith(("import", "from")) and line)
            yield pytest.param(page.name, script, marks=marks, id=f"{page.stem}: {first[:40]}")


@pytest.mark.parametrize(("page", "script"), list(blocks()))
def test_what_the_docs_show_runs_as_written(page, script, tmp_path):
    if "fashion-mnist" in script and not Path("/usr/share/datasets/fashion-mnist").is_dir():
        pytest.skip("dataset-fashion-mnist is not installed")
    if "runs/demo" in script:
        subprocess.run([sys.executable, "-m", "nfa", "demo", "--out", "runs/demo"], cwd=tmp_path, check=True)
    verdicts = {
        "auditing.md": "assert [layer['verdict'] for layer in audit] == ['learned', 'learned', 'learned', 'trivial']",
        "README.md": "assert [layer['verdict'] for layer in audit] == ['learned', 'learned', 'learned', 'trivial']",
        "index.md": "assert sorted(audit['0'].agop.diagonal().argsort()[-2:].tolist()) == [0, 1]",
    }
    check = "" if "nfa.rfm" in script or "WithoutPadding" in script else verdicts.get(page, "")
    subprocess.run([sys.executable, "-W", "ignore", "-c", script + check], cwd=tmp_path, check=True)


def test_there_are_blocks_of_every_page_that_should_have_some():
    found = {each.values[0] for each in blocks()}
    assert {"README.md", "index.md", "auditing.md", "coming-from.md", "machines.md", "networks-to-machines.md"} <= found


def links(page):
    """The targets of a page's links and pictures within the repository, with the headings they point to."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not target.startswith(("http", "mailto")):
            path, _, heading = target.partition("#")
            yield (page.parent / path if path else page), heading


def headings(page):
    """The anchors of a page's headings, as forges and the site make them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target, heading in links(page):
        assert target.exists(), target
        assert not heading or heading in headings(target), (target, heading)


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


TESTS = re.findall(r"^\|.*\| `([a-z0-9_/]+\.py)` \|$", GUIDE, re.MULTILINE)


@pytest.mark.parametrize("file", sorted(set(TESTS)))
def test_every_kind_and_format_of_the_guide_names_tests_that_exist(file):
    assert "\ndef test_" in (Path(__file__).parent / file).read_text()


def test_no_kind_or_format_is_without_its_test():
    tables = re.findall(r"^\|[^\n]*\| test \|\n\| --- .*\|\n((?:\|.*\n)+)", GUIDE, re.MULTILINE)
    assert len(tables) == 2
    assert sum(len(table.splitlines()) for table in tables) == len(TESTS) > 40
