"""Recurrent layers against the same equations written with linear layers."""

import pytest
import torch
from helpers import assert_same_table, gaussian
from torch import nn

import nfa
from nfa.probe import Probe, activations

LAYERS = {
    "rnn": lambda: nn.RNN(4, 5, batch_first=True),
    "rnn relu": lambda: nn.RNN(4, 5, nonlinearity="relu"),
    "gru": lambda: nn.GRU(4, 5, batch_first=True, bias=False),
    "gru, two layers": lambda: nn.GRU(4, 5, num_layers=2, dropout=0.5),
    "lstm": lambda: nn.LSTM(4, 5, batch_first=True),
    "lstm, both ways": lambda: nn.LSTM(4, 5, num_layers=2, bidirectional=True, batch_first=True),
    "lstm, projected": lambda: nn.LSTM(4, 5, proj_size=3, bias=False),
}


def step(kind, x, z, h, c):
    """One step of a cell, from its two products."""
    if kind == "lstm":
        i, f, g, o = (x + z).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c
    if kind == "gru":
        r, u, n = x.chunk(3, 1)
        hr, hu, hn = z.chunk(3, 1)
        u = (u + hu).sigmoid()
        return (1 - u) * (n + (r + hr).sigmoid() * hn).tanh() + u * h, c
    return ((x + z).tanh() if kind == "tanh" else (x + z).relu()), c


class Plain(nn.Module):
    """A recurrent layer of linear layers, a step at a time, samples first."""

    def __init__(self, layer):
        super().__init__()
        self.kind = layer.nonlinearity if isinstance(layer, nn.RNN) else type(layer).__name__.lower()
        self.layers, self.both, self.hidden = layer.num_layers, layer.bidirectional, layer.hidden_size
        self.out = layer.proj_size or layer.hidden_size
        for name, W in layer.named_parameters():
            if name.startswith("weight"):
                linear = nn.Linear(W.shape[1], W.shape[0], bias=layer.bias and "_hr_" not in name)
                linear.weight.data = W.detach().clone()
                if linear.bias is not None:
                    linear.bias.data = getattr(layer, name.replace("weight", "bias")).detach().clone()
                setattr(self, name, linear)

    def forward(self, x, hx=None):
        n, steps = x.shape[:2]
        for layer in range(self.layers):
            found = []
            for way in range(1 + self.both):
                end = f"l{layer}" + "_reverse" * way
                h, c = x.new_zeros(n, self.out), x.new_zeros(n, self.hidden)
                h = h if hx is None else hx + 0 * x[:, 0].sum(1, keepdim=True)  # data, as every later h is
                outputs = [None] * steps
                for t in reversed(range(steps)) if way else range(steps):
                    z = getattr(self, f"weight_hh_{end}")(h)
                    h, c = step(self.kind, getattr(self, f"weight_ih_{end}")(x[:, t]), z, h, c)
                    h = getattr(self, f"weight_hr_{end}")(h) if hasattr(self, f"weight_hr_{end}") else h
                    outputs[t] = h
                found.append(torch.stack(outputs, 1))
            x = torch.cat(found, 2)
        return x


