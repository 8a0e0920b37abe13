"""What is said of labels: the order that was assumed for them, and why they cannot be told to outputs."""

from collections.abc import Iterable
from typing import Any

from nfa.common.errors import InputError
from nfa.common.shown import few
from nfa.data.targets import label_name

SHOWN_CLASSES = 20
"""A sentence names at most this many classes."""


def unknown_classes(labels: Iterable[str], names: tuple[str, ...]) -> InputError:
    """Return the error for labels that are not among the names of a network's classes.

    >>> unknown_classes(["yak", "emu", "yak"], ("cat", "dog")).problem
    "classes 'yak', 'emu' are not among the network's: cat, dog"
    """
    unknown = [repr(label) for label in dict.fromkeys(labels)]
    some = f"class {unknown[0]} is" if len(unknown) == 1 else f"classes {few(unknown)} are"
    return InputError("y", f"{some} not among the network's: {', '.join(names)}")


def not_told_apart(n_names: int, n_classes: int) -> InputError:
    """Return the error for text with another number of labels than the network tells apart."""
    return InputError(
        "y",
        f"has {n_names} classes called by text, but the network tells {n_classes} apart; "
        "classes= (--classes) says which output is whose",
    )


def out_of_range(low: int, high: int, n_classes: int) -> InputError:
    """Return the error for whole numbers that are not the numbers of outputs."""
    return InputError(
        "y",
        f"classes {low} to {high}, but the network has outputs 0 to {n_classes - 1}; "
        "classes= (--classes) says which output is whose",
    )


def several_positions(positions: int) -> InputError:
    """Return the error for classes beside a network that answers more than once for each sample."""
    return InputError("y", f"a class for each sample, but the network answers at {positions} positions")


def order_in_words(names: Iterable[Any]) -> str:
    """Return a sentence on the assumed order of the labels.

    >>> order_in_words(["ham", "spam"])
    'Classes in sorted order are outputs 0 to 1: ham, spam; classes= (--classes) says another order.'
    """
    labels = list(names)
    how = "sorted order" if labels == sorted(labels) else "the order of the data"
    shown = few([label_name(label) for label in labels], SHOWN_CLASSES)
    return f"Classes in {how} are outputs 0 to {len(labels) - 1}: {shown}; classes= (--classes) says another order."
