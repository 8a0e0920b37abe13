"""The probe: every way to write a linear layer, and the network handed back as it was."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import gaussian
from torch import nn
from torch.func import jacrev, vmap

import nfa
from nfa.probe import Probe


class Written(nn.Module):
    """Two layers, written in one of the ways people write them."""

    def __init__(self, way):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.A = nn.Parameter(torch.randn(5, 4, generator=generator, dtype=torch.float64))
        self.B = nn.Parameter(torch.randn(5, 3, generator=generator, dtype=torch.float64))
        self.b = nn.Parameter(torch.randn(5, generator=generator, dtype=torch.float64))
        self.c = nn.Parameter(torch.randn(3, generator=generator, dtype=torch.float64))
        self.way = way

    def forward(self, x):
        way = self.way
        if way == "F.linear":
            return F.linear(torch.tanh(F.linear(x, self.A, self.b)), self.B.T, self.c)
        if way == "matmul":
            return torch.tanh(x @ self.A.T + self.b) @ self.B + self.c
        if way == "functions":
            return torch.mm(torch.tanh(torch.matmul(x, self.A.t()) + self.b), self.B) + self.c
        if way == "addmm":
            return torch.addmm(self.c, torch.tanh(torch.addmm(self.b, x, self.A.T)), self.B)
        if way == "aten":
            z = torch.ops.aten.linear.default(x, self.A, self.b)
            return torch.ops.aten.addmm.default(self.c, torch.ops.aten.tanh.default(z), self.B)
        if way == "left":  # samples in columns
            return (self.B.T @ torch.tanh(torch.mm(self.A, x.T) + self.b[:, None]) + self.c[:, None]).T
        if way == "einsum":
            z = torch.einsum("kd,...d->k...", self.A, x) + self.b[:, None]
            return torch.einsum("hn,hc->nc", torch.tanh(z), self.B) + self.c
        if way == "implicit":
            return torch.einsum("az,zc", torch.tanh(torch.einsum("ad,zd", x, self.A) + self.b), self.B) + self.c
        if way == "parts":
            packed = torch.cat([self.A, self.B], 1)
            A, B = packed.split([4, 3], 1)
            return torch.tanh(x @ A.T + self.b) @ B + self.c
        if way == "views":
            return torch.tanh(x @ self.A.detach().mT + self.b) @ self.B.to(x.dtype).clone() + self.c
        assert way == "in place"
        return F.linear(F.linear(x, self.A, self.b).tanh_(), self.B.T, self.c)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize(
    "way",
    ["F.linear", "matmul", "functions", "addmm", "aten", "in place", "left", "einsum", "implicit", "parts", "views"],
)
def test_a_layer_is_a_layer_however_it_is_written(way, frozen):
    net = Written(way).requires_grad_(not frozen)
    X = gaussian(12, 4)
    found = nfa.agop(net, X)
    names = {"parts": ["A+B", "A+B#2"]}.get(way, ["A", "B"])
    assert list(found) == names
    found = dict(zip("AB", found.values(), strict=True))
    J = vmap(jacrev(lambda x: torch.tanh(x @ net.A.T + net.b) @ net.B + net.c))(X).detach()
    torch.testing.assert_close(found["A"].dense(), torch.einsum("ncd,nce->de", J, J) / 12)
    torch.testing.assert_close(found["B"].dense(), (net.B @ net.B.T).detach())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_measures_inside_no_grad_and_inference_mode(mode, small):
    net, X = small
    expected = nfa.audit(net, X).to_frame()
    with mode():
        assert nfa.audit(net, X).to_frame().equals(expected)


def snapshot(net):
    return {
        "mode": [module.training for module in net.modules()],
        "grads": [None if p.grad is None else p.grad.clone() for p in net.parameters()],
        "requires": [p.requires_grad for p in net.parameters()],
        "values": [t.clone() for t in [*net.parameters(), *net.buffers()]],
        "ids": [id(t) for t in [*net.parameters(), *net.buffers()]],
        "hooks": [
            len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks)
            for module in net.modules()
        ],
    }


def assert_untouched(net, before):
    after = snapshot(net)
    for key in ("mode", "requires", "ids", "hooks"):
        assert after[key] == before[key], key
    for one, other in zip(before["values"], after["values"], strict=True):
        assert torch.equal(one, other)
    for one, other in zip(before["grads"], after["grads"], strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.equal(one, other)


class Busy(nn.Module):
    """A network with everything that measuring might disturb."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Linear(4, 6), nn.BatchNorm1d(6)
        self.drop, self.last = nn.Dropout(0.5), nn.Linear(6, 2)
        self.register_buffer("calls", torch.zeros(1))
        self.first.weight.requires_grad_(False)
        self.norm.eval()
        self.fail = False

    def forward(self, x):
        self.calls += 1
        self.calls = self.calls + 1
        if self.fail and len(x) > 2:
            raise KeyboardInterrupt
        return self.last(self.drop(F.relu(self.norm(self.first(x)), inplace=True)))


