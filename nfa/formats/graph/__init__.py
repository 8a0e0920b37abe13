"""Graphs of operators, and the interpreter that runs them, whatever format they come from."""
