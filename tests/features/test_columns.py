"""The table of columns: whole, in order, and the same in the docs as in the code."""

import math
import re
from pathlib import Path

import pytest
import torch
from helpers import gaussian, perturbed

import nfa
from nfa.features.columns import ALWAYS, COLUMNS, GROUPS, ON_REQUEST, columns, names
from nfa.features.layer_measures import LayerMeasures
from nfa.features.measuring import measure
from nfa.features.published import published_columns
from nfa.features.row import MEASURES, row
from nfa.probe import Probe

DOCS = Path(__file__).parents[2] / "docs" / "auditing.md"


@pytest.fixture
def layer(small):
    net, X = small
    with Probe(net, X) as probe, Probe(perturbed(net), X) as before:
        (measured, *_), (init, *_) = (list(measure(each, each.layers)) for each in (probe, before))
        published = published_columns(probe, probe.layers[0], init.layer.weight)
    return LayerMeasures(0, measured, init, torch.ones_like(measured.layer.weight), 0.1, published)


def test_columns_of_a_group_stand_together_in_the_order_of_the_groups():
    assert [column.name for group in GROUPS for column in columns([group])] == list(COLUMNS)
    assert (*names(), *names(ON_REQUEST)) == names(GROUPS)
    assert all(column.meaning.endswith(".") for column in COLUMNS.values())


def test_groups_hold_what_they_are_called_after():
    assert (GROUPS["interval"], names(["interval"])) == ("how sure", ("ci_low", "ci_high", "probe_error"))
    assert names(["verdict"]) == ("verdict",)
    assert names(["null"])[:2] == ("untrained_cosine", "untrained_cosine_sqrt")
    assert names(["subspace"]) == ("subspace_overlap", "subspace_overlap_null")


def test_headings_in_print_have_places_of_their_own():
    printed = [column.printed for column in COLUMNS.values() if column.printed is not None]
    assert len({each.place for each in printed}) == len(printed)
    order = [each.heading for each in sorted(printed, key=lambda each: each.place)]
    assert order == sorted(order, key=order.index)  # columns of one heading stand together


@pytest.mark.parametrize("group", MEASURES)
def test_the_functions_of_a_group_give_its_columns_and_no_others(layer, group):
    given = [name for measure_columns in MEASURES[group] for name in measure_columns(layer)]
    assert sorted(given) == sorted(names([group]))


def test_a_row_holds_the_groups_asked_for_in_the_table_s_order(layer):
    assert list(row(layer, ["size", "layer"])) == [*names(["layer"]), *names(["size"])]
    for column in columns(MEASURES):
        assert isinstance(row(layer, MEASURES)[column.name], column.kind)


def test_values_of_another_kind_are_no_values():
    for name, value in {"cosine": "high", "trivial": None, "name": 3, "d_in": 1.5, "rows": True, "note": None}.items():
        with pytest.raises(TypeError, match=name):
            COLUMNS[name].from_json(value)
    assert math.isnan(COLUMNS["cosine"].from_json(None))
    assert COLUMNS["nfm_trace"].from_json(2) == 2.0


def test_the_docs_say_what_the_table_says():
    """A row for each group: its columns and their meanings, word for word."""
    text = DOCS.read_text()
    section = text[text.index("## The columns") :]
    found = re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.MULTILINE)
    assert dict(found) == {name: column.meaning.replace("|", r"\|") for name, column in COLUMNS.items()}
    assert [name for name, _ in found] == list(COLUMNS)


def test_an_audit_says_which_groups_it_has(small):
    net, X = small
    data = (X, gaussian(len(X), 3))
    assert nfa.audit(net, data).about.groups == ALWAYS
    with_loss = nfa.audit(net, data, loss="mse")
    assert with_loss.about.groups == (*ALWAYS, "fact")
    assert list(with_loss.to_frame().columns) == list(names([*ALWAYS, "fact"]))
    all_groups = nfa.audit(net, data, perturbed(net), loss="mse", published=True)
    assert list(all_groups.to_frame().columns) == list(COLUMNS)
    assert set(MEASURES) == set(GROUPS) - {"verdict"}
