"""Run recurrent layers by their own equations, step by step, with the products of their weights in sight.

torch computes a whole sequence in one operation. Here the input weight is applied to all steps at once, and the hidden
weight step by step, so that a row of either is a step of a sample. The results are torch's, but for rounding.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

State = tuple[Tensor, ...]
"""The state between steps: h, and for an LSTM c."""

Step = Callable[[Tensor, Tensor, State], State]
"""Computes the state from the products of input and hidden weight with the biases added, and the state before."""


def _rnn(x: Tensor, h: Tensor, state: State, activation: Callable[[Tensor], Tensor]) -> State:
    return (activation(x + h),)


def _gru(x: Tensor, h: Tensor, state: State) -> State:
    (r, z, n), (hr, hz, hn) = x.chunk(3, -1), h.chunk(3, -1)
    n = torch.tanh(n + torch.sigmoid(r + hr) * hn)
    return (n + torch.sigmoid(z + hz) * (state[0] - n),)


def _lstm(x: Tensor, h: Tensor, state: State) -> State:
    i, f, g, o = (x + h).chunk(4, -1)
    c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def _sequence(step: Step, args: Sequence[Any]) -> Any:
    """Return the result of torch's operation for sequences of one length: outputs, and the last state.

    Args:
        step: The layer's equations.
        args: Input, first state, weights, whether there are biases, layers, dropout, training, both directions, and
            whether samples come first.
    """
    x, first, weights, biases, layers, dropout, training, both_ways, batch_first = args
    directions = 2 if both_ways else 1
    x = x if batch_first else x.transpose(0, 1)
    each = len(weights) // (layers * directions)
    last: list[State] = []
    for layer in range(layers):
        found = []
        for direction in range(directions):
            number = layer * directions + direction
            own = weights[number * each : (number + 1) * each]
            before = tuple(state[number] for state in first)
            outputs, state = _one_way(step, x, before, own, biases, backwards=direction == 1)
            found.append(outputs)
            last.append(state)
        x = torch.cat(found, -1) if both_ways else found[0]
        if layer < layers - 1:
            x = F.dropout(x, dropout, training)
    finals = tuple(torch.stack(parts) for parts in zip(*last, strict=True))
    return (x if batch_first else x.transpose(0, 1), *finals)


def _one_way(
    step: Step, x: Tensor, state: State, weights: Sequence[Tensor], biases: bool, backwards: bool
) -> tuple[Tensor, State]:
    """Return the outputs (n x T x h) of one layer in one direction, and its last state."""
    W_x, W_h = weights[:2]
    b_x, b_h = weights[2:4] if biases else (None, None)
    W_out = weights[-1] if len(weights) % 2 else None  # of an LSTM whose h is a projection
    products = F.linear(x, W_x, b_x)
    outputs: dict[int, Tensor] = {}
    steps = range(x.shape[1])
    for t in reversed(steps) if backwards else steps:
        h, *rest = step(products[:, t], F.linear(state[0], W_h, b_h), state)
        state = (h if W_out is None else F.linear(h, W_out), *rest)
        outputs[t] = state[0]
    return torch.stack([outputs[t] for t in steps], 1), state


def _cell(step: Step, args: Sequence[Any]) -> Any:
    """Return the state after one step."""
    x, state, W_x, W_h, *biases = args
    b_x, b_h = biases or (None, None)
    found = step(F.linear(x, W_x, b_x), F.linear(state[0], W_h, b_h), state)
    return found if len(found) > 1 else found[0]


_STEPS: dict[str, Step] = {
    "rnn_tanh": partial(_rnn, activation=torch.tanh),
    "rnn_relu": partial(_rnn, activation=torch.relu),
    "gru": _gru,
    "lstm": _lstm,
}

RECURRENT: dict[Callable[..., Any], partial[Any]] = {
    **{getattr(torch, name): partial(_sequence, step) for name, step in _STEPS.items()},
    **{getattr(torch, f"{name}_cell"): partial(_cell, step) for name, step in _STEPS.items()},
}
"""The function that computes each operation from its arguments."""


def in_sight(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Return whether `computed` can compute an operation, a recurrent layer.

    Packed sequences, whose rows do not come sample by sample, are left to torch.
    """
    run = RECURRENT.get(func)
    return run is not None and not kwargs and (run.func is _cell or isinstance(args[3], bool))


def first_state(args: Sequence[Any]) -> State:
    """Return a copy of the first state among a recurrent layer's arguments."""
    hx = args[1]
    return tuple(state.clone() for state in ((hx,) if isinstance(hx, Tensor) else hx))


def computed(func: Callable[..., Any], args: Sequence[Any], state: State) -> Any:
    """Return the results of a recurrent layer, by its equations.

    Args:
        func: torch's operation.
        args: Its arguments.
        state: The first state.
    """
    return RECURRENT[func]((args[0], state, *args[2:]))
