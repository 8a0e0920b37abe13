"""The interval's coverage: repeated draws from a large population of samples."""

import numpy as np
import pytest
import torch
from helpers import gaussian

import nfa
from nfa.features.factored import FactoredMatrix
from nfa.features.interval import GroupTraces, interval
from nfa.probe import Probe

POPULATION, DRAWS = 40_000, 600


def deltas(net, X):
    """delta of the first layer for every sample: n x c x k."""
    parts = []
    with Probe(net, X) as probe:
        found = [[] for _ in range(probe.n_outputs)]
        order = []
        for sweep in probe.sweeps(probe.layers[:1], batch_size=4096):
            found[sweep.column].append(sweep.deltas[0][1][:, 0])
            if sweep.column == 0:
                order.append(sweep.samples)
        parts = torch.stack([torch.cat(column) for column in found], 1)
    return parts[torch.cat(order).argsort()]


@pytest.mark.parametrize("n", [200, 1000])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_interval_covers_the_many_sample_value(activation, n):
    net = nfa.MLP(8, [10, 6], n_outputs=3, activation=activation, seed=2).double()
    with torch.no_grad():  # far from linear, so that gradients differ from sample to sample
        net.layers[0].weight *= 3
    delta = deltas(net, gaussian(POPULATION, 8))
    nfm = FactoredMatrix(net.layers[0].weight)
    N = nfm.dense().numpy().ravel()
    W = net.layers[0].weight.detach()
    gradients = delta @ W  # n x c x d
    outer = torch.einsum("ncd,nce->nde", gradients, gradients).reshape(POPULATION, -1).numpy()
    truth = float(N @ outer.mean(0) / np.linalg.norm(N) / np.linalg.norm(outer.mean(0)))
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(DRAWS):
        drawn = outer[rng.choice(POPULATION, n, replace=False)]
        groups = np.stack([drawn[g::10].sum(0) for g in range(10)])
        total = groups.sum(0)
        traces = GroupTraces(
            square=float(N @ N),
            inner=torch.from_numpy(groups @ N),
            cross=torch.from_numpy(groups @ total),
            own=torch.from_numpy((groups**2).sum(1)),
            rows=torch.full((10,), float(n // 10), dtype=torch.float64),
        )
        low, high = interval(traces)
        covered += low <= truth <= high
    assert 0.92 <= covered / DRAWS <= 0.97
