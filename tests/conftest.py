"""Fixtures, and one thread for each process (tests run in two)."""

from pathlib import Path

import pytest
import torch
from helpers import gaussian

import nfa

torch.set_num_threads(1)

TESTS = Path(__file__).parent
CORE = {
    *("test_names.py", "test_rooms.py", "common/test_progress.py", "data/test_files.py", "network/test_mlp.py"),
    *("formats/test_readers.py", "probe/test_outputs.py", "features/test_factored.py", "audits/test_audit.py"),
    *("rfm/test_kernels.py", "plots/test_theme.py"),
}
"""Quick files that touch every room: what `make quick` runs."""
LONG = ("test_docs.py", "test_page.py", "test_cli.py", "test_cli_files.py", "test_blocks.py", "test_random.py")
"""Files that take longest; they run first, so that neither process is left with one of them at the end."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONG)
    for item in items:
        if item.path.is_relative_to(TESTS) and item.path.relative_to(TESTS).as_posix() in CORE:
            item.add_marker(pytest.mark.core)
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="no GPU"))


@pytest.fixture(autouse=True)
def seeded():
    """Every test draws the same weights, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture
def small():
    """A small network and data that fit it."""
    return nfa.MLP(6, [8, 5], n_outputs=3).double(), gaussian(40, 6)
