"""A network's matrices, carried into random features."""

import pickle

import numpy as np
import pytest
import torch
from helpers import gaussian
from rfm.bare import PlainClassifier
from sklearn.base import clone
from torch import nn

import nfa
from nfa.common import InputError
from nfa.rfm import DeepRFM, DeepRFMClassifier, DeepRFMRegressor
from nfa.rfm.deep.feature_maps import unit_rows
from nfa.rfm.deep.transport import carried

X, NEW = gaussian(60, 6), gaussian(11, 6, seed=2)
LABELS = X[:, :3].abs().argmax(1)


def seeded(net, X=X, y=LABELS, **options):
    return DeepRFM.from_network(net, X, y, transport="random", **options)


@pytest.fixture
def net():
    return nfa.MLP(6, [8, 5], n_outputs=3, bias=True).double()


def rows_of(net):
    found = [X]
    for layer in net.layers[:-1]:
        found.append(torch.relu(layer(found[-1])).detach())
    return found


@pytest.mark.parametrize("feature_map", ["relu", "laplace"])
def test_each_layer_starts_at_the_networks_matrix_in_its_own_coordinates(net, feature_map):
    model = seeded(net, features="nfm", feature_map=feature_map, width=[30, 20])
    assert isinstance(model, DeepRFMClassifier)
    x = unit_rows(X)
    for number, (layer, h) in enumerate(zip(net.layers, rows_of(net), strict=True)):
        TR, share = carried(layer.weight.detach().T, h, x, 1e-3)
        M = (TR @ TR.T).numpy()
        np.testing.assert_allclose(model.layers_[number].M, M, atol=1e-9 * np.abs(M).max())
        assert model.carried_["share"][number] == pytest.approx(share, abs=1e-9)
        assert model.carried_["name"][number] == f"layers.{number}"
        if number < 2:
            x = model.layers_[number].mapped(x)
    last = PlainClassifier(n_iters=0, M_init=M).fit(x, LABELS)
    np.testing.assert_allclose(model.outputs(X), last.outputs(x), atol=1e-6)


def test_fitting_again_starts_from_the_same(net):
    model = seeded(net, power=0.5, n_iters=1)
    again = clone(model).fit(X, LABELS)
    np.testing.assert_array_equal(again.decision_function(NEW), model.decision_function(NEW))
    np.testing.assert_array_equal(seeded(net, power=0.5, n_iters=1).predict(NEW), model.predict(NEW))
    other = seeded(net, power=0.5, n_iters=1, random_state=1)
    assert not np.allclose(other.decision_function(NEW), model.decision_function(NEW))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(NEW), model.predict(NEW))
    assert model.get_params()["n_iters"] == 1


def test_what_is_said_of_the_networks_rows_does_not_outlive_them(net):
    model = seeded(net, n_iters=1)
    assert len(model.carried_) == 3
    model.fit(NEW, LABELS[: len(NEW)])
    assert not hasattr(model, "carried_")
    assert not hasattr(model, "notes_")


def test_updates_start_from_the_seed(net):
    one, plain = seeded(net, n_iters=1, width=[30, 20]), seeded(net, width=[30, 20])
    assert len(one.layers_[0].history) == 2
    seed = plain.layers_[0].M
    alone = PlainClassifier(n_iters=1, M_init=seed).fit(unit_rows(X), LABELS)
    np.testing.assert_allclose(one.layers_[0].M, alone.M_, atol=1e-9)


def test_on_rows_of_norm_1_the_first_matrix_is_the_networks(net):
    rows = unit_rows(X)
    M = seeded(net, X=rows, features="nfm", transport_ridge=0.0).layers_[0].M
    W = net.layers[0].weight.detach()
    np.testing.assert_allclose(M, W.T @ W, atol=1e-12)


def test_widths_are_the_networks_and_numbers_have_a_regressor(net):
    model = seeded(net, y=X[:, :2])
    assert isinstance(model, DeepRFMRegressor)
    assert (model.depth, model.width) == (3, [8, 5])
    assert model.predict(NEW).shape == (11, 2)
    assert set(model.collapse_["note"][:8]) == {"real targets have no classes"}
    with pytest.raises(InputError, match="y: asks for a DeepRFMRegressor, not a DeepRFMClassifier"):
        DeepRFMClassifier.from_network(net, X, X[:, :2], transport="random")


def test_layers_wider_than_there_are_rows():
    model = seeded(nfa.MLP(6, [80], n_outputs=3).double(), features="nfm")
    assert model.notes_ == ["Layer layers.1 takes 80 entries, but there are 60 samples."]
    assert model.layers_[1].M.shape == (80, 80)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        h = torch.tanh(self.first(x))
        return self.last(h + torch.relu(self.inner(h)))


class Past(nn.Module):
    """Its output sees its inputs past the last layer."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 6)

    def forward(self, x):
        return x + self.last(torch.relu(self.first(x)))


def test_only_plain_chains():
    for kind, message in [
        (Residual, r"net: layer last depends on more than layer inner \(a residual connection\?\); transport='random'"),
        (Past, r"net: the output depends on more than layer last \(a residual connection\?\)"),
    ]:
        with pytest.raises(InputError, match=message):
            seeded(kind().double())
    chain = nn.Sequential(nn.Linear(6, 9), nn.BatchNorm1d(9), nn.GELU(), nn.LayerNorm(9), nn.Dropout(), nn.Linear(9, 3))
    assert seeded(chain.double()).depth == 2
    positions = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), nn.Flatten()).double()
    with pytest.raises(InputError, match="net: layer 2 has several rows for each sample; transport='random' takes one"):
        seeded(positions, X=X.reshape(60, 2, 3))


def test_other_refusals(net):
    with pytest.raises(InputError, match="head: 'network' cannot take random features; expected 'kernel'"):
        seeded(net, head="network")
    with pytest.raises(InputError, match="transport_ridge: got -1, expected a number of at least 0"):
        seeded(net, transport_ridge=-1)
    with pytest.raises(InputError, match="feature_map: 'fourier' is unknown"):
        seeded(net, feature_map="fourier")
    with pytest.raises(InputError, match="width: got 0"):
        seeded(net, width=0)
    with pytest.raises(InputError, match="net: it has no hidden layer"):
        seeded(nn.Linear(6, 3).double())
    with pytest.raises(InputError, match=r"data: 4 features reach layer layers\.0, which takes 6"):
        seeded(net, X=X[:, :4])
    with torch.no_grad():
        net.layers[1].bias.fill_(-1e3)
    message = r"net: layer layers.2 sees the same for every sample \(a dead layer\); no M can be carried"
    with pytest.raises(InputError, match=message):
        seeded(net, features="nfm")
    with pytest.raises(InputError, match=r"features: the AGOP of layer layers.0 is 0 on X \(a dead layer\)"):
        seeded(net)
