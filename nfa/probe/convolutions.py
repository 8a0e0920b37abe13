"""Read a convolution as a linear map of patches.

A row is a patch of the input, c channels by q positions along each axis. W is the kernel as a matrix, k x (c q q), and
z at one position is W times the patch that the kernel covers there (arXiv:2309.00570). A measurement needs delta
alone, the gradient at each position; patches are unfolded only where rows are asked for.

A transposed convolution maps the c channels of one input position to a patch of the output; overlapping patches are
added up. So a row is the channels at an input position, W is (k q q) x c, and delta is the gradient over the patch.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nfa.common.errors import InputError
from nfa.probe.blocks import block_diagonal, diagonal_blocks, within_blocks
from nfa.probe.maps import LinearMap, Reader
from nfa.probe.patches import Patches, Window

OUTSIDE = 1e-6
"""The most that a weight may have outside of its diagonal blocks, as a share of its norm: rounding of an SVD."""


@dataclass(frozen=True)
class Convolution(LinearMap):
    """A convolution as z = W h at every position, h the patch there (c q q entries), W k x (c q q).

    Args:
        rows: The input, (n x) c x positions.
        weight: The kernel, k x (c / groups) x q x q.
        window: Where the kernel lies.
        parts: Groups of channels, each with a kernel of its own; W has a block for each on its diagonal.
    """

    window: Window
    parts: int = 1

    @property
    def groups(self) -> int:
        """Diagonal blocks of W."""
        return self.parts

    def by_group(self) -> Sequence[LinearMap]:
        """Return the map of each group; itself, where there is one."""
        return (
            [self] if self.parts == 1 else [Group(self.rows, self.weight, self, number) for number in range(self.parts)]
        )

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Channels, and the kernel's extent."""
        return (self._channels(self.rows), *self.window.kernel)

    @property
    def patches(self) -> Patches:
        """Those under the window."""
        return Patches(self._input_shape, self.window)

    @property
    def width(self) -> int:
        """Entries of a patch."""
        return math.prod(self.row_shape)

    def matrix(self) -> Tensor:
        """Return W, k x (c q q): the kernel as a matrix, group by group on the diagonal."""
        weight = self.weight.detach()
        matrix = weight.reshape(len(weight), -1)
        return matrix if self.parts == 1 else block_diagonal(matrix.unflatten(0, (self.parts, -1)))

    def patched(self, name: str, W: Tensor, weight: Tensor) -> Tensor:
        """Return another W as a kernel."""
        new = _blocks_of(name, W, self.parts).flatten(0, 1).reshape(weight.shape)
        return new.to(weight.device, weight.dtype)

    def h(self) -> Tensor:
        """Return the patches."""
        return self.window.patches(self.rows.detach())

    @property
    def to_delta(self) -> Callable[[Tensor], Tensor]:
        """Delta at a position is the gradient of all k channels there."""
        return partial(torch.movedim, source=-1 - self.window.axes, destination=-1)

    def _channels(self, x: Tensor) -> int:
        return int(x.shape[-1 - self.window.axes])

    @property
    def _input_shape(self) -> tuple[int, ...]:
        return tuple(self.rows.shape[-1 - self.window.axes :])


@dataclass(frozen=True)
class TransposedConvolution(Convolution):
    """A transposed convolution as a map from an input position's c channels to a patch of the output, W (k q q) x c.

    The output is the sum of all patches z = W h at their places, plus a bias. So df/dz is the output's gradient over
    the patch, and 0 where the patch is cut off at the ends.

    Args:
        rows: The input, (n x) c x positions.
        weight: The kernel, c x (k / groups) x q x q.
        window: Where the patches lie in the output.
        parts: As for a convolution.
    """

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The channels."""
        return (self._channels(self.rows),)

    @property
    def patches(self) -> Patches:
        """The channels at every position."""
        return Patches(self._input_shape, Window.of_positions(self.window.axes))

    def matrix(self) -> Tensor:
        """Return W, (k q q) x c, group by group on the diagonal."""
        weight = self.weight.detach()
        matrix = weight.reshape(len(weight), -1)
        return matrix.T if self.parts == 1 else block_diagonal(matrix.unflatten(0, (self.parts, -1)).mT)

    def patched(self, name: str, W: Tensor, weight: Tensor) -> Tensor:
        """Return another W as a kernel."""
        new = _blocks_of(name, W, self.parts).mT.flatten(0, 1).reshape(weight.shape)
        return new.to(weight.device, weight.dtype)

    def h(self) -> Tensor:
        """Return the channels at every input position."""
        return self.rows.detach().movedim(-1 - self.window.axes, -1)

    @property
    def to_delta(self) -> Callable[[Tensor], Tensor]:
        """Delta at an input position is the output's gradient over the patch that it reaches."""
        return partial(self.window.patches, counts=tuple(self.rows.shape[-self.window.axes :]))


