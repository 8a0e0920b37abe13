"""Audits during training: the tracker, its history, and adapters to training libraries (a file for each)."""

from nfa.tracking.history import Cost, History
from nfa.tracking.schedule import Schedule
from nfa.tracking.tracker import LIGHT, Tracker

__all__ = ["LIGHT", "Cost", "History", "Schedule", "Tracker"]