def test_the_network_comes_back_as_it_was():
    net = Busy().train()
    net.norm.eval()
    net(torch.randn(5, 4)).sum().backward()
    net.last.register_forward_hook(lambda module, inputs, output: None)
    before = snapshot(net)
    audit = nfa.audit(net, torch.randn(30, 4), copy.deepcopy(net))
    assert_untouched(net, before)
    assert [layer["name"] for layer in audit] == ["first", "last"]
    net.fail = True
    with pytest.raises(KeyboardInterrupt):
        nfa.audit(net, torch.randn(30, 4))
    assert_untouched(net, before)
    with pytest.raises(nfa.InputError):
        nfa.audit(net, torch.randn(30, 3))
    assert_untouched(net, before)


@pytest.mark.parametrize("kind", [nn.Embedding, nn.EmbeddingBag])
def test_tables_that_rescale_themselves_come_back_as_they_were(kind):
    table = kind(7, 4, max_norm=0.5)
    head = nn.Linear(4, 2) if kind is nn.EmbeddingBag else nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    net = nn.Sequential(table, head)
    X, y = torch.randint(7, (30, 3)), torch.arange(30) % 2
    run = copy.deepcopy(net)
    run(X)
    assert not torch.equal(run[0].weight, table.weight)  # it does write to its table
    before = snapshot(net)
    nfa.audit(net, (X, y), copy.deepcopy(net), loss="cross_entropy")
    assert_untouched(net, before)
    nfa.agop(net, X)
    assert_untouched(net, before)
    with pytest.raises(nfa.InputError):
        nfa.audit(net, torch.full((30, 3), 9))
    assert_untouched(net, before)


def test_what_an_error_in_the_network_says_is_one_line():
    class Strict(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x):
            if x.shape[1] != 3:
                raise ValueError("I want three\nnot something else")
            return self.layer(x)

    with pytest.raises(
        nfa.InputError, match=r"data: the network cannot take rows of shape \(4,\): I want three"
    ) as caught:
        nfa.audit(Strict(), torch.zeros(2, 4))
    assert "\n" not in str(caught.value)


class OneByOne(nn.Module):
    def __init__(self):
        super().__init__()
        self.W, self.b = nn.Parameter(torch.randn(2, 3)), nn.Parameter(torch.randn(2))

    def forward(self, x):
        return torch.stack([torch.addmv(self.b, self.W, row) for row in x])


