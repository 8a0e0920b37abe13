"""The interval: its coverage in repeated draws from a large population, and the jackknife that it is near to."""

import math

import numpy as np
import pytest
import torch
from helpers import gaussian
from scipy import stats

import nfa
from nfa.features.factored import FactoredMatrix
from nfa.features.interval import LEVEL, QUANTILES, GroupTraces, interval
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
            rows=torch.full((10,), float(n // 10), dtype=torch.float64),
        )
        low, high = interval(traces)
        covered += low <= truth <= high
    assert 0.92 <= covered / DRAWS <= 0.97


def delete_a_group(N, parts, rows):
    """The delete-a-group jackknife of cos(N, sum of the parts), each part left out in turn."""

    def cosine(A):
        return float(N @ A / np.linalg.norm(N) / np.linalg.norm(A))

    total, groups = parts.sum(0), len(parts)
    theta, h = cosine(total), rows.sum() / rows
    without = np.array([cosine(total - part) for part in parts])
    centre = groups * theta - ((1 - 1 / h) * without).sum()
    pseudo = h * theta - (h - 1) * without
    reach = stats.t.ppf(0.975, groups - 1) * math.sqrt(((pseudo - centre) ** 2 / (h - 1)).mean())
    return np.array([centre - reach, centre + reach])


@pytest.mark.parametrize("rows", [[20.0] * 10, [7.0, 7.0, 6.0, 6.0], [1.0, 2.0, 40.0]])
def test_it_is_the_delete_a_group_jackknife_to_first_order(rows):
    rng, rows = np.random.default_rng(3), np.array(rows)
    N, mean, noise = rng.normal(size=30), rng.normal(size=30), rng.normal(size=(len(rows), 30))
    apart = []
    for size in (1e-2, 1e-3):
        parts = rows[:, None] * (mean + size * noise)
        inner, cross = torch.from_numpy(parts @ N), torch.from_numpy(parts @ parts.sum(0))
        ours = np.array(interval(GroupTraces(float(N @ N), inner, cross, torch.from_numpy(rows))))
        theirs = delete_a_group(N, parts, rows)
        apart.append(abs(ours - theirs).max())
        assert ours[1] - ours[0] == pytest.approx(theirs[1] - theirs[0], rel=30 * size)
    assert apart[1] < apart[0] / 30  # of second order: a tenth of the noise, a hundredth of the difference


def test_the_quantiles_are_those_of_students_t():
    np.testing.assert_allclose(QUANTILES, stats.t.ppf(0.5 + LEVEL / 2, range(1, 10)), rtol=1e-8)
