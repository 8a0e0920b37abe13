"""Networks in other precisions, wrappers, graphs and modes: measured as if these were not there."""

import copy

import pytest
import torch
from helpers import assert_same_table, gaussian
from torch import nn

import nfa
from nfa.probe.memory import region


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_measured_to_its_own_digits(dtype):
    torch.manual_seed(0)
    net, X = (
        nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 25), nn.Tanh(), nn.Linear(25, 4)),
        gaussian(60, 20),
    )
    half, exact = copy.deepcopy(net).to(dtype), copy.deepcopy(net).to(dtype).double()
    got, expected = nfa.audit(half, X), nfa.audit(exact, X)
    for layer, other in zip(got, expected, strict=True):
        for column in ("cosine", "pearson_sqrt", "ci_low", "alpha_linear", "nfm_effective_rank"):
            assert layer[column] == pytest.approx(other[column], rel=0.02)
    assert half[0].weight.dtype == dtype


IGNORED = "ignore:.*torch.jit.*:DeprecationWarning"  # torch's own, when its compiler is imported


@pytest.mark.filterwarnings(IGNORED)
@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel, lambda net: torch.compile(nn.DataParallel(net))])
def test_wrappers_are_looked_through(wrap, small):
    net, X = small
    assert_same_table(nfa.audit(wrap(net), X), nfa.audit(net, X), 1e-12)


@pytest.mark.filterwarnings(IGNORED)
def test_a_network_that_is_compiled_in_part(small):
    net, X = small
    expected = nfa.audit(net, X)
    net.layers[1].compile()
    net(X)
    assert_same_table(nfa.audit(net, X), expected, 1e-12)


@pytest.mark.filterwarnings(IGNORED)
def test_exported_and_traced_modules(small):
    net, X = small
    expected = nfa.audit(net, X)
    exported = torch.export.export(net, (X[:2],), dynamic_shapes=({0: torch.export.Dim("batch")},))
    for made in (exported, exported.module(), torch.fx.symbolic_trace(net)):
        assert_same_table(nfa.audit(made, X), expected, 1e-12)


def test_a_stand_in_with_sizes_by_name_is_no_weight(small):
    """Torch 2.6 compares inputs with one while an exported program runs."""
    net, X = small
    program = torch.export.export(net, (X[:2],), dynamic_shapes=({0: torch.export.Dim("batch")},))
    stand_in = next(node.meta["val"] for node in reversed(program.graph.nodes) if node.op == "placeholder")
    assert region(stand_in) is None
    assert region(X) is not None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_another_device_than_the_data(small):
    net, X = small
    expected = nfa.audit(net, X)
    assert_same_table(nfa.audit(net.cuda(), X), expected, 1e-10)
    assert_same_table(nfa.audit(net.cpu(), X.cuda()), expected, 1e-10)


def test_a_network_made_in_inference_mode(small):
    net, X = small
    expected = nfa.audit(net, X)
    with torch.inference_mode():
        made = nfa.MLP(6, [8, 5], n_outputs=3).double()
        made.load_state_dict(net.state_dict())
        assert_same_table(nfa.audit(made, X), expected, 1e-12)
    assert_same_table(nfa.audit(made, X), expected, 1e-12)
