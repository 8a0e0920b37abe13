"""Probabilities by one temperature."""

import numpy as np
import pytest
import torch
from helpers import gaussian, softly_cut
from scipy.optimize import minimize_scalar

from nfa.rfm.calibration import COLDEST, HOTTEST, best_temperature, calibrated, log_loss_at
from nfa.rfm.losses import log_probabilities

PRIOR = torch.tensor([0.7, 0.25, 0.05], dtype=torch.float64)
OUTPUTS = PRIOR + 0.3 * gaussian(50, 3)
TARGETS = torch.eye(3, dtype=torch.float64)[(OUTPUTS + 0.2 * gaussian(50, 3, seed=4)).argmax(1)]
WEIGHTS = torch.linspace(0.1, 2, 50, dtype=torch.float64)


@pytest.mark.parametrize("prior", [None, PRIOR])
@pytest.mark.parametrize("T", [0.02, 0.3, 10.0])
def test_it_is_the_formula(T, prior):
    p = calibrated(OUTPUTS, prior, T).exp().numpy()
    shares = np.full(3, 1 / 3) if prior is None else prior.numpy()
    expected = shares * (softly_cut(OUTPUTS.numpy(), shares) / softly_cut(shares, shares)) ** (1 / T)
    np.testing.assert_allclose(p, expected / expected.sum(1, keepdims=True), rtol=1e-9)
    np.testing.assert_allclose(p.sum(1), 1)


@pytest.mark.parametrize("T", [COLDEST, 0.3, HOTTEST])
def test_the_prior_stays_what_it_is_and_p_grows_with_the_output(T):
    torch.testing.assert_close(calibrated(PRIOR[None], PRIOR, T).exp()[0], PRIOR)
    more = OUTPUTS.clone()
    more[:, 1] += 0.1
    assert (calibrated(more, PRIOR, T)[:, 1] >= calibrated(OUTPUTS, PRIOR, T)[:, 1]).all()


def test_outputs_are_probabilities_at_temperature_one():
    p = torch.tensor([[0.5, 0.5], [0.8, 0.2], [0.35, 0.65]], dtype=torch.float64)
    for prior in (None, torch.tensor([0.5, 0.5], dtype=torch.float64)):
        torch.testing.assert_close(calibrated(p, prior, 1.0).exp(), p, atol=0.03, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_outputs_beyond_zero_and_one_say_no_more_than_these(dtype):
    for size in (1.5, 1e3, 1e30):
        p = calibrated(torch.tensor([[size, 1 - size], [1.0, 0.0]], dtype=dtype), None, 0.5).exp()
        assert p[1, 0] < p[0, 0] < p[1, 0] + 0.01


def test_rows_that_are_clear_of_a_rare_class_are_sure_of_it():
    """Of the rows' outputs 0.95 are the target, and 0.05 the prior and noise."""
    prior = torch.tensor([0.96, 0.04], dtype=torch.float64)
    targets = torch.eye(2, dtype=torch.float64)[(torch.arange(500) % 25 == 0).long()]
    outputs = 0.95 * targets + 0.05 * prior + 0.02 * gaussian(500, 1, seed=6) * torch.tensor([1.0, -1.0])
    loss = best_temperature(outputs, targets, None, prior)[1]
    assert loss < 0.5 * float(-(log_probabilities(outputs) * targets).sum(1).mean())
    assert loss < 0.005


@pytest.mark.parametrize("classes", [10, 100])
def test_a_perfect_output_leaves_nothing_for_other_classes(classes):
    prior = torch.full((classes,), 1 / classes, dtype=torch.float64)
    assert calibrated(torch.eye(classes, dtype=torch.float64), prior, COLDEST).exp().diagonal().min() > 1 - 1e-12


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("prior", [None, PRIOR])
def test_the_best_temperature_is_the_best(prior, weights):
    T, loss = best_temperature(OUTPUTS, TARGETS, weights, prior)
    n = 50 if weights is None else float(weights.sum())
    shares = np.full(3, 1 / 3) if prior is None else prior.numpy()

    def by(t, targets):
        return np.average(-(calibrated(OUTPUTS, prior, t).numpy() * targets).sum(1), weights=weights)

    doubted = TARGETS.numpy() * n / (n + 1) + shares / (n + 1)
    expected = minimize_scalar(lambda t: by(t, doubted), bounds=(0.02, 5), method="bounded", options={"xatol": 1e-8})
    assert pytest.approx(expected.x, rel=2e-3) == T
    assert loss == pytest.approx(by(T, TARGETS.numpy())) == log_loss_at(OUTPUTS, TARGETS, weights, prior, T)


@pytest.mark.parametrize("n", [2, 20, 2000])
def test_rows_that_are_all_right_leave_the_doubt_of_one_row_more(n):
    right = torch.eye(2, dtype=torch.float64)[torch.arange(n) % 2]
    T, loss = best_temperature(right, right, None, torch.tensor([0.5, 0.5], dtype=torch.float64))
    assert loss == pytest.approx(-np.log((n + 0.5) / (n + 1)), rel=1e-2)
    assert T > COLDEST


def test_noise_has_the_prior():
    noise = torch.eye(3, dtype=torch.float64)[torch.arange(50) % 3]
    assert best_temperature(-TARGETS, TARGETS, None, PRIOR)[0] > 0.9 * HOTTEST
    T = best_temperature(OUTPUTS, noise, None, None)[0]
    assert T > 1


def test_the_loss_to_choose_by_is_exact():
    """Candidates whose rows are all right differ by little."""
    near = torch.eye(3, dtype=torch.float64)[torch.arange(40) % 3]
    outputs = near + 0.02 * gaussian(40, 3, seed=2)
    _, loss = best_temperature(outputs, near, None, None)
    doubted = (40 * near + 1 / 3) / 41
    exact = minimize_scalar(
        lambda t: log_loss_at(outputs, doubted, None, None, t),
        bounds=(0.1, 1),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert loss == pytest.approx(log_loss_at(outputs, near, None, None, exact.x), rel=1e-5)
