"""Errors, input checks and progress: what every other room may use."""

from nfa.common.errors import InputError
from nfa.common.progress import progress

__all__ = ["InputError", "progress"]
