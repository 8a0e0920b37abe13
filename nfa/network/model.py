"""The one type that loading returns: a network, and what is known of how its data were prepared."""

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from nfa.common.errors import InputError
from nfa.data.dataset import Scaling
from nfa.data.labels import Answers
from nfa.data.targets import label_name
from nfa.network.examinable import copied


@dataclass(frozen=True, eq=False)
class Model:
    """A network and what is known of how its data were prepared.

    Args:
        net: The network, in evaluation mode; where `ending` is given, without that ending.
        name: What it is called: the file, or the factory.
        scaling: The scaling of its inputs, if known.
        split: `test`, `val` and `seed` of `Dataset.divide`, and the number of `rows` it divided, if known.
        features: The names of its inputs, if they have names.
        classes: The names of its outputs, if they are classes; two names for one output, its first and second
            side.
        settings: How it was trained, if known.
        ending: "softmax" or "sigmoid" where the file's network ends so; `net` returns that activation's input.
        transform: What happens to rows before they reach the network (the earlier steps of a scikit-learn
            pipeline): maps a table or an array of n rows to an array (n x d), or raises `InputError`.
        scored: Whether its outputs can be compared with the data's targets.
        notes: Sentences for whoever reads the results.
    """

    net: nn.Module
    name: str
    scaling: Scaling | None = None
    split: dict[str, Any] | None = None
    features: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    ending: str | None = None
    transform: Callable[[Any], Any] | None = None
    scored: bool = True
    notes: tuple[str, ...] = ()

    def answers(self, n_outputs: int) -> Answers:
        """Return what is known of its outputs, for `nfa.data.labels.read_targets`."""
        return Answers(n_outputs, self.ending, self.classes, self.settings.get("loss") == "mse")

    def bare(self) -> "Model":
        """Return the model for data that are prepared already (see `prepare`)."""
        return replace(self, scaling=None, split=None, features=None, classes=None, transform=None)

    def with_classes(self, labels: Iterable[Any]) -> "Model":
        """Return the model with the labels of its outputs, in their order, where it does not know them itself.

        Raises:
            InputError: fewer than two labels, one twice, others than the model's own, or a network that was trained on
                numbers.

        >>> Model(nn.Linear(3, 2), "net").with_classes([1.0, 0.0]).classes
        ('1', '0')
        """
        # A set has no order, and a table has more than one.
        listed = isinstance(labels, Iterable) and not isinstance(labels, (str, bytes, Set))
        given = list(labels) if listed and getattr(labels, "ndim", 1) == 1 else []
        names = tuple(label_name(label) for label in given if getattr(label, "ndim", 0) == 0)
        if len(names) < max(2, len(given)):
            raise InputError("classes", f"got {labels!r}, expected the labels in the order of the network's outputs")
        twice = [name for number, name in enumerate(names) if name in names[:number]]
        if twice:
            raise InputError("classes", f"{twice[0]!r} is named twice")
        if self.classes is not None and names != self.classes:
            raise InputError("classes", f"{self.name} says its own: {', '.join(self.classes)}")
        if self.settings.get("loss") == "mse":
            raise InputError("classes", f"{self.name} was trained on numbers (mse), not on classes")
        return replace(self, classes=names)

    def copied(self) -> "Model":
        """Return the model with a copy of its network, which stays as it is now.

        Raises:
            InputError: the network cannot be copied.
        """
        try:
            return replace(self, net=copied(self.net))
        except (RuntimeError, TypeError) as error:
            raise InputError("net", f"it cannot be copied: {error}") from error


def with_ending(f: Tensor, ending: str | None) -> Tensor:
    """Return a network's answers from its logits f (n x ... x c): the ending that was taken off is put back.

    >>> with_ending(torch.zeros(1, 2), "softmax")
    tensor([[0.5000, 0.5000]])
    """
    if ending is None:
        return f
    return f.softmax(-1) if ending == "softmax" else torch.sigmoid(f)
