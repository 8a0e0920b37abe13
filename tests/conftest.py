"""Fixtures, and one thread for each process (tests run in two)."""

import pytest
import torch
from helpers import gaussian

import nfa

torch.set_num_threads(1)


@pytest.fixture
def small():
    """A small network and data that fit it."""
    return nfa.MLP(6, [8, 5], n_outputs=3).double(), gaussian(40, 6)
