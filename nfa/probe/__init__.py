"""Attach to a network: every use of a weight, and backward sweeps over batches of rows."""

from nfa.probe.activations import Activations, activations
from nfa.probe.blocks import block_diagonal, diagonal_blocks, within_blocks
from nfa.probe.guard import untouched
from nfa.probe.layers import Layer
from nfa.probe.outputs import CHOICES, Select, select_outputs
from nfa.probe.probe import BATCH_SIZE, Probe
from nfa.probe.sweep import Sweep

__all__ = [
    "BATCH_SIZE",
    "CHOICES",
    "Activations",
    "Layer",
    "Probe",
    "Select",
    "Sweep",
    "activations",
    "block_diagonal",
    "diagonal_blocks",
    "select_outputs",
    "untouched",
    "within_blocks",
]
