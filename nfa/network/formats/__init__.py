"""Bring an existing network in: a file for each format, none of which runs anything a file says."""
