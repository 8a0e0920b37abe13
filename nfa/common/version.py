"""The version: a constant, so that it needs no look-up among what is installed."""

__version__ = "0.1.0"
