"""Budgets of memory for files."""

import os

from nfa.common.budget import EXPANSION, LEAST_BYTES, Budget


def test_at_most_half_of_the_machine_where_it_says_what_it_has(monkeypatch):
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert Budget.of_file(machine).most == machine // 2
    assert Budget.of_file(1).most == LEAST_BYTES
    monkeypatch.delattr(os, "sysconf")
    assert Budget.of_file(machine).most == EXPANSION * machine
