"""Layers of few rows, of which nothing of size k x k is made: the same numbers, files and figures."""

import copy
import math

import numpy as np
import pytest
import torch
from helpers import assert_rows_equal, assert_same_table, gaussian, perturbed
from reference import expected_rows

import nfa
from nfa.features import FactoredMatrix, accumulator, cosine, measuring, weight
from nfa.features.measuring import measure
from nfa.features.powers import PowerScan, rotated_scan
from nfa.features.rows_matrix import RowsMatrix
from nfa.features.second_moment import ByRows, Whole
from nfa.features.weight import Weight
from nfa.probe import Probe


@pytest.fixture
def few(monkeypatch):
    """Rows are kept wherever there are fewer than 16 k."""
    monkeypatch.setattr(accumulator, "FEW_FROM", 1)
    monkeypatch.setattr(accumulator, "FEW", 1 / 16)


def by_rows(audit):
    return [isinstance(layer.second, ByRows) for layer in audit]


@pytest.mark.parametrize("n", [2, 9, 23])
@pytest.mark.parametrize("width", [[9, 5], [20, 20], [3, 20]])
def test_equals_dense_jacobians(few, width, n):
    init = nfa.MLP(7, width, n_outputs=3, activation="tanh").double()
    net, X = perturbed(init), gaussian(n, 7)
    audit = nfa.audit(net, X, init)
    assert any(by_rows(audit))
    assert_rows_equal(audit, expected_rows(net, X, init=init), 1e-9)


def test_nearly_constant_gradients(few):
    """Rows are kept less a reference."""
    net, X = nfa.MLP(7, [30, 20], n_outputs=3, activation="tanh", init="factor:0.1").double(), gaussian(12, 7)
    with Probe(net, X) as probe:
        assert any(each.sums.shift is not None and each.sums.kept for each in measure(probe, probe.layers[:2]))
    assert_rows_equal(nfa.audit(net, X), expected_rows(net, X), 1e-9)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_the_same_as_from_sums(few, monkeypatch, batch_size, scale):
    """All columns, deltas of any size, any batches, float32."""
    init = nfa.MLP(6, [12, 40, 12], n_outputs=2, activation="tanh")
    net, X = perturbed(init), gaussian(11, 6, dtype=torch.float32)
    with torch.no_grad():
        for each in (net, init):
            each.layers[3].weight *= scale
    audit = nfa.audit(net, X, init, batch_size=batch_size)
    assert by_rows(audit) == [True] * 4
    monkeypatch.setattr(accumulator, "FEW_FROM", 10**9)
    whole = nfa.audit(copy.deepcopy(net).double(), X.double(), copy.deepcopy(init).double())
    assert by_rows(whole) == [False] * 4
    assert_same_table(audit, whole, 5e-5)
    for layer, other in zip(audit, whole, strict=True):
        torch.testing.assert_close(layer.S, other.S, rtol=1e-4, atol=1e-6 * float(other.S.abs().max()))
        torch.testing.assert_close(layer.agop.dense(), other.agop.dense(), rtol=1e-4, atol=1e-6 * other.agop.norm())


def test_rows_that_are_many_after_all_are_added_up(few, monkeypatch):
    monkeypatch.setattr(accumulator, "FEW", 1 / 2)
    net, X = nfa.MLP(5, [30, 9], n_outputs=3).double(), gaussian(19, 5)
    audit = nfa.audit(net, X, batch_size=4)
    assert by_rows(audit) == [True, False, False]  # 57 rows of 30, 9 and 3 entries
    assert_rows_equal(audit, expected_rows(net, X), 1e-9)


def test_sequences_are_grouped_by_sample(few):
    inner = torch.nn.Sequential(torch.nn.Linear(4, 60), torch.nn.Tanh(), torch.nn.Linear(60, 2)).double()
    net = torch.nn.Sequential(inner, torch.nn.Flatten())
    X = gaussian(14 * 3, 4).reshape(14, 3, 4)
    with Probe(net, X) as probe:
        first, _ = measure(probe, probe.layers, batch_size=5)
    kept = first.sums.kept
    assert kept.rows.shape == (14 * 3 * 6, 60)
    assert kept.groups.bincount().tolist() == [2 * 18] * 4 + [18] * 6
    assert kept.outputs.bincount().tolist() == [42] * 6


def test_large_layers_alone_keep_rows():
    net = nfa.MLP(3, [1024], n_outputs=2)
    assert by_rows(nfa.audit(net, gaussian(128, 3, dtype=torch.float32), columns=["cosine"])) == [True, False]
    assert by_rows(nfa.audit(net, gaussian(129, 3, dtype=torch.float32), columns=["cosine"])) == [False, False]
    assert by_rows(nfa.audit(net, gaussian(4, 3, dtype=torch.float32), probes=2)) == [False, False]


