"""Short ways from an audit to what people want of it."""

import inspect
import logging
import pydoc

import numpy as np
import pytest
import torch
from helpers import gaussian, perturbed

import nfa
from nfa.report import render, sentences


@pytest.fixture(scope="module")
def audit():
    net, X = nfa.MLP(6, [8, 5], n_outputs=3).double(), gaussian(40, 6)
    return nfa.audit(net, (X, torch.arange(40) % 3), perturbed(net))


def test_numbers_below_0_count_from_the_end(audit):
    assert audit[-1] is audit.layers[2]
    assert audit[-3] is audit[0]
    with pytest.raises(nfa.InputError, match=r"no layer -4; the audit has \[0, 1, 2\], and audit\[-1\] is the last"):
        audit[-4]


def test_numbers_from_0_are_those_of_the_whole_network():
    net, X = nfa.MLP(6, [8, 5], n_outputs=3), gaussian(9, 6)
    audit = nfa.audit(net, X, layers="layers.[12]")
    assert audit[1]["name"] == "layers.1"
    assert audit[-1]["name"] == "layers.2"
    with pytest.raises(nfa.InputError, match="no layer 0"):
        audit[0]


def test_sentences_are_those_of_the_report(audit):
    assert audit.sentences() == sentences(audit)


def test_a_report_goes_to_a_folder_or_to_a_page(audit, tmp_path):
    assert audit.report(tmp_path / "a") == tmp_path / "a" / "report.html"
    assert audit.report(tmp_path / "b" / "mine.html").read_text() == render(audit)
    (tmp_path / "taken.html").mkdir()
    with pytest.raises(nfa.InputError, match=r"path: .*taken.html is a folder, expected a file"):
        audit.report(tmp_path / "taken.html")


def test_matrices_are_arrays(audit):
    for matrix in (audit[0].agop, audit[0].nfm, audit[0].agop_centered):
        dense = np.asarray(matrix)
        np.testing.assert_array_equal(dense, matrix.dense().numpy())
        assert np.asarray(matrix, dtype=np.float32).dtype == np.float32
    assert np.linalg.eigvalsh(audit[0].agop).shape == (6,)
    with pytest.raises(ValueError, match="made on request"):
        audit[0].agop.__array__(copy=False)  # as np.array(..., copy=False) asks from NumPy 2 on


def test_help_names_types_as_people_know_them():
    text = pydoc.plain(pydoc.render_doc(nfa.audit))
    signature = text[: text.index("Measure what every layer")]
    assert "torch.nn.modules" not in signature
    assert "nfa." not in signature.replace("nfa.audits.run", "")
    assert len(inspect.signature(nfa.audit).parameters) > 15


def test_steps_are_logged_under_nfa_and_a_script_sees_none_of_them(caplog, capsys):
    net, X = nfa.MLP(6, [8], n_outputs=3), gaussian(40, 6)
    with caplog.at_level(logging.DEBUG, logger="nfa"):
        nfa.audit(net, (X, np.array(["a", "b", "c"])[np.arange(40) % 3]))
    said = [record.getMessage() for record in caplog.records]
    assert "auditing MLP on a tensor with targets: layers.0, layers.1" in said
    assert any(line.startswith("measured layers.0: ") for line in said)
    assert any(line.startswith("Classes in sorted order") for line in said)
    assert {record.name.split(".")[0] for record in caplog.records} == {"nfa"}
    assert capsys.readouterr() == ("", "")
