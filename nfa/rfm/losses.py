"""Losses by which hyperparameters are chosen: proper scores, smoother than the share of right answers."""

import torch
from torch import Tensor

from nfa.common.scale import relative

SOFTNESS = 0.04
"""An output that is above 0 by more than about this counts as a probability as it is."""


def log_probabilities(outputs: Tensor) -> Tensor:
    """Return logarithms of probabilities, (n, c), from outputs that estimate the probabilities by least squares.

    With few rows, such outputs leave [0, 1]. So p_j is proportional to s log(1 + exp(f_j / s)) with s = `SOFTNESS`,
    which is about f_j above 0, and positive and increasing everywhere.

    >>> log_probabilities(torch.tensor([[0.6, 0.4]])).exp()
    tensor([[0.6000, 0.4000]])
    """
    scaled = outputs / SOFTNESS
    # Below -15, log(1 + exp(x)) is exp(x) to the last digit of float32, so that its logarithm is x.
    logarithms = torch.where(scaled < -15, scaled, torch.nn.functional.softplus(scaled.clamp(min=-15)).log())
    return logarithms.log_softmax(1)


def log_loss(outputs: Tensor, targets: Tensor, weights: Tensor | None) -> float:
    """Return the mean of -log p(class) for one-hot targets."""
    return weighted_mean(-(log_probabilities(outputs) * targets).sum(1), weights)


def squared_loss(outputs: Tensor, targets: Tensor, weights: Tensor | None) -> float:
    """Return the mean squared error over rows and targets."""
    return weighted_mean(((outputs - targets) ** 2).mean(1), weights)


def weighted_mean(values: Tensor, weights: Tensor | None) -> float:
    """Return the mean of values (n,), in float64, each counting by its weight (n,)."""
    values = values.double()
    if weights is None:
        return float(values.mean())
    shares = relative(weights)
    return float((values * shares).sum() / shares.sum())
