"""Attention's packed weights as three layers, and rows whose samples do not come first, against plain linear layers."""

import copy

import pytest
import torch
import torch.nn.functional as F
from helpers import assert_same_table, gaussian
from torch import nn

import nfa
from nfa.probe import Probe, activations


class Plain(nn.Module):
    """Multi-head attention with samples first, by its formulas and linear layers."""

    def __init__(self, attention):
        super().__init__()
        self.heads = attention.num_heads
        self.q, self.k, self.v, self.out_proj = (nn.Linear(attention.embed_dim, attention.embed_dim) for _ in range(4))
        for layer, W, b in zip(
            (self.q, self.k, self.v), attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3), strict=True
        ):
            layer.weight.data, layer.bias.data = W.detach().clone(), b.detach().clone()
        self.out_proj.load_state_dict(attention.out_proj.state_dict())

    def forward(self, x, memory=None):
        memory = x if memory is None else memory
        q, k, v = (
            layer(each).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, each in ((self.q, x), (self.k, memory), (self.v, memory))
        )
        scores = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
        return self.out_proj((scores @ v).transpose(1, 2).flatten(2))


class Encoder(nn.Module):
    """One attention and a head; `weights` and `time_first` choose how torch computes it."""

    def __init__(self, time_first, weights):
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=not time_first)
        self.time_first, self.weights, self.head = time_first, weights, nn.Linear(6, 3)

    def forward(self, x):
        if isinstance(self.attention, Plain):
            return self.head(torch.tanh(self.attention(x)).mean(1))
        x = x.transpose(0, 1) if self.time_first else x
        h = torch.tanh(self.attention(x, x, x, need_weights=self.weights)[0])
        return self.head(h.mean(0 if self.time_first else 1))


def randomised(net):
    for parameter in net.parameters():
        parameter.data = 0.5 * torch.randn_like(parameter)
    return net.double()


@pytest.mark.parametrize("positions", [2, 5])
@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("time_first", [False, True])
def test_packed_weights_are_queries_keys_and_values(time_first, weights, positions):
    torch.manual_seed(0)
    net, X = randomised(Encoder(time_first, weights)), torch.randn(12, positions, 6, dtype=torch.float64)
    plain = copy.deepcopy(net)
    plain.attention = Plain(net.attention).double()
    torch.testing.assert_close(net(X), plain(X))
    audit = nfa.audit(net.requires_grad_(False), X)
    assert not audit.skipped
    assert [layer["name"] for layer in audit][:3] == ["attention.q", "attention.k", "attention.v"]
    expected = nfa.audit(plain, X)
    assert_same_table(audit, expected, 1e-9)
    for layer, other in zip(audit, expected, strict=True):
        torch.testing.assert_close(layer.S, other.S, rtol=1e-10, atol=1e-14)
    assert_same_table(nfa.audit(net, X, probes=4), nfa.audit(plain, X, probes=4), 1e-9)
    with Probe(net, X) as own, Probe(plain, X) as other:
        names = ["attention.q", "attention.out_proj"]
        for name, rows in activations(other, names).rows.items():
            torch.testing.assert_close(activations(own, names).rows[name], rows)
        W = {"attention.k": torch.randn(6, 6, dtype=torch.float64)}
        torch.testing.assert_close(activations(own, (), W).outputs, activations(other, (), W).outputs)


@pytest.mark.parametrize("batch_first", [False, True])
def test_every_layer_of_an_encoder_is_measured(batch_first):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            layer = nn.TransformerEncoderLayer(6, 2, 8, batch_first=batch_first)
            self.encoder, self.head = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(6, 3)

        def forward(self, x):
            x = x if batch_first else x.transpose(0, 1)
            return self.head(self.encoder(x)).sum(1 if batch_first else 0)

    torch.manual_seed(0)
    net, X = randomised(Net()), gaussian(12 * 5, 6).reshape(12, 5, 6)
    audit = nfa.audit(net, X)
    parts = ["self_attn.q", "self_attn.k", "self_attn.v", "self_attn.out_proj", "linear1", "linear2"]
    names = [f"encoder.layers.{number}.{part}" for number in (0, 1) for part in parts]
    assert [layer["name"] for layer in audit] == [*names, "head"]
    assert not audit.skipped
    assert {layer["rows"] for layer in audit} == {60}
    assert_same_table(nfa.audit(net, X, batch_size=5), audit, 1e-9)


def test_time_first_rows_are_rearranged():
    class Net(nn.Module):
        def __init__(self, way):
            super().__init__()
            self.way, self.a, self.b = way, nn.Linear(4, 5), nn.Linear(5, 3)

        def forward(self, x):
            n, T, _ = x.shape
            if self.way == "flat":
                return self.b(torch.tanh(self.a(x.transpose(0, 1).reshape(T * n, 4))).reshape(T, n, -1).mean(0))
            if self.way == "second":
                return self.b(torch.tanh(F.linear(x.transpose(0, 1), self.a.weight, self.a.bias)).mean(0))
            return self.b(torch.tanh(self.a(x)).mean(1))

    for T in (2, 3):
        X = gaussian(24 * T, 4).reshape(24, T, 4)
        nets = [Net(way).double() for way in ("first", "second", "flat")]
        for net in nets[1:]:
            net.load_state_dict(nets[0].state_dict())
            assert_same_table(nfa.audit(net, X), nfa.audit(nets[0], X), 1e-10)


