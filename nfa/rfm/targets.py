"""Targets as a machine learns them: without their mean, and several of them in units of their deviations."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nfa.rfm.columns import means_and_deviations
from nfa.rfm.plain import plain


@plain
@dataclass(frozen=True, eq=False)
class TargetScaling:
    """Targets y = offset + scale t, column by column, where a machine learns t.

    Args:
        offset: Float64, (c,).
        scale: Above 0, float64, (c,).
    """

    offset: Tensor
    scale: Tensor

    def learned(self, y: Tensor) -> Tensor:
        """Return t from targets y, (n, c), float64."""
        return (y.double() - self.offset) / self.scale

    def given(self, t: Tensor) -> Tensor:
        """Return y from t, (n, c), float64.

        >>> one = torch.ones(1, dtype=torch.float64)
        >>> TargetScaling(3 * one, 2 * one).given(torch.tensor([[0.5]]))
        tensor([[4.]], dtype=torch.float64)
        """
        return t.double() * self.scale + self.offset


@dataclass(frozen=True)
class Standardisation:
    """What is taken off targets before they are learned.

    Args:
        centered: Their weighted mean, column by column. A kernel that vanishes far from all rows then predicts it.
        scaled: Of several columns, their standard deviations, so that M does not depend on their units.
    """

    centered: bool = False
    scaled: bool = False

    def of(self, y: Tensor, weights: Tensor | None) -> TargetScaling:
        """Return the scaling of targets y (n, c), each row counting by its weight (n,).

        >>> Standardisation(centered=True).of(torch.tensor([[1.0], [4.0]]), torch.tensor([2.0, 1.0])).offset
        tensor([2.], dtype=torch.float64)
        """
        mean, deviation = means_and_deviations(y, weights)
        units = deviation.where(deviation > 0, 1) if self.scaled and y.shape[1] > 1 else torch.ones_like(mean)
        return TargetScaling(mean if self.centered else torch.zeros_like(mean), units)
