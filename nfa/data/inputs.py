"""What a network takes for a batch: one tensor, or several in a dict or a tuple, samples first in each."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nfa.common.errors import InputError
from nfa.data.dataset import Dataset
from nfa.data.pairs import paired

Inputs = Tensor | dict[str, Tensor] | tuple[Tensor, ...]
"""One input (n x ...), or several of the same n."""


def in_words(data: Any) -> str:
    """Return what to call data in a sentence: their name, or their type in words.

    >>> in_words((torch.zeros(3, 2), torch.zeros(3))), in_words({"left": torch.zeros(3, 2)})
    ('a tensor with targets', 'several inputs')
    >>> in_words(((torch.zeros(3, 2), torch.zeros(3, 1)), None))
    'several inputs'
    """
    if isinstance(data, Dataset):
        return data.name
    X, y = paired(data)
    if X is not data or y is not None:
        # Within a pair a tuple is several inputs.
        inputs = "several inputs" if isinstance(X, (Mapping, tuple)) else in_words(X)
        return inputs if y is None else f"{inputs} with targets"
    if hasattr(data, "columns"):
        return "a data frame"
    if is_sparse(data):
        return "sparse rows"
    kinds: list[tuple[Any, str]] = [
        (Tensor, "a tensor"),
        (np.ndarray, "an array"),
        (list, "a list"),
        (Mapping, "several inputs"),
    ]
    return next((words for kind, words in kinds if isinstance(data, kind)), type(data).__name__)


def is_sparse(X: Any) -> bool:
    """Return whether X is a sparse matrix of scipy's, or a sparse tensor.

    >>> is_sparse(torch.eye(2).to_sparse()), is_sparse(torch.eye(2))
    (True, False)
    """
    return X.layout is not torch.strided if isinstance(X, Tensor) else hasattr(X, "tocsr")


def map_inputs(f: Callable[[Tensor], Tensor], inputs: Inputs) -> Inputs:
    """Return the inputs with f applied to each tensor.

    >>> map_inputs(lambda x: x[:1], {"a": torch.zeros(3, 2)})["a"].shape
    torch.Size([1, 2])
    """
    if isinstance(inputs, Tensor):
        return f(inputs)
    if isinstance(inputs, dict):
        return {name: f(x) for name, x in inputs.items()}
    return tuple(f(x) for x in inputs)


def leaves(inputs: Inputs) -> list[tuple[str, Tensor]]:
    """Return each tensor with the name that messages call it by."""
    if isinstance(inputs, Tensor):
        return [("data", inputs)]
    named = inputs.items() if isinstance(inputs, dict) else enumerate(inputs)
    return [(f"data[{name!r}]", x) for name, x in named]


def count(inputs: Inputs) -> int:
    """Return the number of samples.

    Raises:
        InputError: the inputs have different numbers of samples.
    """
    return agreed({name: len(x) for name, x in leaves(inputs)})


def agreed(sizes: Mapping[str, int]) -> int:
    """Return the number of samples that all inputs have, from their sizes by name.

    Raises:
        InputError: they differ.

    >>> agreed({"left": 3, "right": 3})
    3
    """
    if len(set(sizes.values())) != 1:
        raise InputError("data", f"{', '.join(f'{name} has {n}' for name, n in sizes.items())} rows; they must agree")
    return next(iter(sizes.values()))


def taken(inputs: Inputs, samples: Tensor) -> Inputs:
    """Return the inputs of the samples with these numbers."""
    return map_inputs(lambda x: x[samples], inputs)


def joined(parts: list[Inputs]) -> Inputs:
    """Return batches of inputs, one after the other, as one."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat([part for part in parts if isinstance(part, Tensor)])
    if isinstance(first, dict):
        return {name: torch.cat([part[name] for part in parts if isinstance(part, dict)]) for name in first}
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))


def as_inputs(values: Any, as_tensor: Callable[[str, Any], Tensor]) -> Inputs:
    """Return one input, a dict or a tuple of them, each made a tensor by `as_tensor(name, value)`.

    Raises:
        InputError: a dict or tuple without entries, or with a name that is no text.
    """
    if isinstance(values, Mapping):
        if not values or not all(isinstance(name, str) for name in values):
            raise InputError("data", "a dict of inputs needs names, at least one")
        return {name: as_tensor(f"data[{name!r}]", x) for name, x in values.items()}
    if isinstance(values, Sequence) and not isinstance(values, str):
        if not values:
            raise InputError("data", "empty, expected at least one input")
        return tuple(as_tensor(f"data[{number}]", x) for number, x in enumerate(values))
    return as_tensor("data", values)