class Tagger(nn.Module):
    def __init__(self, layer, out):
        super().__init__()
        self.r, self.head = layer, nn.Linear(out, 2)

    def forward(self, x):
        if isinstance(self.r, Plain):
            return self.head(self.r(x)[:, 1:].mean(1))
        x = self.r(x if self.r.batch_first else x.transpose(0, 1))[0]
        return self.head((x if self.r.batch_first else x.transpose(0, 1))[:, 1:].mean(1))


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("kind", LAYERS)
def test_input_and_hidden_weights_are_layers(kind, frozen):
    torch.manual_seed(0)
    layer = LAYERS[kind]()
    net = Tagger(layer, (layer.proj_size or 5) * (1 + layer.bidirectional)).double()
    plain = Tagger(Plain(layer), net.head.in_features).double()
    plain.head = net.head
    net.requires_grad_(not frozen)
    X = torch.randn(12, 3, 4, dtype=torch.float64)
    y = torch.arange(12) % 2
    torch.testing.assert_close(net.eval()(X), plain(X))
    audit, expected = nfa.audit(net, (X, y), loss="cross_entropy"), nfa.audit(plain, (X, y), loss="cross_entropy")
    assert audit.skipped == []
    assert {layer["name"] for layer in audit} == {layer["name"] for layer in expected}
    for layer in audit:
        other = expected[layer["name"]]
        torch.testing.assert_close(layer.S, other.S, rtol=1e-10, atol=1e-14)
        torch.testing.assert_close(layer.S_centered, other.S_centered, rtol=1e-10, atol=1e-14)
        assert layer["rows"] == other["rows"] == (12 if layer["name"] == "head" else 36)
        assert layer["fact_residual"] == pytest.approx(other["fact_residual"], nan_ok=True)
    name = "r.weight_hh_l0"
    with Probe(net, X) as own, Probe(plain, X) as other:
        torch.testing.assert_close(activations(own, [name]).rows[name], activations(other, [name]).rows[name])
        W = torch.randn_like(layer_weight(own, name))
        changed, right = (activations(probe, weights={name: W}).outputs for probe in (own, other))
        torch.testing.assert_close(changed, right)


def layer_weight(probe, name):
    return next(layer.weight for layer in probe.layers if layer.name == name)


CELLS = {
    "rnn": lambda: nn.RNNCell(4, 5, nonlinearity="relu"),
    "gru": lambda: nn.GRUCell(4, 5),
    "lstm": lambda: nn.LSTMCell(4, 5, bias=False),
}


class Loop(nn.Module):
    """A cell in a loop of the network's own, from a first state that was learned."""

    def __init__(self, cell):
        super().__init__()
        self.r, self.start, self.head = cell, nn.Parameter(torch.randn(5)), nn.Linear(5, 2)

    def forward(self, x):
        h = self.start.expand(len(x), 5)
        if isinstance(self.r, Plain):
            return self.head(self.r(x, h)[:, -1])
        state = (h, torch.zeros_like(h)) if isinstance(self.r, nn.LSTMCell) else h
        for t in range(x.shape[1]):
            state = self.r(x[:, t], state)
        return self.head(state[0] if isinstance(state, tuple) else state)


@pytest.mark.parametrize("kind", CELLS)
def test_cells_are_measured_step_by_step(kind):
    torch.manual_seed(0)
    cell = CELLS[kind]()
    whole = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[kind](
        4, 5, bias=cell.bias, **({"nonlinearity": "relu"} if kind == "rnn" else {})
    )
    whole.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
    net, plain = Loop(cell).double(), Loop(Plain(whole)).double()
    plain.head, plain.start = net.head, net.start
    X = torch.randn(12, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(net(X), plain(X))
    audit, expected = nfa.audit(net, X), nfa.audit(plain, X)
    assert [layer["name"] for layer in audit] == ["r.weight_ih", "r.weight_hh", "head"]
    for layer in audit:
        name = layer["name"] + ("" if layer["name"] == "head" else "_l0")
        torch.testing.assert_close(layer.S, expected[name].S, rtol=1e-10, atol=1e-14)
        assert layer["rows"] == expected[name]["rows"]


def test_packed_sequences_are_named():
    class Packed(nn.Module):
        def __init__(self):
            super().__init__()
            self.r, self.head = nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 2)

        def forward(self, x):
            lengths = torch.full((len(x),), 2)
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
            return self.head(self.r(packed)[1][0][-1])

    audit = nfa.audit(Packed(), torch.randn(12, 3, 4))
    assert audit.skipped == [{"name": "r", "kind": "LSTM, in a packed sequence"}]


def test_a_float32_network_is_measured_again_in_float64():
    torch.manual_seed(0)
    net = Tagger(nn.GRU(4, 5, batch_first=True), 5)
    X = gaussian(20, 12, dtype=torch.float32).reshape(20, 3, 4)
    assert_same_table(nfa.audit(net, X), nfa.audit(net.double(), X.double()), 1e-4)
