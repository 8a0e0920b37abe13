"""Probabilities by one temperature."""

import numpy as np
import pytest
import torch
from helpers import gaussian
from scipy.optimize import minimize_scalar

from nfa.rfm.calibration import COLDEST, HOTTEST, best_temperature, calibrated, log_loss_at

PRIOR = torch.tensor([0.7, 0.25, 0.05], dtype=torch.float64)
OUTPUTS = PRIOR + 0.3 * gaussian(50, 3)
TARGETS = torch.eye(3, dtype=torch.float64)[(OUTPUTS + 0.2 * gaussian(50, 3, seed=4)).argmax(1)]
WEIGHTS = torch.linspace(0.1, 2, 50, dtype=torch.float64)


@pytest.mark.parametrize("prior", [None, PRIOR])
@pytest.mark.parametrize("T", [0.02, 0.3, 10.0])
def test_it_is_the_formula(T, prior):
    p = calibrated(OUTPUTS, prior, T).exp().numpy()
    shares = np.full(3, 1 / 3) if prior is None else prior.numpy()
    expected = shares * np.exp((OUTPUTS.numpy() - shares) / T)
    np.testing.assert_allclose(p, expected / expected.sum(1, keepdims=True), rtol=1e-9)
    np.testing.assert_allclose(p.sum(1), 1)


@pytest.mark.parametrize("T", [COLDEST, 0.3, HOTTEST])
def test_the_prior_stays_what_it_is_and_p_grows_with_the_output(T):
    torch.testing.assert_close(calibrated(PRIOR[None], PRIOR, T).exp()[0], PRIOR)
    more = OUTPUTS.clone()
    more[:, 1] += 0.1
    assert (calibrated(more, PRIOR, T)[:, 1] >= calibrated(OUTPUTS, PRIOR, T)[:, 1]).all()


@pytest.mark.parametrize("classes", [10, 100])
def test_a_perfect_output_leaves_nothing_for_other_classes(classes):
    prior = torch.full((classes,), 1 / classes, dtype=torch.float64)
    assert calibrated(torch.eye(classes, dtype=torch.float64), prior, COLDEST).exp().diagonal().min() > 1 - 1e-12


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("prior", [None, PRIOR])
def test_the_best_temperature_is_the_best(prior, weights):
    T, loss = best_temperature(OUTPUTS, TARGETS, weights, prior)
    p = lambda t: calibrated(OUTPUTS, prior, t).numpy()  # noqa: E731
    by = lambda t: np.average(-(p(t) * TARGETS.numpy()).sum(1), weights=weights)  # noqa: E731
    expected = minimize_scalar(by, bounds=(0.02, 5), method="bounded", options={"xatol": 1e-8})
    assert pytest.approx(expected.x, rel=2e-3) == T
    assert loss == pytest.approx(expected.fun, rel=1e-5) == log_loss_at(OUTPUTS, TARGETS, weights, prior, T)


def test_noise_has_the_prior_and_what_is_right_no_doubt():
    noise = torch.eye(3, dtype=torch.float64)[torch.arange(50) % 3]
    assert best_temperature(-TARGETS, TARGETS, None, PRIOR)[0] > 0.9 * HOTTEST
    assert best_temperature(TARGETS, TARGETS, None, PRIOR)[0] < 1.1 * COLDEST
    T = best_temperature(OUTPUTS, noise, None, None)[0]
    assert T > 1
