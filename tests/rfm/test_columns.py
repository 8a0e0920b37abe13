"""What columns are divided by."""

import numpy as np
import pytest
import torch
from helpers import gaussian

from nfa.rfm.columns import column_scales, means_and_deviations

X = gaussian(30, 3)
WEIGHTS = torch.linspace(0.1, 2, 30, dtype=torch.float64)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("units", [[1.0, 1.0, 1.0], [1e-200, 1.0, 1e200]])
def test_means_and_deviations(units, weights):
    shares = None if weights is None else weights.numpy()
    mean = np.average(X.numpy(), axis=0, weights=shares)
    expected = np.sqrt(np.average((X.numpy() - mean) ** 2, axis=0, weights=shares)) * units
    rows = X * torch.tensor(units, dtype=torch.float64)
    means, deviations = means_and_deviations(rows, weights)
    np.testing.assert_allclose(means, mean * units, rtol=1e-11)
    np.testing.assert_allclose(deviations, expected, rtol=1e-12)
    np.testing.assert_allclose(column_scales(rows, weights), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_columns_of_0_and_1_and_constant_ones_stay(dtype):
    rounded = torch.tensor([0.1 + 0.2, 0.3] * 15, dtype=torch.float64)
    rows = torch.stack([(X[:, 0] > 0).double(), torch.full((30,), 7.0), torch.zeros(30), rounded, X[:, 1]], 1).to(dtype)
    found = column_scales(rows, None)
    assert found[:4].tolist() == [1, 1, 1, 1]
    assert float(found[4]) == pytest.approx(float(X[:, 1].std(correction=0)), rel=1e-5)
    # Two other numbers are a unit like any other.
    assert float(column_scales(2 * rows, None)[0]) == pytest.approx(2 * float(rows[:, 0].std(correction=0)), rel=1e-5)


@pytest.mark.parametrize("offset", [1e6, -3e7, 2.0**40])
def test_a_float32_column_with_an_offset_varies_as_its_entries_do(offset):
    rows = (X * offset * 1e-6 + offset).float()
    found = column_scales(rows, None).numpy()
    np.testing.assert_allclose(found, rows.numpy().astype(np.float64).std(0), rtol=1e-9)
    assert (found != 1).all()


@pytest.mark.parametrize("value", [0.1, 1e-300, -1e300, 5e-324])
def test_a_column_of_equal_entries_has_exactly_its_entry_as_mean(value):
    mean, deviation = means_and_deviations(torch.full((7, 1), value, dtype=torch.float64), WEIGHTS[:7])
    assert (mean.item(), deviation.item()) == (value, 0)