@dataclass(frozen=True)
class Group(LinearMap):
    """One group of a convolution: a map of a part of the channels to a part of the result's.

    Args:
        rows: The input.
        weight: The kernel of all groups.
        whole: The convolution.
        number: Which group.
    """

    whole: Convolution
    number: int

    @property
    def label(self) -> str:
        """Its number."""
        return str(self.number)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """A group's share of the channels, and what else a row has."""
        channels, *kernel = self.whole.row_shape
        return (channels // self.whole.parts, *kernel)

    @property
    def patches(self) -> Patches:
        """The group's channels of each."""
        return replace(self.whole.patches, groups=self.whole.parts, group=self.number)

    @property
    def width(self) -> int:
        """Entries of a row."""
        return math.prod(self.row_shape)

    def matrix(self) -> Tensor:
        """Return the block of W."""
        return diagonal_blocks(self.whole.matrix(), self.whole.parts)[self.number]

    def patched(self, name: str, W: Tensor, weight: Tensor) -> Tensor:
        """Return the kernels with this group's as given."""
        now = replace(self.whole, weight=weight)
        blocks = diagonal_blocks(now.matrix(), self.whole.parts).clone()
        blocks[self.number] = W.to(blocks.device, blocks.dtype)
        return now.patched(name, block_diagonal(blocks), weight)

    def h(self) -> Tensor:
        """Return the group's channels of each row."""
        return replace(self.whole, rows=self.rows).h().chunk(self.whole.parts, -1)[self.number]

    @property
    def to_delta(self) -> Callable[[Tensor], Tensor]:
        """Delta of a group is its part of the convolution's."""
        return partial(_part_of, gather=self.whole.to_delta, parts=self.whole.parts, number=self.number)


def _part_of(gradient: Tensor, gather: Callable[[Tensor], Tensor], parts: int, number: int) -> Tensor:
    return gather(gradient).chunk(parts, -1)[number]


def _blocks_of(name: str, W: Tensor, groups: int) -> Tensor:
    """Return W's diagonal blocks (groups x k x d).

    Raises:
        InputError: it has entries elsewhere.
    """
    if float((W - within_blocks(W, groups)).norm()) > OUTSIDE * float(W.norm()):
        raise InputError(
            "weights",
            f"{name} is a convolution in {groups} groups, and takes a weight of as many diagonal blocks alone",
        )
    return diagonal_blocks(W, groups)


FORWARD = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
TRANSPOSED = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
EITHER = ("input", "weight", "bias", "stride", "padding", "dilation", "transposed", "output_padding", "groups")
"""The arguments of torch's convolutions, in order."""


def _reader(names: tuple[str, ...]) -> Reader:
    def read(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[LinearMap]:
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        rows, weight = given.get("input"), given.get("weight")
        if not isinstance(rows, Tensor) or not isinstance(weight, Tensor) or rows.ndim < weight.ndim - 1:
            return
        axes, groups = weight.ndim - 2, int(given.get("groups", 1))
        kernel, stride, dilation = (
            tuple(weight.shape[2:]),
            *(_each(given.get(n, 1), axes) for n in ("stride", "dilation")),
        )
        before, after = _padding(given.get("padding", 0), kernel, dilation)
        if names is TRANSPOSED or given.get("transposed"):
            # Here `padding` is what is cut off of the output at either end.
            yield TransposedConvolution(rows, weight, Window(kernel, stride, dilation, before, after), groups)
        else:
            yield Convolution(rows, weight, Window(kernel, stride, dilation, before, after), groups)

    return read


def _padding(
    padding: Any, kernel: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the zeros before and after the positions of each axis."""
    if padding == "same":
        # torch puts the larger part of an odd number behind.
        totals = [(q - 1) * step for q, step in zip(kernel, dilation, strict=True)]
        return tuple(total // 2 for total in totals), tuple(total - total // 2 for total in totals)
    even = _each(0 if padding == "valid" else padding, len(kernel))
    return even, even


def _each(value: Any, axes: int) -> tuple[int, ...]:
    """Return a number for each axis, from one for all or one for each."""
    values = tuple(int(each) for each in value) if isinstance(value, (list, tuple)) else (int(value),)
    return values * axes if len(values) == 1 else values


_aten = torch.ops.aten
CONVOLUTIONS: dict[Callable[..., Any], Reader] = {
    **dict.fromkeys((F.conv1d, F.conv2d, F.conv3d), _reader(FORWARD)),
    **dict.fromkeys((_aten.conv1d.default, _aten.conv2d.default, _aten.conv3d.default), _reader(FORWARD)),
    **dict.fromkeys((_aten.conv1d.padding, _aten.conv2d.padding, _aten.conv3d.padding), _reader(FORWARD)),
    **dict.fromkeys((F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d), _reader(TRANSPOSED)),
    **dict.fromkeys((_aten.conv_transpose1d.default, _aten.conv_transpose2d.input), _reader(TRANSPOSED)),
    _aten.conv_transpose3d.input: _reader(TRANSPOSED),
    **dict.fromkeys((torch.convolution, _aten.convolution.default), _reader(EITHER)),
}
"""By operation; torch's own functions and those of `torch.nn.functional` are the same objects."""
