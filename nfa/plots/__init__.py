"""Tidy tables in, axes out: figures that compute nothing, in one theme."""

from nfa.plots.theme import DOUBLE, ROLES, SINGLE, figure, literal, save, themed

__all__ = ["DOUBLE", "ROLES", "SINGLE", "figure", "literal", "save", "themed"]
