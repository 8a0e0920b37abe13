"""A case of a network's file can be shown by itself."""

import random_network_files


def test_a_case_can_be_shown_by_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(random_network_files.script(0), {})
