"""The random networks and machines on a GPU, against the same oracles on the processor."""

from types import SimpleNamespace

import pytest
import random_machines
import random_networks

import nfa
from nfa.features import weight

pytestmark = pytest.mark.gpu

CASES = 300
CHUNK = 25


def compared(seed):
    """Compare the audit on a GPU with the formulas; return why the network was refused, or ""."""
    names = {}
    exec(compile(random_networks.program(seed), f"network {seed}", "exec"), names)

    def on_a_gpu(net, data, **options):
        try:
            return nfa.audit(net.cuda(), data, **options)
        finally:
            net.cpu()  # the formulas are taken there

    names["nfa"] = SimpleNamespace(audit=on_a_gpu)
    # torch's weight_norm has the digits of float32 on a GPU, also of float64.
    names["tolerance"] = max(names["tolerance"], 1e-5)
    try:
        names["compare"]()
    except nfa.InputError as error:
        return error.problem
    return ""


@pytest.mark.parametrize("start", range(0, CASES, CHUNK))
@pytest.mark.parametrize("wide", [1, weight.WIDE])
def test_networks_are_right_on_a_gpu(start, wide, monkeypatch):
    monkeypatch.setattr(weight, "WIDE", wide)
    for seed in range(start, start + CHUNK):
        problem = compared(seed)
        # Some of these networks make tensors on the processor.
        assert not problem or "same device" in problem, (seed, problem)


@pytest.mark.parametrize("start", range(0, CASES, CHUNK))
def test_machines_are_right_on_a_gpu(start, monkeypatch):
    fitted = random_machines.fitted

    def on_a_gpu(X, y, weights, options):
        return fitted(X, y, weights, options | {"device": "cuda"})

    monkeypatch.setattr(random_machines, "fitted", on_a_gpu)
    for seed in range(start, start + CHUNK):
        assert random_machines.check(seed) in (None, "refused: bandwidth"), seed
