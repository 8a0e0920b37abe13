"""Level and power: what the null says of networks that know nothing, and the verdicts on networks that have learned."""

import copy
import math

import numpy as np
import pytest
import torch
from helpers import gaussian
from untrained import untrained

import nfa
from nfa.data import Scaling
from nfa.features.alignment import alignment
from nfa.features.measuring import measure
from nfa.features.polar import random_directions
from nfa.features.weight import Weight
from nfa.probe import Probe


def z_of(net, X, outputs="logits"):
    """z of every layer that has something to align."""
    with Probe(net, X, outputs) as probe:
        found = [alignment(Weight(each.layer.weight).C, each.S) for each in measure(probe, probe.layers, grouped=False)]
    return [each.z for each in found if not each.undefined]


def assert_level(z, mean, deviations):
    z = np.array(z)
    assert abs(z.mean()) <= mean
    assert deviations[0] <= z.std() <= deviations[1]
    often = 0.025
    assert (z > 1.96).mean() <= often + 2 * math.sqrt(often * (1 - often) / len(z))


def test_untrained_networks_are_at_the_null():
    """A small share of the next test's networks; its bounds are wider by the errors of so few layers."""
    z = [each for seed in range(30) for each in z_of(*untrained(seed, widths=(16, 32, 64)))]
    assert len(z) > 100
    assert_level(z, 3 / math.sqrt(len(z)), (0.8, 1.2))


@pytest.mark.slow
def test_400_layers_of_untrained_networks_are_at_the_null():
    z = [each for seed in range(100) for each in z_of(*untrained(seed))]
    assert len(z) >= 400
    assert_level(z, 0.15, (0.9, 1.1))


@pytest.fixture(scope="module")
def digits():
    data = nfa.load_data("digits").divide(test=0.2, seed=0)
    return data.scaled(Scaling.fit("max", data.part("train").X))


def trained(digits, init, seed, width=128, depth=3, epochs=20):
    net = nfa.MLP(64, width, depth, 10, init=init, seed=seed)
    return nfa.train(net, digits, epochs=epochs, batch_size=64, seed=seed)


@pytest.fixture(scope="module")
def small_init(digits):
    return trained(digits, "factor:0.1", 0)


def test_a_trained_network_with_S_turned_is_at_the_null(digits, small_init):
    """The network is left as it is; S is turned in its place."""
    audit = nfa.audit(small_init.net, digits, small_init.init)
    generator = torch.Generator().manual_seed(0)
    for layer in audit.layers[:3]:
        C = Weight(layer.weight).C
        z = []
        for _ in range(200):
            O = random_directions(len(C), len(C), generator)  # noqa: E741
            z.append(alignment(C, O @ layer.S @ O.T).z)
        assert abs(np.mean(z)) <= 3.5 / math.sqrt(len(z))
        assert 0.8 <= np.std(z) <= 1.2
        assert layer["alignment_z"] > max(z)


@pytest.mark.parametrize("init", ["factor:0.1", "default"])
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3, 4))])
def test_hidden_layers_of_networks_that_learn_digits_have_learned(digits, small_init, init, seed):
    done = small_init if (init, seed) == ("factor:0.1", 0) else trained(digits, init, seed)
    audit = nfa.audit(done.net, digits, done.init)
    assert [layer["verdict"] for layer in audit] == ["learned"] * 3 + ["trivial"]
    # Without init the same layers are aligned, and no more is said.
    blind = nfa.audit(done.net, digits)
    assert [layer["verdict"] for layer in blind] == ["aligned"] * 3 + ["trivial"]
    # Untrained, they are nothing.
    before = nfa.audit(done.init, digits, copy.deepcopy(done.init))
    assert [layer["verdict"] for layer in before] == ["unclear"] * 3 + ["trivial"]


@pytest.mark.parametrize("target", ["step", "square", "ramp"])
def test_targets_of_a_single_direction_are_learned(target):
    X = gaussian(600, 20, dtype=torch.float32)
    along = X[:, 0]
    y = {"step": (along > 0).long(), "square": along**2 - 1, "ramp": along.relu()}[target]
    data = nfa.Dataset(X.numpy(), y.numpy(), class_names=("below", "above") if target == "step" else None)
    net = nfa.MLP(20, 64, 2, 2 if target == "step" else 1, init="factor:0.5", seed=1)
    loss = "cross_entropy" if target == "step" else "mse"
    done = nfa.train(net, data.divide(test=0.3, seed=0), loss=loss, epochs=30, batch_size=32)
    audit = nfa.audit(done.net, data.divide(test=0.3, seed=0), done.init)
    assert [layer["verdict"] for layer in audit] == ["learned", "learned", "trivial"]


@pytest.mark.parametrize("width", [32, pytest.param(128, marks=pytest.mark.slow)])
def test_random_layers_under_a_trained_head_have_never_learned(digits, width):
    net = nfa.MLP(64, width, 2, 10, seed=3)
    init = [layer.weight.detach().clone() for layer in net.layers]
    before = nfa.MLP(64, width, 2, 10, seed=3)
    train = digits.part("train")
    X, y = torch.from_numpy(train.X), torch.from_numpy(train.y)
    head = net.layers[-1]
    optimizer = torch.optim.Adam(head.parameters(), 0.01)
    for _ in range(300):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(X), y).backward()
        optimizer.step()
    audit = nfa.audit(net, digits, before)
    assert audit.score.value > 0.7
    assert all(torch.equal(layer.weight, was) for layer, was in zip(net.layers[:-1], init, strict=False))
    assert [layer["verdict"] for layer in audit] == ["kept", "kept", "trivial"]
    for layer in nfa.audit(net, digits).layers[:2]:
        assert layer["verdict"] in ("aligned", "unclear")


def test_a_collapsed_network_is_unclear_whatever_its_cosine():
    """Full of weight decay, it predicts the mean; its similarities are as high as they get."""
    X = gaussian(300, 10, dtype=torch.float32).numpy()
    y = (X[:, 0] + 0.1 * X[:, 1] > 0).astype("int64")
    data = nfa.Dataset(X, y, class_names=("a", "b")).divide(test=0.3)
    done = nfa.train(nfa.MLP(10, 16, 2, 2), data, epochs=60, weight_decay=1.0, optimizer="adam")
    audit = nfa.audit(done.net, data, done.init)
    assert {layer["verdict"] for layer in audit} <= {"unclear", "trivial", "dead"}
    assert audit[0]["verdict"] != "learned"


def test_deep_linear_networks_are_trivial_and_their_ansatz_is_exact_at_rest():
    X = gaussian(80, 4)
    data = nfa.Dataset(X.numpy(), (X @ gaussian(4, 2, seed=3)).numpy())
    net = nfa.MLP(4, 5, 2, 2, activation="identity").double()
    done = nfa.train(net, data, loss="mse", optimizer="sgd", lr=0.2, epochs=700, batch_size=80, weight_decay=0.1)
    audit = nfa.audit(done.net, data, done.init)
    assert [layer["verdict"] for layer in audit] == ["trivial"] * 3
    for layer in audit:
        assert layer["cosine_alpha_linear"] == pytest.approx(1, abs=1e-5)
