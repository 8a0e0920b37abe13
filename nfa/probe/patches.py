"""Patches: how a convolution's rows are cut out of its input, and what a matrix of patches is on the whole input."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Window:
    """The positions that a kernel covers, along each of the last axes.

    Args:
        kernel: Its extent.
        stride: From one place of the kernel to the next.
        dilation: From one position within it to the next.
        before: Zeros in front of the first position.
        after: Zeros behind the last.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def axes(self) -> int:
        """Axes along which it slides."""
        return len(self.kernel)

    def patches(self, x: Tensor, counts: tuple[int, ...] | None = None) -> Tensor:
        """Return the patch at every place, shape (..., *places, channels x kernel).

        Args:
            x: Shape (..., channels, *positions).
            counts: Places along each axis; as many as there are by default.
        """
        channels = x.ndim - self.axes - 1
        x = F.pad(x, [size for pair in zip(self.before[::-1], self.after[::-1], strict=True) for size in pair])
        for axis, (q, stride, dilation) in enumerate(zip(self.kernel, self.stride, self.dilation, strict=True)):
            # What the window covers becomes the last axis.
            x = x.unfold(channels + 1 + axis, (q - 1) * dilation + 1, stride)[..., ::dilation]
            if counts is not None:
                x = x.narrow(channels + 1 + axis, 0, counts[axis])
        return x.movedim(channels, channels + self.axes).flatten(channels + self.axes)

    @classmethod
    def of_positions(cls, axes: int) -> "Window":
        """Return the window that covers one position after the other."""
        ones, zeros = (1,) * axes, (0,) * axes
        return cls(ones, ones, ones, zeros, zeros)


@dataclass(frozen=True)
class Patches:
    """The patches h_t = P_t x of one sample's input x, t a place of the window; padding is 0.

    Args:
        shape: Of the input: channels, and positions along each axis.
        window: What a patch covers.
        groups: Parts of the channels, one of which a patch has.
        group: The number of the part.
    """

    shape: tuple[int, ...]
    window: Window
    groups: int = 1
    group: int = 0

    @property
    def size(self) -> int:
        """Entries of the input."""
        return math.prod(self.shape)

    @property
    def width(self) -> int:
        """Entries of a patch."""
        return self.shape[0] // self.groups * math.prod(self.window.kernel)

    def entries(self) -> Tensor:
        """Return, for each place, the numbers of its patch's entries in the flat input, (places, d); -1 is padding."""
        numbers = torch.arange(1, self.size + 1).reshape(self.shape)
        found = self.window.patches(numbers).flatten(0, -2)
        return found.chunk(self.groups, -1)[self.group] - 1

    def spread(self, M: Tensor) -> Tensor:
        """Return sum_t P_t' M P_t, with which x'(.)x is the sum of h_t'M h_t over all places.

        For M = W'W that is the squared norm of the convolution's output without a bias.

        Args:
            M: Of patches, (d, d), or its diagonal, (d,).

        Returns:
            Of inputs whose entries lie flat, channels first, (size, size), or its diagonal, (size,).

        >>> two = Window((2,), (1,), (1,), (0,), (0,))
        >>> Patches((1, 3), two).spread(torch.tensor([[1.0, 5.0], [5.0, 2.0]])).tolist()
        [[1.0, 5.0, 0.0], [5.0, 3.0, 5.0], [0.0, 5.0, 2.0]]
        """
        found = M.new_zeros((self.size,) * M.ndim)
        for numbers in self.entries():
            inside = numbers >= 0
            at = numbers[inside]
            if M.ndim == 1:
                found[at] += M[inside]
            else:
                found[at[:, None], at] += M[inside][:, inside]
        return found
