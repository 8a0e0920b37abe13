"""Substitutions: what a network does with other feature matrices in the place of its own."""

from nfa.substitution.run import substitute
from nfa.substitution.substitution import Substitution

__all__ = ["Substitution", "substitute"]
