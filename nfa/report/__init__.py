"""What an audit says: in plain words, and as a page."""

from nfa.report.page import render, write
from nfa.report.words import sentences, verdict

__all__ = ["render", "sentences", "verdict", "write"]
