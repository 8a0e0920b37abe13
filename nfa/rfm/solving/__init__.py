"""Kernel ridge regression: whole matrices while they fit, blocks beyond, leave-one-out."""
