"""Rows and outputs of a network, with its own weights and with others."""

import copy

import pytest
import torch
from helpers import gaussian
from torch import nn

from nfa.common import InputError
from nfa.probe import Probe, activations


class Spellings(nn.Module):
    """The same kind of layer, written in every way."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 5)
        self.right = nn.Parameter(gaussian(5, 6, 2))
        self.left = nn.Parameter(gaussian(3, 6, 3))
        self.scaled = nn.Parameter(gaussian(3, 2, 4))
        self.summed = nn.Parameter(gaussian(2, 2, 5))

    def forward(self, x):
        h = torch.relu(self.first(x)) @ self.right
        h = (self.left @ torch.tanh(h).T).T
        h = torch.addmm(torch.ones(2, dtype=h.dtype), h, self.scaled, alpha=0.5)
        return torch.einsum("nd,kd->nk", torch.sin(h), self.summed)


def rows_by_hand(net, x):
    h1 = torch.relu(net.first(x))
    h2 = torch.tanh(h1 @ net.right)
    h3 = h2 @ net.left.T
    return {"first": x, "right": h1, "left": h2, "scaled": h3, "summed": torch.sin(1 + 0.5 * h3 @ net.scaled)}


@pytest.mark.parametrize("batch_size", [2, 7, 100])
def test_rows_and_outputs_come_in_the_order_of_the_samples(batch_size):
    net, x = Spellings().double(), gaussian(23, 4)
    with Probe(net, x) as probe:
        found = activations(probe, [layer.name for layer in probe.layers], batch_size=batch_size)
    torch.testing.assert_close(found.outputs, net(x).detach())
    for name, rows in rows_by_hand(net, x).items():
        torch.testing.assert_close(found.rows[name][:, 0], rows.detach())


@pytest.mark.parametrize("name", ["first", "right", "left", "scaled", "summed"])
def test_another_weight_is_computed_with_and_the_network_stays(name):
    net, x = Spellings().double(), gaussian(23, 4)
    before, changed = copy.deepcopy(net.state_dict()), copy.deepcopy(net)
    with Probe(net, x) as probe:
        W = next(layer.weight for layer in probe.layers if layer.name == name)
        other = gaussian(*W.shape, seed=9)
        found = activations(probe, ["summed"], {name: other})
    with torch.no_grad():
        if name == "first":
            changed.first.weight.copy_(other)
        else:
            # Kept transposed, and with alpha, as in `forward`.
            upright = {"right": other.T, "left": other, "scaled": other.T / 0.5, "summed": other}[name]
            getattr(changed, name).copy_(upright)
    torch.testing.assert_close(found.outputs, changed(x).detach())
    torch.testing.assert_close(found.rows["summed"][:, 0], rows_by_hand(changed, x)["summed"].detach())
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_sequence_has_several_rows_for_each_sample_and_a_tied_weight_those_of_all_uses():
    shared = nn.Linear(3, 3).double()
    net, x = nn.Sequential(shared, nn.Tanh(), shared), gaussian(5, 3)
    with Probe(net, x) as probe:
        [name] = [layer.name for layer in probe.layers]
        assert activations(probe, [name]).rows[name].shape == (5, 2, 3)
    with Probe(nn.Linear(3, 2).double(), gaussian(20, 3).reshape(5, 4, 3)) as probe:
        [name] = [layer.name for layer in probe.layers]
        assert activations(probe, [name]).rows[name].shape == (5, 4, 3)


@pytest.mark.parametrize(
    ("layers", "weights", "message"),
    [(["nine"], {}, "layers: .*nine"), ([], {"nine": 1}, "weights: .*nine"), ([], {"0": 1}, r"weights: 0 has shape")],
)
def test_names_and_shapes_are_checked(layers, weights, message):
    net = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 2))
    with Probe(net, torch.ones(5, 3)) as probe, pytest.raises(InputError, match=message):
        activations(probe, layers, {name: torch.ones(7, 7) for name in weights})