def test_time_first_is_seen_though_no_gradient_reaches_the_first_sample():
    class Net(nn.Module):
        def __init__(self, time_first):
            super().__init__()
            self.time_first, self.a, self.b = time_first, nn.Linear(4, 5), nn.Linear(5, 3)

        def forward(self, x):
            h = torch.tanh(self.a(x.transpose(0, 1))).mean(0) if self.time_first else torch.tanh(self.a(x)).mean(1)
            return self.b(h) * torch.relu(x[:, :1, 0])

    for T in (2, 3):
        X = gaussian(24 * T, 4).reshape(24, T, 4)
        X[0, 0, 0], X[1, 0, 0] = -1.0, 1.0
        net, other = Net(True).double(), Net(False).double()
        other.load_state_dict(net.state_dict())
        audit = nfa.audit(net, X)
        assert not audit.skipped
        assert_same_table(audit, nfa.audit(other, X), 1e-10)
        # Of two samples, one of which shows nothing, each row is traced to its sample.
        assert_same_table(nfa.audit(net, X[:2]), nfa.audit(other, X[:2]), 1e-10)


@pytest.mark.parametrize("positions", [3, 4])
def test_queries_on_which_no_output_depends_are_dead(positions):
    """The first position of causal attention sees itself alone, whatever its query; here its samples come second."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention, self.head = nn.MultiheadAttention(6, 2), nn.Linear(6, 3)

        def forward(self, x):
            x = x.transpose(0, 1)
            mask = torch.ones(positions, positions, dtype=torch.bool).triu(1)
            return self.head(torch.tanh(self.attention(x, x, x, attn_mask=mask)[0][0]))

    audit = nfa.audit(randomised(Net()), gaussian(12 * positions, 6).reshape(12, positions, 6), batch_size=5)
    assert not audit.skipped
    assert [layer["rows"] for layer in audit] == [12 * positions] * 4 + [12]
    for name in ("attention.q", "attention.k"):
        assert audit[name]["agop_trace"] == 0
        assert "dead" in audit[name]["note"]
    assert audit["attention.v"]["agop_trace"] > 0


def test_layouts_are_found_behind_a_head_of_zeros():
    torch.manual_seed(0)
    net = randomised(Encoder(True, False))
    net.head.weight.data.zero_()
    audit = nfa.audit(net, torch.randn(12, 5, 6, dtype=torch.float64))
    assert not audit.skipped
    assert [layer["name"] for layer in audit][:3] == ["attention.q", "attention.k", "attention.v"]
    assert audit["attention.q"]["rows"] == 60
    assert audit["attention.q"]["agop_trace"] == 0


class Fused(nn.Module):
    """GPT-2's attention: one product for queries, keys and values, with the weight transposed."""

    def __init__(self, one):
        super().__init__()
        self.one, self.head = one, nn.Linear(6, 3)
        if one:
            self.c_attn = nn.Module()
            self.c_attn.weight, self.c_attn.bias = nn.Parameter(torch.randn(6, 18)), nn.Parameter(torch.randn(18))
        else:
            self.c_attn = nn.ModuleDict({name: nn.Linear(6, 6) for name in "qkv"})

    def forward(self, x):
        if self.one:
            z = torch.addmm(self.c_attn.bias, x.flatten(0, 1), self.c_attn.weight).unflatten(0, x.shape[:2])
            q, k, v = z.split(6, -1)
        else:
            q, k, v = (self.c_attn[name](x) for name in "qkv")
        return self.head(torch.tanh((q @ k.mT / 6**0.5).softmax(-1) @ v).mean(1))


def test_a_fused_projection_is_queries_keys_and_values():
    torch.manual_seed(0)
    net, plain = Fused(True).double(), Fused(False).double()
    plain.head = net.head
    thirds = zip(net.c_attn.weight.chunk(3, 1), net.c_attn.bias.chunk(3), strict=True)
    for layer, (W, b) in zip(plain.c_attn.values(), thirds, strict=True):
        layer.weight.data, layer.bias.data = W.detach().T.clone(), b.detach().clone()
    X = torch.randn(12, 5, 6, dtype=torch.float64)
    torch.testing.assert_close(net(X), plain(X))
    audit, expected = nfa.audit(net, X), nfa.audit(plain, X)
    assert [layer["name"] for layer in audit] == ["c_attn.q", "c_attn.k", "c_attn.v", "head"]
    for layer, other in zip(audit, expected, strict=True):
        torch.testing.assert_close(layer.weight, other.weight)
        torch.testing.assert_close(layer.S, other.S, rtol=1e-10, atol=1e-14)
    with Probe(net, X) as own, Probe(plain, X) as other:
        names = ["c_attn.k", "c_attn.v"]
        for name, rows in activations(other, names).rows.items():
            torch.testing.assert_close(activations(own, names).rows[name], rows)
        weights = {name: torch.randn(6, 6, dtype=torch.float64) for name in names}
        changed, right = (activations(probe, weights=weights).outputs for probe in (own, other))
        torch.testing.assert_close(changed, right)
