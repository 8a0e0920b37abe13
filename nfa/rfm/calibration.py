"""Probabilities of classes from a machine's outputs, by one temperature."""

import math

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from nfa.rfm.losses import log_softened, weighted_mean

SOFTNESS = 0.08
"""An output that is above 0 by more than about this counts as a probability. It is more than in `nfa.rfm.losses`: at a
temperature below 1, much is made of small differences, and so of the noise in outputs near 0."""
COLDEST, HOTTEST = 0.02, 100.0
"""The least temperature, at which outputs that are right leave nothing for other classes, and the largest, at which all
rows have the prior."""
DIGITS = 1e-3
"""Relative accuracy of a temperature."""


def calibrated(outputs: Tensor, prior: Tensor | None, temperature: float) -> Tensor:
    """Return logarithms of probabilities, (n, c), p_j proportional to prior_j (s(f_j) / s(prior_j))^(1 / T).

    s(f) = log(1 + exp(f / SOFTNESS)) is about proportional to f above 0. Outputs estimate probabilities, and at T = 1,
    with equal priors, they are these, nearly; a smaller T makes a row surer of its largest. p grows with f, and where
    f is the prior, as far from all training rows, p is the prior too.

    Args:
        outputs: f, (n, c).
        prior: The classes' shares, (c,); None for equal ones and outputs without an intercept.
        temperature: T.

    >>> prior = torch.tensor([0.25, 0.75])
    >>> calibrated(prior[None], prior, 0.1).exp()
    tensor([[0.2500, 0.7500]])
    """
    logarithms = log_softened(outputs, SOFTNESS)
    if prior is None:
        return (logarithms / temperature).log_softmax(1)
    shares = prior.clamp(min=torch.finfo(prior.dtype).tiny)
    return (shares.log() + (logarithms - log_softened(prior, SOFTNESS)) / temperature).log_softmax(1)


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