@pytest.mark.parametrize(
    ("message", "net"),
    [
        ("no linear layer, and no floating-point weights", nn.ReLU()),
        ("no linear layer \\(no product", nn.BatchNorm1d(3)),
        ("no linear layer that is read: W meets data in addmv, which is no product of a batch of rows", OneByOne()),
        (
            "its output is torch.int64",
            nn.Sequential(nn.Linear(3, 2), type("Arg", (nn.Module,), {"forward": lambda s, x: x.argmax(1)})()),
        ),
        (
            "its output is a tuple of 2; choose one: head=0, head=1",
            nn.Sequential(nn.Linear(3, 2), type("Two", (nn.Module,), {"forward": lambda s, x: (x, x)})()),
        ),
        (
            "output has shape \\(\\)",
            nn.Sequential(nn.Linear(3, 2), type("Sum", (nn.Module,), {"forward": lambda s, x: x.sum()})()),
        ),
        (
            "not finite in the batch of sample 0",
            nn.Sequential(nn.Linear(3, 2), type("Log", (nn.Module,), {"forward": lambda s, x: (x * 0 - 1).log()})()),
        ),
        ("no such file: net", "net"),
    ],
)
def test_networks_that_cannot_be_audited(message, net):
    with pytest.raises(nfa.InputError, match=message) as caught:
        nfa.audit(net, torch.randn(6, 3))
    assert "\n" not in str(caught.value)


def test_what_is_not_audited_stands_in_skipped():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    audit = nfa.audit(nn.Sequential(nn.EmbeddingBag(9, 2), net), torch.randint(9, (7, 8)))
    assert audit.skipped == [{"name": "0", "kind": "EmbeddingBag"}]
    assert [layer["name"] for layer in audit] == ["1.0", "1.1"]


def test_sequences_pool_their_positions():
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Flatten(), nn.Linear(20, 2)).double()
    X = gaussian(11 * 5, 3).reshape(11, 5, 3)
    audit = nfa.audit(net, X)
    assert audit[0]["rows"] == 55
    J = vmap(jacrev(lambda x: net(x[None])[0]))(X).detach()  # n x c x T x d
    torch.testing.assert_close(audit[0].agop.dense(), torch.einsum("nctd,ncte->de", J, J) / 55)


def test_a_weight_used_twice_pools_its_rows_without_cross_terms():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.head = nn.Linear(4, 4, dtype=torch.float64), nn.Linear(4, 2, dtype=torch.float64)

        def forward(self, x):
            return self.head(torch.tanh(self.layer(torch.tanh(self.layer(x)))))

    net, X = Twice(), gaussian(10, 4)
    audit = nfa.audit(net, X)
    assert audit["layer"]["rows"] == 20
    h = torch.tanh(net.layer(X)).detach()
    outer = vmap(jacrev(lambda h: net.head(torch.tanh(net.layer(h)))))(h).detach()
    inner = vmap(jacrev(lambda x: net(x)))(X).detach()
    expected = sum(torch.einsum("ncd,nce->de", J, J) for J in (inner, outer)) / 20
    torch.testing.assert_close(audit["layer"].agop.dense(), expected)


