"""Audits: one call measures a network, and returns a table with the matrices behind it."""

from nfa.audits.audit import Audit, LayerAudit
from nfa.audits.run import audit
from nfa.audits.verdict import Thresholds

__all__ = ["Audit", "LayerAudit", "Thresholds", "audit"]
