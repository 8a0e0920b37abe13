"""Random signs that do not depend on the batches."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfa.data.batches import GROUPS


class Signs:
    """Independent random signs, one for each sample, probe and output.

    The samples of one group (s mod 10) draw from one stream, one after the other. In every batch a group's samples
    come in order, so that a sample's signs depend on the seed and its number alone. Those of samples that
    another process has are drawn and left.

    Args:
        seed: The explicit source of randomness.
        probes: Probes for each sample.
        outputs: Outputs c.

    >>> a, b = Signs(0, 1, 4), Signs(0, 1, 4)
    >>> whole = a.draw(torch.tensor([0, 10, 20]))
    >>> parts = torch.cat([b.draw(torch.tensor([0])), b.draw(torch.tensor([10, 20]))])
    >>> bool((whole == parts).all())
    True
    >>> bool((Signs(0, 1, 4).draw(torch.tensor([20])) == whole[2]).all())
    True
    """

    def __init__(self, seed: int, probes: int, outputs: int) -> None:
        self.shape = (probes, outputs)
        self._streams = [np.random.Generator(np.random.Philox(seed=[seed, group])) for group in range(GROUPS)]
        self._next = list(range(GROUPS))  # by group, the sample whose turn it is

    def draw(self, samples: Tensor) -> Tensor:
        """Return the signs of some samples (sorted by group), shape (samples, probes, outputs), as int8."""
        return torch.from_numpy(np.stack([self._turn(sample) for sample in samples.tolist()]) * 2 - 1)

    def _turn(self, sample: int) -> NDArray[np.int8]:
        group = sample % GROUPS
        for _ in range(self._next[group], sample, GROUPS):
            self._drawn(group)
        self._next[group] = max(sample, self._next[group]) + GROUPS
        return self._drawn(group)

    def _drawn(self, group: int) -> NDArray[np.int8]:
        # One draw for each sample: a generator may buffer unused bits of a draw, never across draws.
        return self._streams[group].integers(0, 2, self.shape, dtype=np.int8)


class Along:
    """The same direction for every sample: the backward pass is of sum_j direction_j f_j.

    Args:
        direction: Shape (outputs,).
    """

    def __init__(self, direction: Tensor) -> None:
        self.direction = direction

    def draw(self, samples: Tensor) -> Tensor:
        """Return the direction for each of these samples: samples x 1 x outputs."""
        return self.direction.expand(len(samples), 1, -1)
