"""Graphs of operators: what runs those that files hold, whatever format they come in."""
