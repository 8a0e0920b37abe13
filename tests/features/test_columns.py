"""The table of columns: whole, in order, and the same in the docs as in the code."""

import math
import re
from pathlib import Path

import pytest
import torch
from helpers import gaussian, perturbed
from pandas.testing import assert_frame_equal

import nfa
from nfa.audits import settings
from nfa.common import InputError
from nfa.features.columns import ALWAYS, COLUMNS, GROUPS, ON_REQUEST, chosen, columns, names
from nfa.features.layer_measures import LayerMeasures
from nfa.features.measuring import measure
from nfa.features.powers import PowerScan
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
    return LayerMeasures(0, measured, init.layer, init, torch.ones_like(measured.layer.weight), 0.1, published)


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


@pytest.mark.parametrize("measure_columns", MEASURES)
def test_a_function_gives_the_columns_it_is_said_to_give_and_no_others(layer, measure_columns):
    assert sorted(measure_columns(layer)) == sorted(MEASURES[measure_columns])


def test_every_column_but_the_verdict_is_given_once():
    given = [name for names in MEASURES.values() for name in names]
    assert sorted([*given, "verdict"]) == sorted(COLUMNS)


def test_a_row_holds_the_columns_asked_for_in_the_table_s_order(layer):
    assert list(row(layer, {"nfm_trace", "cosine", "name"})) == ["name", "cosine", "nfm_trace"]
    every = row(layer, names(GROUPS))
    for name, column in COLUMNS.items():
        assert name == "verdict" or isinstance(every[name], column.kind)


def test_columns_are_chosen_by_name_or_by_group():
    always = [*names(["layer"]), "trivial", "note"]
    assert chosen(["cosine"]) == (*names(["layer"]), "cosine", "trivial", "note")
    assert set(chosen(["size", "ci_low"])) == {*always, *names(["size"]), "ci_low"}
    assert "alignment_z" not in chosen(["alignment"])  # a name of both is the column's


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["cosin"], r"columns: 'cosin' is unknown; did you mean 'cosine'\?"),
        ([], "columns: empty, expected names of columns or groups"),
        ("cosine", "columns: got 'cosine', expected a list of names"),
        (["fact_cosine"], "columns: 'fact_cosine' is of the group 'fact': give loss= too"),
        (["published"], "columns: 'pearson_sqrt_centered' is of the group 'published': give published=True too"),
    ],
)
def test_columns_that_cannot_be_had_are_one_line(small, asked, message):
    with pytest.raises(InputError, match=message):
        nfa.audit(*small, columns=asked)


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


def test_an_audit_of_some_columns_is_that_of_all_with_the_others_left_out(small, tmp_path):
    net, X = small
    data, init = (X, gaussian(len(X), 3)), perturbed(net)
    whole = nfa.audit(net, data, init).to_frame()
    for asked in (["cosine", "init_cosine"], ["alignment"], ["null", "interval"], ["power", "change"]):
        some = nfa.audit(net, data, init, columns=asked)
        some.save(tmp_path)
        for frame in (some.to_frame(), nfa.Audit.load(tmp_path).to_frame()):
            assert list(frame.columns) == list(chosen(asked))
            assert_frame_equal(frame, whole[frame.columns], rtol=1e-12)


def test_what_is_left_out_is_not_computed(small, monkeypatch):
    """Neither gradients of the network before training, nor sums by group, nor powers."""
    net, X = small
    sweeps, calls = [], []
    monkeypatch.setattr(settings, "measure", lambda *args, **how: sweeps.append(how) or measure(*args, **how))
    monkeypatch.setattr(PowerScan, "__init__", lambda *args: calls.append(args))
    found = nfa.audit(net, X, perturbed(net), columns=["cosine", "init_cosine"])
    assert [(each["label"], each["grouped"]) for each in sweeps] == [("measuring", False)]
    assert calls == []
    assert found.init_score is None
    assert not any("too few samples" in note for note in found.to_frame()["note"])
