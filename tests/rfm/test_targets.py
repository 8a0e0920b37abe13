"""Means and deviations that are taken off targets."""

import numpy as np
import pytest
import torch
from helpers import gaussian

from nfa.rfm.targets import Standardisation

BOTH = Standardisation(centered=True, scaled=True)


@pytest.mark.parametrize("weights", [None, torch.arange(1.0, 31.0)])
@pytest.mark.parametrize("units", [[1.0, 1.0], [1e-200, 1e200], [3.0, 1e6]])
def test_they_are_weighted_means_and_deviations(units, weights):
    t = gaussian(30, 2) + torch.tensor([5.0, -1.0])
    y = t * torch.tensor(units, dtype=torch.float64)
    found = BOTH.of(y, weights)
    shares = None if weights is None else weights.numpy()
    mean = np.average(t.numpy(), axis=0, weights=shares)
    np.testing.assert_allclose(found.offset, mean * units, rtol=1e-13)
    np.testing.assert_allclose(
        found.scale, np.sqrt(np.average((t.numpy() - mean) ** 2, axis=0, weights=shares)) * units
    )
    np.testing.assert_allclose(found.given(found.learned(y)), y, rtol=1e-12)


def test_only_what_is_asked_for_is_taken_off():
    y = gaussian(9, 2) + 3
    assert torch.equal(Standardisation().of(y, None).learned(y), y)
    assert torch.equal(Standardisation(centered=True).of(y, None).scale, torch.ones(2, dtype=torch.float64))
    assert not Standardisation(scaled=True).of(y, None).offset.any()
    assert float(BOTH.of(y[:, :1], None).scale) == 1  # one target has no other to be compared with


@pytest.mark.parametrize("value", [7.0, 0.1, 1e300, 0.0])
def test_constant_columns_are_exactly_0(value):
    y = torch.stack([torch.full((30,), value, dtype=torch.float64), gaussian(30, 1)[:, 0]], 1)
    found = BOTH.of(y, torch.rand(30, generator=torch.Generator().manual_seed(0)))
    assert not found.learned(y)[:, 0].any()
    assert found.scale[0] == 1


def test_a_column_that_is_constant_but_for_rounding_is_not_blown_up():
    y = torch.stack([torch.tensor([0.1 + 0.2, 0.3] * 5, dtype=torch.float64), gaussian(10, 1)[:, 0]], 1)
    assert BOTH.of(y, None).scale[0] == 1
