"""Which numbers of a network's output the gradients are of."""

from collections.abc import Callable

import torch
from torch import Tensor

from nfa.common.checks import one_of
from nfa.common.errors import InputError
from nfa.network.model import ended

CHOICES = ("logits", "output:K", "predicted", "margin", "probabilities")

Select = Callable[[Tensor], Tensor]
"""Maps a network's output to the chosen outputs (n x c)."""


def select_outputs(outputs: str | Select, ending: str | None = None) -> Select:
    """Return the map from a network's output (n x ...) to the chosen outputs (n x c).

    Args:
        outputs: "logits" (the output f itself, every position and entry), "output:K" (column K, 0-based),
            "predicted" (each row's largest entry), "margin" (largest minus second largest), "probabilities"
            (softmax of f; for c = 1 the sigmoid); or a function of the output (n x ...), which returns n
            rows of floating-point numbers.
        ending: The ending that was taken off the network, for "probabilities".

    Raises:
        InputError: an unknown choice here; when called, a choice that c outputs do not have, or what the
            function returned is no such thing.

    >>> select_outputs("margin")(torch.tensor([[1.0, 4.0, 3.0]]))
    tensor([[1.]])
    >>> select_outputs(lambda f: f[:, :1] - f[:, 1:2])(torch.tensor([[1.0, 4.0, 3.0]]))
    tensor([[-3.]])
    """
    if callable(outputs):
        return _checked(outputs)
    select = _named(outputs, ending)
    return lambda f: select(f.reshape(len(f), -1))


def _checked(function: Select) -> Select:
    def select(f: Tensor) -> Tensor:
        g = function(f)
        if not isinstance(g, Tensor) or not g.is_floating_point() or g.ndim == 0 or len(g) != len(f):
            got = f"{g.dtype} of shape {tuple(g.shape)}" if isinstance(g, Tensor) else type(g).__name__
            raise InputError(f"outputs: the function returned {got}, expected {len(f)} rows of floating-point numbers")
        return g.reshape(len(g), -1)

    return select


def _named(outputs: str, ending: str | None) -> Select:
    kind, _, column = outputs.partition(":")
    if kind == "output" and column.isdecimal():
        return _column(int(column))
    one_of("outputs", outputs, CHOICES)
    if outputs == "output:K":
        raise InputError("outputs: give the number of the output, for example output:0")
    if outputs == "probabilities" and ending is not None:
        return lambda f: ended(f, ending)
    return {"logits": _logits, "predicted": _predicted, "margin": _margin, "probabilities": _probabilities}[outputs]


def _column(column: int) -> Select:
    def select(f: Tensor) -> Tensor:
        if column >= f.shape[1]:
            raise InputError(f"outputs: no output {column}; the network has {f.shape[1]}, numbered from 0")
        return f[:, column : column + 1]

    return select


def _logits(f: Tensor) -> Tensor:
    return f


def _predicted(f: Tensor) -> Tensor:
    return f.amax(1, keepdim=True) if f.shape[1] == 1 else f.gather(1, f.argmax(1, keepdim=True))


def _margin(f: Tensor) -> Tensor:
    if f.shape[1] < 2:
        raise InputError("outputs: a margin needs two outputs, the network has 1")
    first, second = f.detach().topk(2, dim=1).indices.split(1, dim=1)
    return f.gather(1, first) - f.gather(1, second)


def _probabilities(f: Tensor) -> Tensor:
    return torch.sigmoid(f) if f.shape[1] == 1 else f.softmax(1)