def test_few_rows_need_no_second_pass(few, monkeypatch):
    monkeypatch.setattr(measuring, "GROUP_BUDGET", 16 * 60 * 60 * 8 * 3)
    net, X = nfa.MLP(4, [60, 60], n_outputs=2).double(), gaussian(9, 4)
    passes = []

    def sweeps(taken, *rest):
        passes.append(len(taken))
        return Probe.sweeps(probe, taken, *rest)

    with Probe(net, X) as probe:
        monkeypatch.setattr(probe, "sweeps", sweeps)
        list(measure(probe, probe.layers))
    assert passes == [3]


def test_an_audit_of_few_rows_comes_back_from_its_files(few, tmp_path):
    net, X = nfa.MLP(5, [40, 30], n_outputs=2), gaussian(8, 5, dtype=torch.float32)
    audit = nfa.audit(net, X)
    audit.save(tmp_path)
    loaded = nfa.Audit.load(tmp_path)
    assert by_rows(loaded) == by_rows(audit) == [True, True, True]
    for layer, other in zip(loaded, audit, strict=True):
        assert layer.row.items() >= {"name": other["name"], "cosine": other["cosine"]}.items()
        torch.testing.assert_close(layer.S, other.S)
        torch.testing.assert_close(layer.S_centered, other.S_centered)
        assert cosine(layer.nfm, layer.agop) == pytest.approx(other["cosine"], abs=1e-6)


@pytest.mark.parametrize(("k", "d", "N"), [(9, 6, 4), (9, 3, 5), (4, 9, 3), (30, 30, 7)])
def test_every_quantity_equals_that_of_the_matrix(k, d, N):
    W, D, B = gaussian(k, d), 1e-9 * gaussian(N, k, seed=2), gaussian(2, k, seed=3)
    own = Weight(W)
    for rows in (ByRows(D), ByRows(D).plus(B)):
        M, plain, nfm = rows.under(own), FactoredMatrix(own, rows.matrix), FactoredMatrix(own)
        assert isinstance(M, RowsMatrix)
        for name in ("trace", "norm", "total", "effective_rank", "rank"):
            assert getattr(M, name)() == pytest.approx(getattr(plain, name)(), rel=1e-9)
        np.testing.assert_allclose(M.dense(), plain.dense(), atol=1e-12 * plain.norm())
        np.testing.assert_allclose(M.diagonal(), plain.diagonal(), atol=1e-12 * plain.norm())
        np.testing.assert_allclose(M.top(2)[0], plain.top(2)[0])
        assert M.inner(nfm) == pytest.approx(nfm.inner(plain), rel=1e-9)
        assert nfm.inner(M) == pytest.approx(nfm.inner(plain), rel=1e-9)
        scan, other = PowerScan(nfm, M), PowerScan(nfm, plain)
        for alpha in (0.3, 1.0):
            assert scan.cosine(alpha) == pytest.approx(other.cosine(alpha), rel=1e-9)
            assert scan.pearson(alpha) == pytest.approx(other.pearson(alpha), abs=1e-9)
        assert rotated_scan(nfm, M, (0.5,)) == pytest.approx(rotated_scan(nfm, plain, (0.5,)))
        np.testing.assert_allclose(M.power(0.5).dense(), plain.power(0.5).dense(), atol=1e-9 * plain.norm() ** 0.5)
        split, moments = Whole(rows.matrix).moments, rows.moments
        ratio = float(split.levels / moments.levels)
        assert float(split.spreads) == pytest.approx(ratio**2 * float(moments.spreads), rel=1e-9)


@pytest.mark.parametrize(("k", "d"), [(30, 47), (47, 30), (40, 40)])
def test_sums_over_tiles_are_those_of_the_whole_matrix(k, d, monkeypatch):
    W = gaussian(k, d)
    C = W @ W.T
    monkeypatch.setattr(weight, "GRAM_KEPT", 1)
    monkeypatch.setattr(weight, "TILE", 7)
    found = Weight(W).moments
    level = float(C.trace()) / k
    assert float(found.levels) == pytest.approx(level)
    assert float(found.spreads) == pytest.approx(float((C - level * torch.eye(k)).square().sum()))
    assert FactoredMatrix(W).norm() == pytest.approx(float(C.norm()))
    orthogonal = Weight(torch.linalg.qr(gaussian(40, 40)).Q).moments
    assert math.sqrt(float(orthogonal.spreads)) < 1e-13
