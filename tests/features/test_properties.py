"""What must hold for any network, by hypothesis."""

import copy

import numpy as np
import pytest
import torch
from helpers import gaussian
from hypothesis import given, settings
from hypothesis import strategies as st

import nfa

SIMILARITIES = ["cosine", "cosine_centered", "cosine_sqrt", "cosine_alpha_best", "subspace_overlap"]

networks = st.builds(
    lambda d, widths, c, activation, seed: nfa.MLP(d, widths, n_outputs=c, activation=activation, seed=seed).double(),
    st.integers(1, 7),
    st.lists(st.integers(2, 9), max_size=3),
    st.integers(1, 4),
    st.sampled_from(["relu", "tanh", "sine", "gelu"]),
    st.integers(0, 99),
)
quick = settings(max_examples=25, deadline=None)


@quick
@given(networks, st.integers(1, 40))
def test_agop_is_positive_semidefinite(net, n):
    d = net.architecture["d"]
    for centered in (False, True):
        for matrix in nfa.agop(net, gaussian(n, d), centered=centered).values():
            values = np.linalg.eigvalsh(matrix.dense().numpy())
            assert values[0] >= -1e-12 * max(values[-1], 1e-12)


@quick
@given(networks, st.integers(0, 99))
def test_rotating_the_inputs_changes_no_similarity(net, seed):
    d = net.architecture["d"]
    X = gaussian(30, d)
    Q = torch.linalg.qr(gaussian(d, d, seed=seed))[0]
    rotated = copy.deepcopy(net)
    with torch.no_grad():
        rotated.layers[0].weight.copy_(net.layers[0].weight @ Q)
    one, other = nfa.audit(net, X).to_frame(), nfa.audit(rotated, X @ Q).to_frame()
    np.testing.assert_allclose(one[SIMILARITIES].astype(float), other[SIMILARITIES].astype(float), atol=1e-7)


@quick
@given(networks, st.floats(0.01, 100))
def test_scaling_the_outputs_scales_the_agop_by_the_square(net, factor):
    d = net.architecture["d"]
    X = gaussian(20, d)
    scaled = torch.nn.Sequential(net, type("Times", (torch.nn.Module,), {"forward": lambda self, f: factor * f})())
    for one, other in zip(nfa.agop(net, X).values(), nfa.agop(scaled, X).values(), strict=True):
        torch.testing.assert_close(other.dense(), factor**2 * one.dense(), rtol=1e-9, atol=1e-14)


@quick
@given(networks, st.integers(1, 20), st.integers(1, 20))
def test_batches_add_up(net, n, m):
    d = net.architecture["d"]
    X = gaussian(n + m, d)
    whole, first, second = (nfa.agop(net, rows) for rows in (X, X[:n], X[n:]))
    for name, matrix in whole.items():
        parts = (n * first[name].dense() + m * second[name].dense()) / (n + m)
        torch.testing.assert_close(matrix.dense(), parts, rtol=1e-9, atol=1e-13)


@quick
@given(networks, st.integers(0, 99))
def test_relabelling_hidden_units_changes_nothing(net, seed):
    if len(net.layers) < 2:
        return
    d = net.architecture["d"]
    X = gaussian(30, d)
    order = torch.randperm(net.layers[0].out_features, generator=torch.Generator().manual_seed(seed))
    relabelled = copy.deepcopy(net)
    with torch.no_grad():
        relabelled.layers[0].weight.copy_(net.layers[0].weight[order])
        relabelled.layers[1].weight.copy_(net.layers[1].weight[:, order])
    one, other = nfa.audit(net, X).to_frame(), nfa.audit(relabelled, X).to_frame()
    columns = [*SIMILARITIES, "pearson", "nfm_trace", "agop_trace"]
    np.testing.assert_allclose(one[columns].astype(float), other[columns].astype(float), atol=1e-7)


@pytest.mark.parametrize("k", [1, 255, 256, 257, 700])
def test_sums_by_blocks_are_whole_symmetric_matrices(k):
    from nfa.features.upper_sums import UpperSums

    rows = gaussian(9, k)
    sums = UpperSums(2, k, rows)
    sums.add(0, rows[:4])
    sums.add(1, rows[4:])
    torch.testing.assert_close(sums.total(), rows.T @ rows)
    P = gaussian(k, k, seed=5)
    P = P + P.T
    halves = [rows[:4].T @ rows[:4], rows[4:].T @ rows[4:]]
    expected = torch.stack([torch.stack([0.5 * (each * M).sum() for M in (P, P @ P)]) for each in halves])
    torch.testing.assert_close(sums.inner([P, P @ P], 0.5), expected)
