"""An installation without extras: what works, and what each missing package is called."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OPTIONAL = (
    *("typer", "rich", "matplotlib", "seaborn", "onnx", "skops", "torchvision", "pyarrow", "h5py"),
    *("lightning", "skorch", "transformers"),
)
BLOCK = """
import sys
from importlib.machinery import PathFinder
found = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name.partition(".")[0] in {names} else found(name, *rest)
"""
"""In a new process: as if these were not installed."""
NOTHING_OPTIONAL = BLOCK.format(names=OPTIONAL)

CORE = """
import json
from pathlib import Path
import numpy as np, torch
import nfa
from nfa.rfm import RFMClassifier

data = nfa.load_data("digits").divide(test=0.8)
net = nfa.MLP(64, 8, 1, 10)
done = nfa.train(net, data, epochs=1)
sys.stderr.isatty = lambda: True  # without rich there is no bar
audit = nfa.audit(net, data, done.init)
audit.save("audit")
nfa.save_model("net.safetensors", nfa.network.Model(net, "net"))
assert len(nfa.report.sentences(nfa.Audit.load("audit"))) == 3
assert audit.to_frame().shape[0] == 2 and "learn" in audit._repr_html_()
nfa.audit("net.safetensors", data)
machine = RFMClassifier().fit(data.X[:50], data.y[:50])
machine.save("machine.safetensors")
assert nfa.rfm.load("machine.safetensors").score(data.X[:50], data.y[:50]) > 0.9
Path("folder").mkdir()
Path("folder", "config.json").write_text('{"architectures": ["Net"]}')
Path("folder", "net.safetensors").touch()
for name in ("net.onnx", "net.skops", "net.keras", "rows.parquet"):
    Path(name).write_bytes(b"something")

def line(call):
    try:
        call()
    except nfa.InputError as error:
        assert isinstance(error, ImportError)
        return str(error)

calls = {
    "onnx": lambda: nfa.load("net.onnx"),
    "skops": lambda: nfa.load("net.skops"),
    "keras": lambda: nfa.load("net.keras"),
    "transformers": lambda: nfa.load("folder"),
    "parquet": lambda: nfa.load_data("rows.parquet"),
    "vision": lambda: nfa.load_data("mnist"),
    "plots": lambda: audit.plot(),
    "plots, page": lambda: nfa.report.write(audit, "audit"),
    "plots, compared": lambda: nfa.report.compare({"a": audit, "b": audit}, "compare.html"),
    "plots, room": lambda: nfa.plots,
    "lightning": lambda: __import__("nfa.tracking.lightning"),
    "skorch": lambda: __import__("nfa.tracking.skorch"),
}
print(json.dumps({name: line(call) for name, call in calls.items()}))
"""


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """The messages of a process in which import and audit, machines and their files have worked."""
    folder = tmp_path_factory.mktemp("core")
    done = subprocess.run(
        # torch 2.6 leaves a folder to be removed at the end, of which Python warns.
        [sys.executable, "-W", "error", "-W", "ignore::ResourceWarning", "-c", NOTHING_OPTIONAL + CORE],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("onnx", "model: .onnx files need onnx"),
        ("skops", "model: .skops files need skops"),
        ("keras", "model: .keras files need h5py"),
        ("transformers", "model: folders of Hugging Face need transformers"),
        ("parquet", "data: .parquet files need pyarrow"),
        ("vision", "data: picture sets need torchvision"),
        ("plots", "plots: figures need matplotlib"),
        ("plots, page", "plots: figures need matplotlib"),
        ("plots, compared", "plots: figures need matplotlib"),
        ("plots, room", "plots: figures need matplotlib"),
        ("lightning", "tracking: this adapter needs lightning"),
        ("skorch", "tracking: this adapter needs skorch"),
    ],
)
def test_a_missing_extra_is_one_line(lines, what, line):
    assert lines[what] == f"{line}: pip install 'neural-feature-ansatz[{what.partition(',')[0]}]'"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["audit", "net.pt", "--data", "digits", "--out", "out"]])
def test_the_command_without_its_extra_is_one_line_and_status_2(arguments):
    code = NOTHING_OPTIONAL + "from nfa.__main__ import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.stderr == "nfa: the command line needs typer: pip install 'neural-feature-ansatz[cli]'\n"
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("command", ["audit net.pt --data digits", "demo"])
def test_a_page_that_cannot_be_drawn_is_refused_before_the_work(command, tmp_path):
    code = BLOCK.format(names=("matplotlib",)) + "from nfa.__main__ import main\nmain()"
    arguments = [*command.split(), "--out", "out"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stderr == "nfa: plots: figures need matplotlib: pip install 'neural-feature-ansatz[plots]'\n"
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (2, "", [])


def test_every_extra_that_is_named_exists():
    text = "\n".join(file.read_text() for file in (ROOT / "nfa").rglob("*.py"))
    named = set(re.findall(r'\bextra\("(\w+)"', text)) | set(re.findall(r'Requirement\("[\w.]+", "(\w+)"', text))
    assert named > {"cli", "plots", "onnx", "skops", "vision", "parquet", "keras"}
    assert named <= set(PROJECT["optional-dependencies"])


def test_every_optional_package_is_blocked_here():
    extras = PROJECT["optional-dependencies"]
    packages = {re.match(r"[\w-]+", each)[0] for name in ("cli", "plots", "all") for each in extras[name]}
    packages |= {
        re.match(r"[\w-]+", each)[0]
        for name in ("onnx", "skops", "vision", "parquet", "keras")
        for each in extras[name]
    }
    assert packages - {"neural-feature-ansatz"} <= set(OPTIONAL)
