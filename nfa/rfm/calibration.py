"""Probabilities of classes from a machine's outputs, by one temperature."""

import math

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from nfa.rfm.losses import weighted_mean

COLDEST, HOTTEST = 0.02, 100.0
"""The least temperature, at which outputs that are right leave nothing for other classes, and the largest, at which all
rows have the prior."""
DIGITS = 1e-3
"""Relative accuracy of a temperature."""


def calibrated(outputs: Tensor, prior: Tensor | None, temperature: float) -> Tensor:
    """Return logarithms of probabilities, (n, c): log p_j = log prior_j + (f_j - prior_j) / T + a number for the row.

    p grows with f, and where f is the prior, as far from all training rows, p is the prior too.

    Args:
        outputs: f, (n, c).
        prior: The classes' shares, (c,); None for equal ones and outputs without an intercept.
        temperature: T.

    >>> prior = torch.tensor([0.25, 0.75])
    >>> calibrated(prior[None], prior, 0.1).exp()
    tensor([[0.2500, 0.7500]])
    """
    if prior is None:
        return (outputs / temperature).log_softmax(1)
    shares = prior.clamp(min=torch.finfo(prior.dtype).tiny)
    return (shares.log() + (outputs - prior) / temperature).log_softmax(1)


def log_loss_at(
    outputs: Tensor, targets: Tensor, weights: Tensor | None, prior: Tensor | None, temperature: float
) -> float:
    """Return the mean of -log p(class) for targets, (n, c), one-hot or shares of classes."""
    return weighted_mean(-(calibrated(outputs, prior, temperature) * targets).sum(1), weights)


def best_temperature(
    outputs: Tensor, targets: Tensor, weights: Tensor | None, prior: Tensor | None
) -> tuple[float, float]:
    """Return the temperature of the least mean of -log p(class), and this loss, which is convex in 1 / T.

    Args:
        outputs: For rows that the machine was not fitted on, (n, c).
        targets: One-hot, or shares of classes, (n, c).
        weights: Of the rows; None for 1.
        prior: As for `calibrated`.

    >>> f = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    >>> y = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    >>> 0.02 < best_temperature(f, y, None, torch.tensor([0.5, 0.5]))[0] < 1
    True
    """
    outputs = outputs.double()

    def loss(logarithm: float) -> float:
        return log_loss_at(outputs, targets, weights, prior, math.exp(logarithm))

    ends = (math.log(COLDEST), math.log(HOTTEST))
    found = minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": DIGITS})
    return math.exp(found.x), float(found.fun)
