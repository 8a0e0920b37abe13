"""Positions without a label, and outputs that are left out."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

import nfa

GUIDE = (Path(__file__).parents[2] / "docs" / "auditing.md").read_text()


def tagger():
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(8, 16), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 8)).double()


@pytest.fixture
def padded():
    """Tokens, the last ones of each sample padding."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1, 8, (50, 6), generator=generator)
    ids[torch.arange(6) >= torch.randint(2, 7, (50, 1), generator=generator)] = 0
    return ids


def test_padded_outputs_are_left_out_as_the_guide_says(padded):
    shown = next(each for each in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL) if "WithoutPadding" in each)
    names = {}
    exec(shown.partition("\nids =")[0], names)
    net, kept = tagger(), padded != 0
    audit = nfa.audit(names["WithoutPadding"](net), padded)
    # Each position is answered by itself, so that the others are rows of their own.
    expected = nfa.audit(net, padded[kept][:, None])
    for number in ("1", "3"):
        factor = float(kept.double().mean())
        torch.testing.assert_close(audit[f"net.{number}"].S, factor * expected[number].S)
        assert audit[f"net.{number}"]["cosine"] == pytest.approx(expected[number]["cosine"])


def test_labels_that_do_not_count_are_noted(padded):
    labels = padded % 8
    said = "Positions labelled -100 count for nothing in the score, but like all others in the AGOP"
    assert not any(said in note for note in nfa.audit(tagger(), (padded, labels)).about.notes)
    assert any(said in note for note in nfa.audit(tagger(), (padded, labels.where(padded != 0, -100))).about.notes)
