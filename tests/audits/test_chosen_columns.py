"""Audits of some columns: whatever columns are chosen, everything that takes an audit works or says what it lacks."""

import ast
import copy
import inspect
import re

import pytest
import torch
from helpers import gaussian, runner
from pandas.testing import assert_frame_equal

import nfa
from nfa.audits import verdict
from nfa.audits.settings import Settings
from nfa.cli import app
from nfa.common import InputError
from nfa.features.columns import COLUMNS, GROUPS, IN_EVERY, chosen, names
from nfa.plots.kinds import drawn_kind
from nfa.report import words

X = gaussian(300, 6, dtype=torch.float32)
Y = (X[:, 0] * X[:, 1] > 0).long()
ASKED = [[name] for name in dict.fromkeys([*COLUMNS, *GROUPS]) if name != "layer"]
SEVERAL = [["verdict", "cosine"], ["verdict", "alignment", "similarity"], ["cosine", "fact_rest"]]


@pytest.fixture(scope="module")
def trained():
    """A network that has learned its task, and the same before training."""
    torch.manual_seed(3)
    net = torch.nn.Sequential(torch.nn.Linear(6, 24), torch.nn.ReLU(), torch.nn.Linear(24, 2))
    before, optimizer = copy.deepcopy(net), torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(X), Y).backward()
        optimizer.step()
    return net, before


@pytest.fixture(scope="module")
def whole(trained):
    found = audit(trained, None)
    assert found[0]["verdict"] == "learned"
    return found


def audit(trained, columns):
    return nfa.audit(trained[0], (X, Y), trained[1], loss="cross_entropy", published=True, columns=columns)


def works_or_refuses(call, asked):
    """Return whether a call works; a refusal is one line that names columns that were not asked for."""
    try:
        call()
    except InputError as error:
        said = str(error)
        assert "\n" not in said
        assert set(re.findall(r"\w+", said)) & COLUMNS.keys() - set(chosen(asked)), said
        return False
    return True


def read_in(module):
    """The columns that a module's functions read from a row: every row["name"] of its source."""
    nodes = ast.walk(ast.parse(inspect.getsource(module)))
    keys = [each.slice for each in nodes if isinstance(each, ast.Subscript) and ast.unparse(each.value) == "row"]
    return {ast.literal_eval(each) for each in keys}


def test_the_deciding_columns_are_those_that_the_rules_read():
    assert verdict.DECIDING | {"trivial"} == read_in(verdict)


def test_the_spoken_columns_are_those_that_sentences_read():
    always = {*IN_EVERY, *names(["fact"])}  # what the theorem shows is said where it was asked for
    assert set(words.SPOKEN) - always == (read_in(words) | verdict.DECIDING | {"verdict"}) - always


def test_a_verdict_brings_the_columns_that_it_is_made_from():
    assert set(Settings(asked=chosen(["verdict"])).columns) == {*IN_EVERY, "verdict", *verdict.DECIDING}
    assert Settings(asked=chosen(["cosine"])).columns == chosen(["cosine"])


@pytest.mark.parametrize("asked", [*ASKED, *SEVERAL], ids="+".join)
def test_an_audit_of_some_columns_can_be_read(trained, whole, asked, tmp_path):
    some = audit(trained, asked)
    expected = whole.to_frame()[list(some.about.columns)]
    assert set(chosen(asked)) <= set(some.about.columns)
    some.save(tmp_path / "some")
    again = nfa.Audit.load(tmp_path / "some")
    for each in (some, again):
        assert_frame_equal(each.to_frame(), expected, rtol=1e-5)
        assert each.about.model in repr(each)
        assert "<table" in each._repr_html_()
        assert "0" in repr(each[0])
        assert "<table" in each[0]._repr_html_()
        assert "Haar" in each.methods()
    said = works_or_refuses(some.sentences, asked)
    assert works_or_refuses(lambda: some.report(tmp_path), asked) == said
    works_or_refuses(lambda: drawn_kind("layers", some, {}), asked)


@pytest.mark.parametrize("asked", [["verdict"], ["cosine"], ["power"], *SEVERAL], ids="+".join)
def test_an_audit_of_some_columns_can_be_drawn_and_compared(trained, whole, asked, tmp_path):
    some = audit(trained, asked)
    for kind in ("spectrum", "powers", "features", "matrices"):
        drawn_kind(kind, some, {})
    for name, each in {"some": some, "whole": whole}.items():
        each.save(tmp_path / name)
    call = ["compare", str(tmp_path / "some"), str(tmp_path / "whole"), "--out", str(tmp_path / "two.html")]
    assert runner().invoke(app, call).exit_code == 0


@pytest.mark.parametrize("asked", [each for each in ASKED if set(chosen(each)) <= set(names())], ids="+".join)
def test_a_training_is_tracked_by_some_columns(trained, asked, tmp_path):
    """To the end, when the network has learned its task."""
    net, before = trained
    tracker = nfa.Tracker(net, (X, Y), init=before, columns=asked, samples=100)
    tracker.record(epoch=1)
    assert tracker.history.settings["columns"] == list(tracker.history.moments[0].layers[0])
    tracker.save(tmp_path)
    assert set(chosen(asked)) <= {*tracker.to_frame().columns}
    works_or_refuses(lambda: drawn_kind("training", tmp_path, {}), asked)


def test_sentences_of_an_audit_without_verdicts_are_refused_and_never_called_an_earlier_version_s(trained, tmp_path):
    with pytest.raises(InputError, match=r"^columns: this audit lacks verdict, alignment, "):
        audit(trained, ["cosine"]).sentences()
    with pytest.raises(InputError, match=r"^columns: this audit lacks alignment, .*: audit the network with these"):
        audit(trained, ["verdict"]).report(tmp_path)
    some = audit(trained, words.SPOKEN)
    assert some.report(tmp_path).exists()
    assert "consistent with feature learning" in some.sentences()[1]
