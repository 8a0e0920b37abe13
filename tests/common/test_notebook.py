"""What notebooks and terminals show of results: escaped, verdict first, one screen, no tensors."""

import sys
from dataclasses import replace

import pytest
from helpers import gaussian, perturbed
from pages import Page

import nfa
from nfa.common.notebook import ROWS_SHOWN, html_table
from nfa.report import verdict
from nfa.substitution import Substitution


@pytest.fixture
def audit(small):
    net, X = small
    return nfa.audit(perturbed(net), (X, (X[:, 0] > 0).long()), net)


def test_an_audit_shows_its_verdict_first_then_the_table_with_nulls(audit):
    page = Page(audit._repr_html_())
    assert page.texts("strong") == [verdict(audit).reason]
    assert {"layer", "verdict", "alignment", "null", "cosine", "rotated"} <= set(page.texts("th"))
    assert {"layers.0", "layers.1", "layers.2"} <= set(page.texts("th"))
    assert f"{audit[0]['rotated_cosine']:.2f}" in page.texts("td")


def test_a_layer_shows_its_verdict_and_its_columns(audit):
    page = Page(audit[0]._repr_html_())
    assert page.texts("strong")[0].startswith(f"layers.0: {audit[0]['verdict']}")
    assert f"{audit[0]['cosine']:.2f}" in page.texts("td")
    assert "tensor" not in repr(audit[0])
    assert repr(audit[0]).startswith("LayerAudit of layers.0")
    assert len(repr(audit[0]).splitlines()) <= 24


def test_a_matrix_shows_its_size_and_no_entries(audit):
    page = Page(audit[0].agop._repr_html_())
    assert page.texts("strong") == ["FactoredMatrix(W'SW, d=6, k=8)"]
    assert f"{audit[0]['agop_effective_rank']:.4g}" in page.texts("td")


def test_a_substitution_shows_its_sentences_and_its_table(small):
    net, X = small
    found = nfa.substitute(net, (X, (X[:, 0] > 0).long()))
    assert isinstance(found, Substitution)
    page = Page(found._repr_html_())
    assert page.texts("strong") == [found.sentences()[-1]]
    assert {"projector", "agop"} <= set(page.texts("td"))


def test_a_deep_network_fits_one_screen():
    net = nfa.MLP(4, [4] * 60, n_outputs=2).double()
    audit = nfa.audit(net, gaussian(10, 4))
    assert len(repr(audit).splitlines()) <= 30
    rows = Page(audit._repr_html_()).texts("tr")
    assert len(rows) == ROWS_SHOWN + 2
    assert f"{len(audit) - ROWS_SHOWN} more rows" in rows


def test_names_stay_text(audit):
    hostile = "<img src=x onerror=alert(1)> $x$"
    audit = replace(audit, about=replace(audit.about, model=hostile))
    page = Page(audit._repr_html_())
    assert "img" not in page.tags()
    assert any(hostile in text for text in page.texts("p"))
    assert not Page(html_table(hostile, [hostile], [[hostile]], [hostile])).tags() & {"img"}


def test_bars_draw_in_a_notebook_that_has_widgets(monkeypatch):
    module = sys.modules["nfa.common.progress"]
    assert not module._in_notebook()
    monkeypatch.setitem(sys.modules, "ipykernel", object())
    monkeypatch.setattr(module, "find_spec", lambda name: object())
    assert module._in_notebook()
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert not module._in_notebook()
