"""On a GPU the same numbers come out as on the processor."""

import copy
import warnings

import pytest
import torch
from helpers import assert_same_table, gaussian, perturbed
from torch import nn

import nfa
from nfa.data.batches import GROUPS
from nfa.features import agop
from nfa.features.accumulator import Accumulator
from nfa.probe import Probe
from nfa.rfm import RFMRegressor

pytestmark = pytest.mark.gpu

NETWORKS = {
    "linear": lambda: nfa.MLP(20, 30, 2, 3),
    "convolution": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 4, 5)), nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(120, 3)
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("probes", [None, 4])
def test_an_audit_on_a_gpu_is_that_on_the_processor(name, probes):
    torch.manual_seed(0)
    net, X = NETWORKS[name](), gaussian(200, 20, dtype=torch.float32)
    y, init = torch.arange(200) % 3, perturbed(net)
    expected = nfa.audit(net, (X, y), init, probes=probes)
    found = nfa.audit(copy.deepcopy(net).cuda(), (X, y), copy.deepcopy(init).cuda(), probes=probes)
    assert_same_table(found, expected, tolerance=1e-3)


def test_wide_layers_are_the_same():
    torch.manual_seed(0)
    net, X = nfa.MLP(100, 600, 2, 5), gaussian(300, 100, dtype=torch.float32)
    expected, found = agop(net, X), agop(copy.deepcopy(net).cuda(), X)
    for name, M in expected.items():
        torch.testing.assert_close(found[name].dense().cpu(), M.dense(), rtol=1e-3, atol=1e-4 * M.norm())


def test_an_audit_of_wide_layers_is_the_same():
    net, X = nfa.MLP(40, 600, 2, 4, seed=0), gaussian(300, 40, dtype=torch.float32)
    data, init = (X, torch.arange(300) % 4), perturbed(net)
    expected = nfa.audit(net, data, init, loss="cross_entropy", published=True)
    # The network before training may be elsewhere.
    found = nfa.audit(copy.deepcopy(net).cuda(), data, init, loss="cross_entropy", published=True)
    assert_same_table(found, expected, tolerance=2e-3)
    assert all(layer.S.device.type == layer.weight.device.type == "cpu" for layer in found)


def test_few_rows_of_wide_layers_are_the_same():
    net, X = nfa.MLP(40, 2048, 1, 2, seed=0), gaussian(100, 40, dtype=torch.float32)
    expected, found = nfa.audit(net, X, perturbed(net)), nfa.audit(copy.deepcopy(net).cuda(), X, perturbed(net))
    assert_same_table(found, expected, tolerance=2e-3)


def test_nothing_waits_for_the_gpu_between_outputs():
    net, X = nfa.MLP(40, 600, 2, 6).cuda(), gaussian(100, 40, dtype=torch.float32)
    with Probe(net, X) as probe:
        first = probe.first_deltas(probe.layers, 2)
        sums = {layer.name: Accumulator(first[layer.name], GROUPS, None) for layer in probe.layers}
        (batch,) = probe.samples.batches(100)
        try:
            for sweep in probe.sweep(batch, frozenset(sums)):
                for (name, delta), part in zip(sweep.deltas, sweep.parts, strict=True):
                    sums[name].add(part.samples, sweep.column, part.signs, delta)
                with warnings.catch_warnings(action="ignore"):  # torch says that it may miss some
                    torch.cuda.set_sync_debug_mode("error")  # from the second output on
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_a_tracker_on_a_gpu_leaves_the_training_alone():
    net, X = nfa.MLP(20, 30, 2, 3).cuda(), gaussian(200, 20, dtype=torch.float32)
    state = torch.cuda.get_rng_state()
    tracker = nfa.Tracker(net, (X, torch.arange(200) % 3))
    first = tracker.record(epoch=0)
    assert first == pytest.approx(tracker.record(epoch=1), rel=1e-5, nan_ok=True)
    assert torch.equal(state, torch.cuda.get_rng_state())
    assert all(parameter.is_cuda and parameter.grad is None for parameter in net.parameters())


def test_a_machine_on_a_gpu_predicts_the_same():
    X = gaussian(300, 8, dtype=torch.float32)
    y = X[:, :2].prod(1)
    expected = RFMRegressor(n_iters=2).fit(X, y).predict(X)
    found = RFMRegressor(n_iters=2).fit(X.cuda(), y.cuda()).predict(X.cuda())
    torch.testing.assert_close(torch.as_tensor(found).cpu(), torch.as_tensor(expected), rtol=1e-3, atol=1e-3)
