"""Losses that choose hyperparameters."""

import numpy as np
import pytest
import torch
from helpers import gaussian

from nfa.rfm.losses import SOFTNESS, log_loss, log_probabilities, squared_loss


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_log_probabilities_are_of_softened_outputs(dtype):
    outputs = torch.cat([gaussian(20, 3), torch.tensor([[0.0, 0, 0], [1, 0, 0], [-2, -3, -2.5]]).double()])
    p = SOFTNESS * np.logaddexp(0, outputs.numpy().astype(np.longdouble) / SOFTNESS)
    expected = np.log(p / p.sum(1, keepdims=True)).astype(float)
    np.testing.assert_allclose(log_probabilities(outputs.to(dtype)), expected, rtol=2e-5, atol=1e-6)


def test_outputs_that_are_probabilities_stay_nearly_what_they_are():
    p = torch.tensor([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2]])
    torch.testing.assert_close(log_probabilities(p).exp(), p, atol=SOFTNESS / 10, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_log_probabilities_are_finite_and_increasing_far_out(dtype):
    f = torch.linspace(-300, 300, 20001, dtype=torch.float64).to(dtype)
    found = log_probabilities(torch.stack([f, torch.full_like(f, 0.5)], 1))
    assert torch.isfinite(found).all()
    assert (found[:, 0].diff() >= -1e-4).all()
    assert (log_probabilities(torch.stack([f, -f], 1)).exp().sum(1) - 1).abs().max() < 1e-5


def test_losses_are_weighted_means():
    outputs, targets = gaussian(9, 3), torch.eye(3, dtype=torch.float64)[torch.arange(9) % 3]
    weights = torch.arange(9, dtype=torch.float64)
    repeated = torch.arange(9).repeat_interleave(torch.arange(9))
    for loss in (log_loss, squared_loss):
        assert loss(outputs, targets, weights) == pytest.approx(loss(outputs[repeated], targets[repeated], None))
        assert loss(outputs, targets, torch.ones(9)) == pytest.approx(loss(outputs, targets, None))
        for large in (torch.full((9,), 3e38), torch.full((9,), 1e308, dtype=torch.float64)):
            assert loss(outputs, targets, large) == pytest.approx(loss(outputs, targets, None))
    assert squared_loss(outputs, targets, None) == pytest.approx(float(((outputs - targets) ** 2).mean()))
    expected = -log_probabilities(outputs)[torch.arange(9), torch.arange(9) % 3].mean()
    assert log_loss(outputs, targets, None) == pytest.approx(float(expected))


def test_true_probabilities_lose_least():
    """Proper: drawn labels are explained best by the probabilities they are drawn with."""
    p = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    targets, weights = torch.eye(3, dtype=torch.float64), p
    best = log_loss(p.expand(3, 3), targets, weights)
    for other in ([0.5, 0.4, 0.1], [0.7, 0.2, 0.1], [0.6, 0.2, 0.2], [1.0, 0.0, 0.0]):
        assert log_loss(torch.tensor(other).double().expand(3, 3), targets, weights) > best
