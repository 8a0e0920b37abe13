"""Constraints on an estimator's parameters: a table by name, and one check of all of them."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from nfa.common.checks import number, one_of, positive
from nfa.common.errors import InputError

Constraint = Callable[[str, Any], Any]
"""Takes a parameter's name and its value; returns the value to compute with, or raises `InputError`."""
Constraints = Mapping[str, Constraint]

not_negative: Constraint = number
above_zero: Constraint = partial(number, above_zero=True)


def anything(name: str, value: Any) -> Any:
    """Return the value as it is; it is checked where it is used, beside the data."""
    return value


def whole(least: int) -> Constraint:
    """Return the constraint that a value is a whole number of at least `least`."""
    return partial(positive, least=least)


def among(choices: Iterable[str]) -> Constraint:
    """Return the constraint that a value is one of some names."""
    return partial(one_of, choices=tuple(choices))


def among_or_none(choices: Iterable[str]) -> Constraint:
    """Return the constraint that a value is one of some names, or None."""
    known = tuple(choices)

    def check(name: str, value: Any) -> str | None:
        return None if value is None else one_of(name, value, known, none=True)

    return check


def either(word: str, constraint: Constraint) -> Constraint:
    """Return the constraint that a value is a word or satisfies another constraint."""

    def check(name: str, value: Any) -> Any:
        if isinstance(value, str) and value == word:
            return value
        try:
            return constraint(name, value)
        except InputError as error:
            raise InputError(name, f"{error.problem}, or {word!r}") from error

    return check


def optional(constraint: Constraint) -> Constraint:
    """Return the constraint that a value is None or satisfies another constraint."""

    def check(name: str, value: Any) -> Any:
        if value is None:
            return None
        try:
            return constraint(name, value)
        except InputError as error:
            comma = "" if ", or " in error.problem else ","
            raise InputError(name, f"{error.problem}{comma} or None") from error

    return check


def list_of(constraint: Constraint) -> Constraint:
    """Return the constraint that a value is a list of at least one, each of which satisfies another constraint."""

    def check(name: str, value: Any) -> list[Any]:
        if isinstance(value, str) or not isinstance(value, Iterable) or not (found := list(value)):
            raise InputError(name, f"got {value!r}, expected a list of at least one")
        return [constraint(name, each) for each in found]

    return check


def checked(estimator: Any, constraints: Constraints) -> dict[str, Any]:
    """Return an estimator's parameters, each as its constraint returns it.

    Args:
        estimator: Has the parameters as attributes.
        constraints: By name.

    Raises:
        InputError: a value does not satisfy its constraint.

    >>> from types import SimpleNamespace
    >>> checked(SimpleNamespace(ridge=1, dtype=None), {"ridge": not_negative, "dtype": among_or_none(["float32"])})
    {'ridge': 1.0, 'dtype': None}
    """
    return {name: constraint(name, getattr(estimator, name)) for name, constraint in constraints.items()}
