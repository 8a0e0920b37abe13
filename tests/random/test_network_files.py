"""Random files of networks: the first seeds, in every run."""

import fuzz
import network_files
import pytest

CASES = 100
CHUNK = 25


@pytest.mark.parametrize("start", range(0, CASES, CHUNK))
def test_no_file_disagrees(start):
    found = fuzz.run(network_files, range(start, start + CHUNK))
    assert sum(found.values()) == CHUNK


def test_a_case_can_be_shown_by_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(network_files.script(0), {})
