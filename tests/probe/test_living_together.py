"""An audit beside other things: other threads, hooks, settings of torch, a memory that is full."""

import threading

import pytest
import torch
from helpers import assert_same_table, gaussian
from torch import nn

import nfa
from nfa.common.precision import stated_precision


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Dropout(0.5), nn.Linear(16, 3))


X = gaussian(60, 8, dtype=torch.float32)


def joined(*calls):
    threads = [threading.Thread(target=call, daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def test_threads_that_audit_one_network_are_all_right_and_leave_it_as_it_was():
    net = network().train()
    expected = nfa.audit(net, X)
    found = []
    joined(*[lambda: found.append(nfa.audit(net, X, net, batch_size=7))] * 4)
    assert all(module.training for module in net.modules())
    assert len(found) == 4
    for audit in found:
        for layer, other in zip(audit, expected, strict=True):
            assert layer["cosine"] == pytest.approx(other["cosine"], abs=1e-5)


def test_two_networks_that_are_each_other_s_init_do_not_wait_for_each_other():
    one, two = network(), network()
    joined(*(lambda a=a, b=b: [nfa.audit(a, X, b) for _ in range(5)] for a, b in ((one, two), (two, one))))


def test_a_hook_that_audits_its_own_network_is_refused():
    net = network()
    net[0].register_forward_hook(lambda module, x, z: nfa.audit(net, X) and None)
    with pytest.raises(nfa.InputError, match="net: it is examined from inside its own forward pass"):
        nfa.audit(net, X)
    with pytest.raises(nfa.InputError, match="net: it is examined from inside its own forward pass"):
        net(X)


def test_where_nothing_has_values_the_refusal_says_so():
    net = network()
    with torch.device("meta"), pytest.raises(nfa.InputError, match=r"net: inside torch.device\('meta'\)"):
        nfa.audit(net, X)

    def inside(x):
        nfa.audit(net, X)
        return x

    with pytest.raises(nfa.InputError, match=r"net: inside a transform of torch.func"):
        torch.func.vmap(inside)(X)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_settings_around_an_audit_change_nothing(dtype):
    net, rows = network().to(dtype), X.to(dtype)
    expected = nfa.audit(net, rows)
    with torch.autocast("cpu", torch.bfloat16):
        assert_same_table(nfa.audit(net, rows), expected, 1e-12)
        assert torch.is_autocast_enabled("cpu")
    for change, before, value in (
        (torch.set_default_dtype, torch.float32, torch.float64),
        (torch.set_float32_matmul_precision, "highest", "medium"),
        (torch.use_deterministic_algorithms, False, True),
    ):
        change(value)
        try:
            assert_same_table(nfa.audit(net, rows), expected, 1e-12)
            if value == "medium":
                assert torch.get_float32_matmul_precision() == "medium"
        finally:
            change(before)


def test_the_last_one_inside_restores_torch_s_settings():
    torch.set_float32_matmul_precision("medium")
    try:
        one, two = stated_precision(), stated_precision()
        one.__enter__()
        two.__enter__()
        one.__exit__(None, None, None)
        assert torch.backends.mkldnn.matmul.fp32_precision == "ieee"
        two.__exit__(None, None, None)
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.backends.mkldnn.matmul.fp32_precision != "ieee"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_autocast_inside_a_network_is_its_own():
    class Casting(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network()

        def forward(self, x):
            with torch.autocast("cpu", torch.bfloat16):
                return self.net(x).float()

    expected, got = nfa.audit(network(), X), nfa.audit(Casting(), X)
    assert got[0]["cosine"] == pytest.approx(expected[0]["cosine"], abs=0.02)
    assert got[0]["cosine"] != expected[0]["cosine"]


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")]
)
def test_memory_that_runs_out_is_one_line(error):
    class Greedy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 2)

        def forward(self, x):
            if len(x) > 10:
                raise error
            return self.layer(x)

    with pytest.raises(nfa.InputError, match="batch_size: memory ran out; measure fewer samples at a time"):
        nfa.audit(Greedy(), X, outputs=lambda f: f)
