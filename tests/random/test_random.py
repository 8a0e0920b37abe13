"""Random networks, machines and files: the first seeds of each, in every run."""

import importlib
from collections import Counter

import fuzz
import pytest

CASES = 300
CHUNK = 25
MOST_REFUSED = 0.03
"""Of networks and machines; files are mostly refused."""


@pytest.mark.parametrize("start", range(0, CASES, CHUNK))
@pytest.mark.parametrize("name", fuzz.DOMAINS)
def test_no_case_disagrees(name, start):
    found = fuzz.run(importlib.import_module(name), range(start, start + CHUNK))
    assert sum(found.values()) == CHUNK


def test_a_disagreement_names_its_seed_and_shows_a_program():
    class Wrong:
        __name__ = "wrong"

        def check(self, seed):
            assert seed != 3, "3 is wrong"
            return "even" if seed % 2 == 0 else None

        def script(self, seed):
            return f"print({seed})"

    assert fuzz.run(Wrong(), [1, 2, 4, 5]) == Counter(agreed=2, even=2)
    with pytest.raises(fuzz.DisagreementError, match=r"wrong, seed 3: AssertionError: 3 is wrong(.|\n)*print\(3\)"):
        fuzz.run(Wrong(), [2, 3])
