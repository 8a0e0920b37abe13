"""Probabilities of classes from a machine's outputs, by one temperature."""

import math

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from nfa.rfm.losses import weighted_mean

SOFTNESS = 0.05
"""How gradually outputs of a class are cut off at 0 and 1."""
RAREST = 0.1
"""A class with less than an equal share has less of it, in proportion, down to this much: beside a small share 0.05 is
far from 0, so that no row would ever be sure not to be of this class."""
BEYOND = 50.0
"""So many times that far outside, nothing is left of the softness in float64."""
COLDEST, HOTTEST = 0.02, 100.0
"""The least temperature, at which outputs that are right leave nothing for other classes, and the largest, at which all
rows have the prior."""
DIGITS = 1e-6
"""Relative accuracy of a temperature. The loss at it is that of other targets than it is the best for, so that it is as
accurate as this alone; searches choose by it, and on rows that are all right candidates differ by less than 1e-3."""


def calibrated(outputs: Tensor, prior: Tensor | None, temperature: float) -> Tensor:
    """Return logarithms of probabilities, (n, c), p_j proportional to prior_j (s(f_j) / s(prior_j))^(1 / T).

    s(f) = 1 + f / e between 0 and 1, and is level beyond, with soft ends: outputs estimate probabilities, so that one
    beyond 0 or 1 says no more than 0 or 1 does. e is 0.05; of a class with less than an equal share of the rows,
    0.05 c prior_j, but at least 0.005. At T = 1, with c equal priors, p is (f + 0.05) / (1 + 0.05 c); a smaller T makes
    a row surer of its largest. p never falls where f grows, and where f is the prior, as far from all training rows, p
    is the prior too.

    Args:
        outputs: f, (n, c).
        prior: The classes' shares, (c,); None for equal ones and outputs without an intercept.
        temperature: T.

    >>> prior = torch.tensor([0.25, 0.75])
    >>> calibrated(prior[None], prior, 0.1).exp()
    tensor([[0.2500, 0.7500]])
    """
    if prior is None:
        return (_softly_cut(outputs, outputs.new_tensor(SOFTNESS)).log() / temperature).log_softmax(1)
    softness = SOFTNESS * (len(prior) * prior).clamp(RAREST, 1)
    ratios = _softly_cut(outputs, softness).log() - _softly_cut(prior, softness).log()
    shares = prior.clamp(min=torch.finfo(prior.dtype).tiny)
    return (shares.log() + ratios / temperature).log_softmax(1)


def _softly_cut(outputs: Tensor, softness: Tensor) -> Tensor:
    """Return 1 + log(1 + exp(f / e)) - log(1 + exp((f - 1) / e)), for softness e: 1 + f / e between 0 and 1."""
    # Beyond, both terms are huge, and their difference is a constant to the last digit.
    x = torch.minimum((outputs / softness).clamp(min=-BEYOND), 1 / softness + BEYOND)
    zero = outputs.new_zeros(())
    return 1 + torch.logaddexp(x, zero) - torch.logaddexp(x - 1 / softness, zero)


def log_loss_at(
    outputs: Tensor, targets: Tensor, weights: Tensor | None, prior: Tensor | None, temperature: float
) -> float:
    """Return the mean of -log p(class) for targets, (n, c), one-hot or shares of classes."""
    return weighted_mean(-(calibrated(outputs, prior, temperature) * targets).sum(1), weights)


def best_temperature(
    outputs: Tensor, targets: Tensor, weights: Tensor | None, prior: Tensor | None
) -> tuple[float, float]:
    """Return the best temperature, and the mean of -log p(class) at it.

    It is that of the least mean where a row more is counted beside the n given ones, which falls on the classes as the
    prior does: each row's target t is (n t + prior) / (n + 1). So a few rows that are all right leave some doubt, as
    the targets of Platt's sigmoid do (1999, section 2.2). That mean is convex in 1 / T.

    Args:
        outputs: For rows that the machine was not fitted on, (n, c).
        targets: One-hot, or shares of classes, (n, c).
        weights: Of the rows; None for 1. n is their sum.
        prior: As for `calibrated`.

    >>> f = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    >>> y = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    >>> 0.02 < best_temperature(f, y, None, torch.tensor([0.5, 0.5]))[0] < 1
    True
    """
    outputs = outputs.double()
    n = float(len(outputs) if weights is None else weights.sum())
    doubted = (n * targets + (1 / targets.shape[1] if prior is None else prior)) / (n + 1)

    def loss(logarithm: float) -> float:
        return log_loss_at(outputs, doubted, weights, prior, math.exp(logarithm))

    ends = (math.log(COLDEST), math.log(HOTTEST))
    found = minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": DIGITS})
    temperature = math.exp(found.x)
    return temperature, log_loss_at(outputs, targets, weights, prior, temperature)
