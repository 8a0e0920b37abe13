"""What every test of exported programs needs."""

import pytest
import torch


@pytest.fixture(autouse=True)
def fresh_compiler():
    """Forget earlier exports: torch 2.6 refuses to look at the same code more than eight times."""
    torch.compiler.reset()
