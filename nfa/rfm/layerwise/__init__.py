"""Kernel machines on the inputs of a network's layers, started from the features that an audit measured."""

from nfa.rfm.layerwise.estimator import LayerwiseRFM

__all__ = ["LayerwiseRFM"]