def test_layers_need_not_reach_the_output():
    class Loose(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.loose = nn.Linear(3, 2), nn.Linear(3, 5)

        def forward(self, x):
            self.loose(x)
            return self.used(x)

    audit = nfa.audit(Loose(), torch.randn(8, 3))
    assert "dead" in audit["loose"]["note"]
    assert audit["used"]["cosine"] == pytest.approx(1)


def test_an_output_may_depend_on_no_layer_at_all():
    class Apart(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.loose = nn.Linear(3, 2), nn.Linear(3, 5)

        def forward(self, x):
            self.loose(x)
            with torch.no_grad():
                return self.used(x)

    audit = nfa.audit(Apart(), (torch.randn(8, 3), torch.arange(8) % 2), loss="cross_entropy")
    assert [layer["name"] for layer in audit] == ["loose"]
    assert "dead" in audit["loose"]["note"]


def test_sweeps_yield_every_sample_once_per_output():
    net, X = nfa.MLP(4, 5, 1, 3), gaussian(25, 4, dtype=torch.float32)
    seen = {0: [], 1: [], 2: []}
    with Probe(net, X) as probe:
        for sweep in probe.sweeps(batch_size=8):
            seen[sweep.column] += sweep.samples.tolist()
            groups = (sweep.samples % 10).tolist()
            assert groups == sorted(groups)
    assert all(sorted(samples) == list(range(25)) for samples in seen.values())


def test_the_user_s_data_are_never_written():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x):
            return self.layer(x.mul_(0.5))

    X = gaussian(9, 4, dtype=torch.float32)
    before = X.clone()
    nfa.audit(InPlace(), X)
    nfa.audit(InPlace(), nfa.Dataset(X.numpy(), np.arange(9) % 2))
    assert torch.equal(X, before)


def test_tied_weights_are_two_layers_named_apart():
    class Tied(nn.Module):
        def __init__(self, k):
            super().__init__()
            self.W = nn.Parameter(gaussian(k, 6))

        def forward(self, x):
            return F.linear(torch.tanh(F.linear(x, self.W)), self.W.T)

    for k in (4, 6):
        audit = nfa.audit(Tied(k), gaussian(20, 6))
        assert [(layer["name"], layer["d_in"], layer["d_out"]) for layer in audit] == [("W", 6, k), ("W.T", k, 6)]


def test_what_is_no_layer_on_data_passes_by():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.A, self.B = nn.Parameter(gaussian(3, 2)), nn.Parameter(gaussian(2, 4))
            self.q, self.V = nn.Parameter(gaussian(1, 4)[0]), nn.Parameter(gaussian(4, 4))
            self.scale = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
            self.still, self.layer = nn.Linear(4, 4).double(), nn.Linear(4, 3).double()

        def forward(self, x):
            with torch.no_grad():
                x = self.still(x)
            x = x + self.q @ self.V
            return self.scale * F.linear(input=x, weight=self.layer.weight)

    audit = nfa.audit(Odd(), gaussian(7, 4))
    assert [layer["name"] for layer in audit] == ["layer"]
    assert {skip["name"] for skip in audit.skipped} >= {"still", "A", "B", "V"}


def test_a_weight_may_see_different_rows_in_its_uses():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.head = nn.Linear(4, 4).double(), nn.Linear(4, 2).double()

        def forward(self, x):
            return self.head(torch.tanh(self.layer(x)).mean(1) + torch.tanh(self.layer(x.mean(1))))

    assert nfa.audit(Twice(), gaussian(30, 4).reshape(10, 3, 4))["layer"]["rows"] == 40


def test_rows_in_a_mixed_order_are_told_apart():
    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4).double()

        def forward(self, x):  # half of the positions sample by sample, half of them not
            n, T, _ = x.shape
            rows = torch.cat([x[:, :4].flatten(0, 1), x[:, 4:].transpose(0, 1).flatten(0, 1)])
            h = self.layer(rows)
            return h[: 4 * n].reshape(n, 4, -1).mean(1) + h[4 * n :].reshape(T - 4, n, -1).mean(0)

    audit = nfa.audit(Turned(), gaussian(16 * 8, 4).reshape(16, 8, 4), batch_size=4)
    assert audit["layer"]["rows"] == 128
    torch.testing.assert_close(audit["layer"].S, torch.eye(4, dtype=torch.float64) / 16)


def test_a_network_whose_only_layer_mixes_samples_is_refused():
    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4).double()

        def forward(self, x):  # neighbours share rows, too little to show in the outputs
            z = self.layer(torch.cat([x, x]).unfold(0, 2, 1)[: len(x) + 1].mean(2))
            return x + 1e-14 * (z[:-1] + z[1:])

    with pytest.raises(nfa.InputError, match="in layer layer rows do not come sample by sample; samples must come fi"):
        nfa.audit(Pooled(), gaussian(16, 4))


def test_gradients_that_are_not_finite_are_named():
    class Root(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4, bias=False).double()

        def forward(self, x):
            return (self.layer(x) ** 2).sum(1, keepdim=True).sqrt()

    X = gaussian(12, 4)
    X[5] = 0
    with pytest.raises(nfa.InputError, match="gradients at layer layer are not finite"):
        nfa.audit(Root(), X)
