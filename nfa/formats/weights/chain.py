"""A plain chain of linear layers, with norms and an activation between them, under the names a file gives."""

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from nfa.formats.graph.modules import put_all
from nfa.formats.rows import fit_rows
from nfa.network.mlp import ACTIVATIONS

EPS = 1e-5
"""torch's default for batch norm and layer norm; weights alone do not tell another."""


@dataclass(frozen=True)
class Link:
    """One step of a chain.

    Args:
        kind: What is done.
        name: The prefix of its tensors; for an activation its name in `ACTIVATIONS`.
    """

    kind: Literal["linear", "batch norm", "layer norm", "activation"]
    name: str


class Chain(nn.Module):
    """A network whose steps follow one another, always in evaluation mode.

    Rows n x d pass as they are, sequences n x T x d position by position, and anything else of d entries
    (pictures) is flattened.

    Args:
        tensors: All weights and statistics of the links, by name.
        links: The steps.

    >>> import torch
    >>> net = Chain({"0.weight": torch.ones(2, 3)}, (Link("linear", "0"),))
    >>> net(torch.ones(1, 3))
    tensor([[3., 3.]], grad_fn=<MmBackward0>)
    """

    def __init__(self, tensors: dict[str, Tensor], links: tuple[Link, ...]) -> None:
        super().__init__()
        put_all(self, tensors, {name for name in tensors if name.rsplit(".", 1)[-1] in ("weight", "bias")})
        self._links = links
        first = next(link for link in links if link.kind == "linear")
        self._d = tensors[dotted(first.name, "weight")].shape[1]

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (n x c) for rows x (n x d), or n x T x c for sequences."""
        if x.ndim < 3 or x.shape[-1] != self._d:
            x = fit_rows(x, (self._d,))
        h = x
        for link in self._links:
            h = self._step(link, h)
        return h

    def _step(self, link: Link, h: Tensor) -> Tensor:
        if link.kind == "activation":
            return ACTIVATIONS[link.name](h)
        weight, bias = (self._tensor(link.name, leaf) for leaf in ("weight", "bias"))
        if link.kind == "linear":
            assert weight is not None
            part = self.get_submodule(link.name)
            linear: Tensor = part(lambda: F.linear(h, weight, bias)) if link.name else F.linear(h, weight, bias)
            return linear
        if link.kind == "layer norm":
            return F.layer_norm(h, h.shape[-1:], weight, bias, EPS)
        mean, var = (self._tensor(link.name, leaf) for leaf in ("running_mean", "running_var"))
        table = F.batch_norm(h.reshape(-1, h.shape[-1]), mean, var, weight, bias, training=False, eps=EPS)
        return table.reshape(h.shape)

    def _tensor(self, prefix: str, leaf: str) -> Tensor | None:
        module = self.get_submodule(prefix)
        found = module._parameters.get(leaf)
        return module._buffers.get(leaf) if found is None else found


def dotted(prefix: str, leaf: str) -> str:
    """Return the name of a tensor of a layer.

    >>> dotted("layers.0", "weight"), dotted("", "weight")
    ('layers.0.weight', 'weight')
    """
    return f"{prefix}.{leaf}" if prefix else leaf
