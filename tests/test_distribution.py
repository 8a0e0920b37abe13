"""What is published: its version, its floors, its links, and that it installs and runs elsewhere."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

import nfa

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_version_is_one_number():
    assert re.fullmatch(r"\d+\.\d+\.\d+", nfa.__version__)
    assert re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)[1] == nfa.__version__
    assert PROJECT["dynamic"] == ["version"]


def test_no_version_is_looked_up_among_what_is_installed():
    assert not [file for file in (ROOT / "nfa").rglob("*.py") if "importlib.metadata" in file.read_text()]


def floors():
    """The lowest version of each package that users need."""
    extras = PROJECT["optional-dependencies"]
    published = re.search(r"\[(.*)\]", extras["all"][0])[1].split(",")
    bounds = [*PROJECT["dependencies"], *(each for name in published for each in extras[name])]
    return dict(each.split(">=") for each in bounds if not each.startswith(PROJECT["name"]))


def test_the_oldest_set_is_that_of_all_floors():
    pins = dict(re.findall(r"^([\w-]+)==(.*)$", (ROOT / "constraints" / "oldest.txt").read_text(), re.MULTILINE))
    found = floors()
    assert set(found) <= set(pins)
    for name, bound in found.items():
        assert f"{pins[name]}.".startswith(f"{bound}."), name


def test_each_floor_has_its_reason():
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    for name, bound in floors().items():
        (line,) = [each for each in lines if each.strip().startswith(f'"{name}>={bound}"')]
        assert re.search(r"# \S", line), line


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the wheel and the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    shutil.copytree(ROOT, folder / "checkout", ignore=shutil.ignore_patterns(".*venv*", ".git", "runs", "*.egg-info"))
    run(sys.executable, "-m", "build", "--outdir", folder, folder / "checkout", cwd=folder)
    return folder


def run(*command, cwd):
    """Run a command that sees nothing of this checkout."""
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([str(part) for part in command], cwd=cwd, env=outside, check=True)


def installed(folder, what):
    """The Python of a new environment with a distribution in it."""
    run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    for each in ("torch", what):
        run(python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints" / "newest.txt", each, cwd=folder)
    return python


@pytest.mark.slow
def test_the_wheel_runs_in_a_new_environment(built, tmp_path):
    (wheel,) = built.glob("*.whl")
    assert wheel.name == f"neural_feature_ansatz-{nfa.__version__}-py3-none-any.whl"
    python = installed(tmp_path / "venv", f"{wheel}[cli]")
    run(python.with_name("nfa"), "demo", "--out", "demo", cwd=tmp_path)
    assert (tmp_path / "demo" / "report.html").read_text().startswith("<!doctype html>")
    code = f"import nfa; assert nfa.__version__ == {nfa.__version__!r}, nfa; assert 'site-packages' in nfa.__file__"
    run(python, "-c", code, cwd=tmp_path)


@pytest.mark.slow
def test_the_source_distribution_installs_and_its_tests_run(built, tmp_path):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.glob("neural_feature_ansatz-*")
    python = installed(tmp_path / "venv", f"{sdist}[test]")
    run(python, "-m", "pytest", "-n", "2", "-m", "core", cwd=source)
