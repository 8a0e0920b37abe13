"""The network: architecture and initialisation."""

import math

import pytest
import torch
from reference import ACTIVATIONS

from nfa import MLP, InputError
from nfa.network.mlp import ACTIVATIONS as OWN


def test_activations_are_those_of_the_contract():
    assert set(OWN) == set(ACTIVATIONS)
    z = torch.linspace(-3, 3, 50)
    for name, function in ACTIVATIONS.items():
        torch.testing.assert_close(OWN[name](z), function(z))


def test_shapes_and_biases():
    net = MLP(5, [7, 3], n_outputs=2, bias=True)
    assert [tuple(p.shape) for p in net.parameters()] == [(7, 5), (7,), (3, 7), (3,), (2, 3), (2,)]
    assert [tuple(p.shape) for p in MLP(5, 4, 0, 2).parameters()] == [(2, 5)]
    assert net(torch.zeros(4, 5)).shape == (4, 2)
    assert MLP(6, 4, 1)(torch.zeros(3, 2, 3)).shape == (3, 1)


def test_default_init_is_torch_s():
    net = MLP(400, 300, 1, 10, bias=True)
    for layer in net.layers:
        bound = 1 / math.sqrt(layer.in_features)
        for p in (layer.weight.detach(), layer.bias.detach()):
            assert float(p.abs().max()) <= bound
        assert float(layer.weight.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_the_seed_decides_and_the_global_state_does_not():
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    one = MLP(5, 4, 2, 2, seed=7)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(2)
    other, different = MLP(5, 4, 2, 2, seed=7), MLP(5, 4, 2, 2, seed=8)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert not torch.equal(one.layers[0].weight, different.layers[0].weight)


def test_factor_and_first_normal():
    plain, small = MLP(50, 40, 2, 2), MLP(50, 40, 2, 2, init="factor:0.1")
    for a, b in zip(plain.parameters(), small.parameters(), strict=True):
        torch.testing.assert_close(0.1 * a, b)
    first = MLP(500, 400, 2, 2, init="first-normal:0.01")
    assert float(first.layers[0].weight.detach().std()) == pytest.approx(0.01, rel=0.02)
    assert float(first.layers[1].weight.detach().abs().max()) <= 1 / math.sqrt(400)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("did you mean 'leaky_relu'", lambda: MLP(5, activation="leaky-relu")),
        ("init: got 'factor:1_0'", lambda: MLP(5, init="factor:1_0")),
        ("init: got 'factor:999", lambda: MLP(5, init="factor:" + "9" * 400)),
        ("init: got 'factor:x'", lambda: MLP(5, init="factor:x")),
        ("init: got 'factor:-1'", lambda: MLP(5, init="factor:-1")),
        ("did you mean 'factor'", lambda: MLP(5, init="faktor:1")),
        ("width: got 0", lambda: MLP(5, 0)),
        ("d: got 0", lambda: MLP(0)),
        ("depth: got 3, but 2 widths", lambda: MLP(5, [4, 4], 3)),
        ("depth: got -1", lambda: MLP(5, 4, -1)),
    ],
)
def test_bad_arguments(message, call):
    with pytest.raises(InputError, match=message):
        call()
