"""Readers of networks: a file of any known format, an estimator or a factory becomes a `Model`."""

from nfa.formats.loading import load, load_init
from nfa.formats.nfa_file import save_model

__all__ = ["load", "load_init", "save_model"]
