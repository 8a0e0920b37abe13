"""Tests of known defects are expected to fail; `known_defects.txt` lists them."""

from pathlib import Path

import pytest

KNOWN = {line for line in (Path(__file__).parent / "known_defects.txt").read_text().splitlines() if line[:1] != "#"}


def pytest_collection_modifyitems(items):
    """Mark what is on the list."""
    for item in items:
        if item.nodeid in KNOWN:
            item.add_marker(pytest.mark.xfail(reason="a known defect", strict=False))
