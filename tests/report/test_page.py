"""The report's page."""

import torch
from helpers import gaussian

import nfa
from nfa.features.columns import COLUMNS
from nfa.report import render, sentences, write


def test_the_page_holds_every_sentence_and_column(small, tmp_path):
    net, X = small
    audit = nfa.audit(net, X, net)
    page = write(audit, tmp_path).read_text()
    assert page.count("<tr>") == 1 + len(audit)
    assert all(f">{column}</th>" in page for column in COLUMNS)
    for sentence in sentences(audit):
        assert sentence.split(":")[0].replace("&", "&amp;") in page
    assert "http" not in page  # nothing is fetched


def test_a_hostile_name_stays_text():
    class Hostile(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.add_module("<script>alert(1)</script>", torch.nn.Linear(4, 2))

        def forward(self, x):
            return next(iter(self.children()))(x)

    page = render(nfa.audit(Hostile(), gaussian(9, 4, dtype=torch.float32), name="<b>net</b>"))
    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;" in page
