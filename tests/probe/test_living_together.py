"""An audit beside other things: other threads, hooks, settings of torch, a memory that is full."""

import copy
import threading

import pytest
import torch
from helpers import assert_same_table, gaussian
from torch import nn

import nfa
from nfa.common.precision import stated_precision
from nfa.network.forward import Forward
from nfa.probe import Probe


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
    expected, init = nfa.audit(net, X), copy.deepcopy(net)
    found = []
    joined(*[lambda: found.append(nfa.audit(net, X, init, batch_size=7))] * 4)
    assert all(module.training for module in net.modules())
    assert len(found) == 4
    for audit in found:
        for layer, other in zip(audit, expected, strict=True):
            assert layer["cosine"] == pytest.approx(other["cosine"], abs=1e-5)


def test_two_networks_that_are_each_other_s_init_do_not_wait_for_each_other():
    one, two = network(), network()
    joined(*(lambda a=a, b=b: [nfa.audit(a, X, b) for _ in range(5)] for a, b in ((one, two), (two, one))))


def sharing(trunk):
    return nn.Sequential(trunk, nn.Linear(16, 3))


def test_no_two_threads_examine_networks_at_once():
    trunk = nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.5))
    both, met = threading.Barrier(2), []

    def examine(net):
        with Probe(net, X):
            try:
                both.wait(0.5)
            except threading.BrokenBarrierError:
                return
            met.append(net)

    joined(*(lambda net=net: examine(net) for net in (sharing(trunk), sharing(trunk))))
    assert not met


def test_networks_that_share_a_module_may_be_audited_in_threads():
    torch.manual_seed(0)
    trunk = network()[:3].train()
    nets = [sharing(trunk) for _ in range(2)]
    expected = [nfa.audit(net, X) for net in nets]
    found = []
    joined(*(lambda i=i: found.extend((i, nfa.audit(nets[i], X, batch_size=7)) for _ in range(3)) for i in (0, 1)))
    assert len(found) == 6
    for i, audit in found:
        assert_same_table(audit, expected[i], 1e-5)
    assert all(module.training for module in trunk.modules())


def test_networks_that_overwrite_in_place_may_be_audited_in_threads():
    class Overwriting(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network()

        def forward(self, x):
            y = self.net[0](x).tanh()
            kept = y.square()
            y.mul_(2)  # of which the square's gradient is made
            return self.net[3](kept + y)

    nets = [Overwriting() for _ in range(2)]
    expected = nfa.audit(nets[0], X)
    found = []
    joined(*(lambda net=net: found.extend(nfa.audit(net, X) for _ in range(3)) for net in nets))
    assert len(found) == 6
    for audit in found:
        assert_same_table(audit, expected, 1e-5)


def test_threads_that_leave_in_any_order_leave_torch_s_compiler_on():
    one_in, two_in, one_out = threading.Event(), threading.Event(), threading.Event()

    class Waiting(nn.Module):
        def __init__(self, tells, waits):
            super().__init__()
            self.net, self.tells, self.waits = network(), tells, waits

        def forward(self, x):
            self.tells.set()
            assert self.waits.wait(60)
            return self.net(x)

    def compiled_by(graph, inputs):
        compiled.append(graph)
        return graph.forward

    compiled = []
    double = torch.compile(lambda x: 2 * x, backend=compiled_by)

    def one():
        Forward(Waiting(one_in, two_in))(X)
        one_out.set()

    def two():
        assert one_in.wait(60)
        Forward(Waiting(two_in, one_out))(X)

    joined(one, two)
    double(X)
    assert compiled


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


BY_OPERATION = hasattr(torch.backends.cudnn, "conv")  # torch 2.6 has none
REDUCED = (
    (
        torch.backends.cuda.matmul,
        torch.backends.cudnn.conv,
        torch.backends.cudnn.rnn,
        torch.backends.mkldnn.matmul,
        torch.backends.mkldnn.conv,
        torch.backends.mkldnn.rnn,
    )
    if BY_OPERATION
    else ()
)
"""Operations that torch may be told to compute in fewer digits than float32 has."""


def settings():
    """What torch is told about the digits of float32: by operation, or in older versions for products and for cuDNN."""
    if BY_OPERATION:
        return [each.fp32_precision for each in REDUCED]
    return [torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32]


ALL_DIGITS = ["ieee"] * 6 if BY_OPERATION else ["highest", False]


def test_the_last_one_inside_restores_torch_s_settings():
    torch.set_float32_matmul_precision("medium")
    try:
        before = settings()
        one, two = stated_precision(), stated_precision()
        one.__enter__()
        two.__enter__()
        one.__exit__(None, None, None)
        assert settings() == ALL_DIGITS
        two.__exit__(None, None, None)
        assert torch.get_float32_matmul_precision() == "medium"
        assert settings() == before
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.skipif(not BY_OPERATION, reason="this torch has no settings by operation")
def test_products_convolutions_and_recurrent_layers_are_computed_in_all_digits():
    before = settings()
    try:
        for each in REDUCED[1:3]:
            each.fp32_precision = "tf32"
        for each in REDUCED[3:]:
            each.fp32_precision = "bf16"
        chosen = settings()
        with stated_precision():
            assert settings() == ALL_DIGITS
        assert settings() == chosen
    finally:
        for each, value in zip(REDUCED, before, strict=True):
            each.fp32_precision = value


@pytest.mark.parametrize("allowed", [False, True])
def test_a_network_may_set_the_flags_of_cudnn(allowed):
    """Torch refuses to where its older flag and its settings contradict each other."""

    class Flagged(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network()

        def forward(self, x):
            with torch.backends.cudnn.flags(enabled=False, allow_tf32=False):
                return self.net(x)

    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = allowed
    try:
        assert_same_table(nfa.audit(Flagged(), X), nfa.audit(network(), X), 1e-12, names=False)
        assert torch.backends.cudnn.allow_tf32 is allowed
        assert not BY_OPERATION or (torch.backends.cudnn.conv.fp32_precision == "tf32") is allowed
    finally:
        torch.backends.cudnn.allow_tf32 = before


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


def test_a_network_that_is_copied_while_it_is_watched():
    """Its hooks, which tell modules with one weight apart, are those of the watch; the copy has them too."""
    net = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))
    net[2].weight = net[0].weight
    with Probe(net, X) as probe:
        expected = [delta for sweep in probe.sweeps() for _, delta in sweep.deltas]
        copied = copy.deepcopy(net)
        torch.testing.assert_close(copied(X), net(X))
        again = [(name, delta) for sweep in probe.sweeps() for name, delta in sweep.deltas]
    assert [name for name, _ in again[:3]] == ["0", "2", "4"]
    assert all(torch.equal(delta, other) for (_, delta), other in zip(again, expected, strict=True))
    # An audit copies it to measure a few rows again in float64.
    assert not any("does not run in float64" in layer["note"] for layer in nfa.audit(net, X))
