"""A network from a file must be audited as the module that the file was made from."""

import math

import torch
from helpers import assert_same_table

import nfa


def randomised(net, seed=0):
    """The network in evaluation mode, its norms with weights and statistics that matter."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                noise = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
                wide = 1.0 if name.endswith("running_var") or tensor.ndim < 2 else 2 / math.sqrt(tensor.shape[-1])
                tensor.copy_((noise if name.endswith("running_var") else noise - 0.4) * wide)
    return net.eval()


def assert_same_audit(loaded, module, rows, tolerance=1e-5):
    """Audit both on the same rows; layers, their names and every number must agree."""
    assert_same_table(nfa.audit(loaded, rows), nfa.audit(module, rows), tolerance)
