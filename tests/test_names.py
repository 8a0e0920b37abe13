"""What `import nfa` offers, without importing it all."""

import subprocess
import sys

import pytest
import torch

import nfa


def test_every_public_name_is_listed_and_there():
    assert set(nfa.__all__) <= set(dir(nfa))
    assert all(getattr(nfa, name) is not None for name in dir(nfa))
    with pytest.raises(AttributeError, match=r"nfa.*has no attribute 'adit'"):
        _ = nfa.adit


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, nfa; sys.exit(bool({'torch', 'pandas', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_machines_are_imported_without_what_takes_seconds():
    heavy = {"torch._dynamo", "torch._inductor", "sklearn.svm", "sklearn.ensemble", "sklearn.neighbors", "matplotlib"}
    code = f"import sys, nfa.rfm; print(*sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_rooms_are_reached_from_the_package(tmp_path):
    audit = nfa.audit(torch.nn.Linear(3, 2), torch.eye(3))
    written = nfa.report.write(audit, str(tmp_path / "new" / "folder"))
    assert written.read_text().startswith("<!doctype html>")
