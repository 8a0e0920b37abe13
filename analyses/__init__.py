"""Analyses: one file per claim or question; each runs it and prints or writes a tidy table."""
