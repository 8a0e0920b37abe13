"""The choice of outputs: the numbers of which gradients are taken."""

from collections.abc import Callable

from torch import Tensor

from nfa.common.checks import one_of
from nfa.common.errors import InputError
from nfa.network.forward import made_by
from nfa.network.model import with_ending

CHOICES = ("logits", "output:K", "predicted", "margin", "probabilities")

Select = Callable[[Tensor], Tensor]
"""Maps a network's output to the chosen outputs (n x c)."""


def select_outputs(outputs: str | Select, ending: str | None = None) -> Select:
    """Return the map from a network's output (n x ...) to the chosen outputs (n x c).

    Where the output has several positions (n x T x c), the last axis is that of the classes: "predicted",
    "margin" and "probabilities" are taken position by position.

    Args:
        outputs: "logits" (the output f itself, every position and entry), "output:K" (column K of these,
            0-based), "predicted" (the largest entry), "margin" (largest minus second largest),
            "probabilities" (softmax of f; for c = 1 the sigmoid); or a function of the output (n x ...), which
            returns n rows of floating-point numbers. Where the network returns no tensor, `Forward` has called it.
        ending: The ending that was taken off the network, for "probabilities".

    Raises:
        InputError: an unknown choice; when called, a choice that c outputs do not have, or a function that fails or
            returns something else.

    >>> import torch
    >>> select_outputs("margin")(torch.tensor([[1.0, 4.0, 3.0]]))
    tensor([[1.]])
    >>> select_outputs(lambda f: f[:, :1] - f[:, 1:2])(torch.tensor([[1.0, 4.0, 3.0]]))
    tensor([[-3.]])
    """
    if callable(outputs):
        return _checked(outputs)
    if not isinstance(outputs, str):
        raise InputError("outputs", f"got {outputs!r}, expected {', '.join(CHOICES)}, or a function")
    kind, _, column = outputs.partition(":")
    if kind == "output" and column.isdecimal():
        return _column(int(column))
    one_of("outputs", outputs, CHOICES)
    if outputs == "output:K":
        raise InputError("outputs", "give the number of the output, for example output:0")
    if outputs == "probabilities":
        return lambda f: _flat(with_ending(f, ending or ("sigmoid" if _classes(f) == 1 else "softmax")))
    return {"logits": _flat, "predicted": _predicted, "margin": _margin}[outputs]


def _checked(function: Select) -> Select:
    def select(f: Tensor) -> Tensor:
        g = made_by(function, f, len(f))
        if f.requires_grad and not g.requires_grad:
            raise InputError("outputs", "the function's result has no gradient with respect to the network's output")
        return _flat(g)

    return select


def _flat(f: Tensor) -> Tensor:
    return f.reshape(len(f), -1)


def _by_position(f: Tensor) -> Tensor:
    return f.reshape(len(f), -1, _classes(f))


def _classes(f: Tensor) -> int:
    return f.shape[-1] if f.ndim > 1 else 1


def _column(column: int) -> Select:
    def select(f: Tensor) -> Tensor:
        flat = _flat(f)
        if column >= flat.shape[1]:
            raise InputError("outputs", f"no output {column}; the network has {flat.shape[1]}, numbered from 0")
        return flat[:, column : column + 1]

    return select


def _predicted(f: Tensor) -> Tensor:
    f = _by_position(f)
    return f.gather(2, f.argmax(2, keepdim=True))[:, :, 0]


def _margin(f: Tensor) -> Tensor:
    f = _by_position(f)
    if f.shape[2] < 2:
        raise InputError("outputs", "a margin needs two outputs, the network has 1")
    first, second = f.detach().topk(2, dim=2).indices.split(1, dim=2)
    return (f.gather(2, first) - f.gather(2, second))[:, :, 0]
