"""Layers whose gradient no data take part in, where a sample has several rows."""

import pytest
import torch
from torch import nn

from nfa.features.measuring import measure
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


def test_one_sample_that_differs_is_enough():
    """The gate of one sample in thirty, in the last batch."""

    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(5, 3)

        def forward(self, x):
            return self.head(x) * (1 + (x[:, :, :1] > 100).float())

    x = torch.randn(30, 4, 5)
    assert trivial(Gated(), x) == {"head": True}
    x[29, 2, 0] = 200
    assert trivial(Gated(), x) == {"head": False}
