"""Layers whose gradient no data take part in, where a sample has several rows."""

import pytest
import torch
from torch import nn

from nfa.features.measuring import FEW, measure
from nfa.probe import Probe


class Language(nn.Module):
    """Tokens in, a row of scores for each position out; positions meet by a mean over those before."""

    def __init__(self, bias=True):
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.mixing, self.head = nn.Linear(8, 8), nn.Linear(8, 11, bias=bias)

    def forward(self, tokens):
        h = self.embedding(tokens)
        h = h + torch.tanh(self.mixing(h.cumsum(1) / torch.arange(1, h.shape[1] + 1)[:, None]))
        return self.head(h)


class Pooled(nn.Module):
    """Positions weighted by fixed numbers: delta differs from row to row and hangs on no data."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(5, 6), nn.Linear(6, 3)

    def forward(self, x):
        return (self.second(self.first(x).relu()) * torch.linspace(1, 2, x.shape[1])[:, None]).mean(1)


def trivial(net, data, outputs="logits", probes=None, batch_size=7):
    with Probe(net, data, outputs) as probe:
        return {
            each.layer.name: each.trivial for each in measure(probe, probe.layers, probes=probes, batch_size=batch_size)
        }


@pytest.mark.parametrize("probes", [None, 3])
def test_the_linear_head_of_a_sequence_is_trivial(probes):
    torch.manual_seed(0)
    tokens = torch.randint(0, 11, (20, 4))
    assert trivial(Language(), tokens, probes=probes) == {"embedding": False, "mixing": False, "head": True}
    # Of probabilities, the head's gradient hangs on the sample.
    assert not any(trivial(Language(), tokens, "probabilities", probes).values())
    assert not any(trivial(Language(), tokens, "margin", probes).values())


def test_rows_of_fixed_weights_are_trivial():
    torch.manual_seed(0)
    assert trivial(Pooled(), torch.randn(30, 4, 5)) == {"first": False, "second": True}


@pytest.mark.parametrize("batch_size", [7, FEW, 100])
def test_one_sample_that_differs_is_enough(batch_size):
    """The gate of one sample in thirty, in the last batch."""

    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(5, 3)

        def forward(self, x):
            return self.head(x) * (1 + (x[:, :, :1] > 100).float())

    x = torch.randn(30, 4, 5)
    assert trivial(Gated(), x, batch_size=batch_size) == {"head": True}
    x[29, 2, 0] = 200
    assert trivial(Gated(), x, batch_size=batch_size) == {"head": False}


class Twice(nn.Module):
    """A linear layer used twice: its delta differs between the uses, and hangs on data only through the function."""

    def __init__(self, function):
        super().__init__()
        self.a, self.b = nn.Linear(5, 5), nn.Linear(5, 3)
        self.function = function

    def forward(self, x):
        return self.b(self.a(self.function(self.a(x))))


class Recurrent(nn.Module):
    """The last state of a recurrence whose activation all data leave alone, or not."""

    def __init__(self, shift):
        super().__init__()
        self.rnn, self.head = nn.RNN(4, 5, nonlinearity="relu", batch_first=True), nn.Linear(5, 3)
        self.rnn.bias_ih_l0.data.add_(shift)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


def varies(net, name, X):
    """Return whether the gradient with respect to the layer's z at some use differs between samples, by autograd."""
    kept = []
    handle = net.get_submodule(name).register_forward_hook(lambda *call: kept.append(call[2]))
    f = net(X)
    handle.remove()
    deltas = [torch.autograd.grad(f.sum(), z, retain_graph=True)[0] for z in kept]
    return any(not torch.allclose(delta, delta[:1].expand_as(delta)) for delta in deltas)


@pytest.mark.parametrize("function", [lambda z: z, torch.tanh])
def test_a_layer_used_twice(function):
    torch.manual_seed(0)
    net, X = Twice(function).double(), torch.randn(30, 5, dtype=torch.float64)
    assert trivial(net, X) == {"a": not varies(net, "a", X), "b": True}


def test_one_sample_at_one_use_is_enough():
    class Gated(Twice):
        def forward(self, x):
            return self.b(self.a(self.a(x) * (1 + (x[:, :1] > 100).double())))

    net, X = Gated(None).double(), torch.randn(30, 5, dtype=torch.float64)
    assert trivial(net, X)["a"]
    X[29, 0] = 200
    assert not trivial(net, X)["a"]


@pytest.mark.parametrize("shift", [50.0, 0.0])
def test_hidden_weights_of_a_recurrence_that_is_linear_on_the_data(shift):
    torch.manual_seed(0)
    net = Recurrent(shift).double()
    net.rnn.weight_hh_l0.data.abs_()
    constant = shift > 0
    found = trivial(net, torch.randn(30, 4, 4, dtype=torch.float64))
    assert found == {"rnn.weight_ih_l0": constant, "rnn.weight_hh_l0": constant, "head": True}
