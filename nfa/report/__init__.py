"""Reports of audits: in plain words, as a page, and several side by side."""

from nfa.report.comparing import compare, render_comparison
from nfa.report.page import render, write
from nfa.report.words import sentences, verdict

__all__ = ["compare", "render", "render_comparison", "sentences", "verdict", "write"]
