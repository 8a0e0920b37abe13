"""Sums of delta'delta, whatever order in memory the gradients have."""

import pytest
import torch
from helpers import gaussian

from nfa.common.processes import ALONE
from nfa.features.accumulator import POSITIONS, Accumulator
from nfa.features.upper_sums import UpperSums

K = 300
"""More than one block."""


def summed(deltas, samples, probes, groups):
    """Finished sums of a few sweeps over one batch."""
    first = torch.stack([delta[:2, 0] for delta in deltas], 1)
    found = Accumulator(first, groups, probes)
    for column, delta in enumerate(deltas):
        signs = None if probes is None else torch.ones(len(delta), 2, dtype=delta.dtype)
        found.add(samples, column, signs, delta)
        if column == 0:
            found.count(samples, delta.shape[1])
    found.finish(ALONE)
    return found


@pytest.mark.parametrize("positions", [1, POSITIONS - 1, POSITIONS, 5 * POSITIONS])
@pytest.mark.parametrize("groups", [1, 10])
@pytest.mark.parametrize("probes", [None, 2])
def test_gradients_with_channels_first_have_the_same_sums(positions, groups, probes):
    samples = torch.arange(23)[(torch.arange(23) % 10).argsort(stable=True)]
    rows = [gaussian(23 * positions, K, seed=seed).reshape(23, positions, K) for seed in (1, 2)]
    channels_first = [each.mT.contiguous().mT for each in rows]
    expected, found = summed(rows, samples, probes, groups), summed(channels_first, samples, probes, groups)
    (centered, mean), (other, other_mean) = expected.moments(), found.moments()
    torch.testing.assert_close(other.matrix, centered.matrix)
    torch.testing.assert_close(other_mean, mean)
    P = gaussian(K, K, seed=3)
    torch.testing.assert_close(found.inner([P + P.T], 1.0), expected.inner([P + P.T], 1.0))
    if probes is None:
        everything = torch.cat(rows).flatten(0, 1)
        S = centered.matrix + mean.T @ mean
        torch.testing.assert_close(S, everything.T @ everything / (23 * positions))


def test_rows_of_several_samples_are_added_like_rows():
    rows = gaussian(12, K).reshape(3, 4, K)
    sums = UpperSums(2, K, rows)
    sums.add(0, rows)
    sums.add(1, rows.flatten(0, 1), times=2.0)
    P = torch.ones(K, K, dtype=torch.float64)
    torch.testing.assert_close(2 * sums.inner([P], 1.0)[0], sums.inner([P], 1.0)[1])
    torch.testing.assert_close(sums.total(), 3 * rows.flatten(0, 1).T @ rows.flatten(0, 1))
