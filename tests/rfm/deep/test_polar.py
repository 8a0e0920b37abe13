"""A network with weights made from feature matrices."""

import copy
import pickle

import numpy as np
import pytest
import torch
from helpers import gaussian
from rfm.bare import PlainClassifier, PlainRegressor
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import nfa
from nfa.common import InputError
from nfa.rfm import DeepRFM, DeepRFMClassifier, RFMClassifier
from nfa.rfm.deep import PolarRFM
from nfa.rfm.deep.collapse import neural_collapse

X, NEW = gaussian(60, 6), gaussian(11, 6, seed=2)
LABELS = X[:, :3].abs().argmax(1)


class Residual(nn.Module):
    """No plain chain."""

    def __init__(self):
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        h = torch.tanh(self.first(x))
        return self.last(h + torch.relu(self.inner(h)))


def deficient():
    net = nfa.MLP(6, [8, 7], n_outputs=3, bias=True)
    with torch.no_grad():
        net.layers[0].weight[:, 2:] = 0
        net.layers[1].weight.copy_(torch.outer(net.layers[1].weight[:, 0], net.layers[1].weight[0]))
    return net


def with_batch_norm():
    net = nn.Sequential(
        nn.Linear(6, 9),
        nn.BatchNorm1d(9),
        nn.GELU(),
        nn.Dropout(),
        nn.Linear(9, 5, bias=False),
        nn.Tanh(),
        nn.Linear(5, 3),
    )
    net(gaussian(50, 6, dtype=torch.float32) * 3 + 1)  # statistics that are not 0 and 1
    return net


NETS = {
    "biases": lambda: nfa.MLP(6, [8, 7], n_outputs=3, bias=True),
    "no biases, narrow then wide": lambda: nfa.MLP(6, [3, 20], n_outputs=3, bias=False),
    "batch norm and dropout": with_batch_norm,
    "rank-deficient": deficient,
    "residual": Residual,
    "weight norm": lambda: nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Linear(6, 8)), nn.ReLU(), nn.Linear(8, 3)
    ),
}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("kind", NETS)
def test_the_nfm_gives_the_network_back(kind, dtype, tolerance):
    torch.manual_seed(0)
    net = NETS[kind]().to(dtype)
    before = copy.deepcopy(net.state_dict())
    model = DeepRFM.from_network(net, X.to(dtype), LABELS, features="nfm")
    assert isinstance(model, PolarRFM)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    net.eval()
    for rows in (X.to(dtype), NEW.to(dtype)):
        expected = net(rows).detach()
        np.testing.assert_allclose(model.outputs(rows), expected, rtol=0, atol=tolerance * float(expected.abs().max()))
        np.testing.assert_array_equal(model.predict(rows), expected.argmax(1))
    for layer, found in zip([m for m in net.modules() if isinstance(m, nn.Linear)], model.layers_, strict=True):
        W = layer.weight.detach().double()
        np.testing.assert_allclose(found.M, W.T @ W, rtol=0, atol=1e-10 if dtype == torch.float64 else 1e-5)


def agop_by_hand(net, X, number):
    """Dense, by automatic differentiation through the layers after this one."""
    layers = list(net.layers)

    def rest(h):
        for layer in layers[number:-1]:
            h = torch.relu(layer(h))
        return layers[-1](h)

    h = X
    for layer in layers[:number]:
        h = torch.relu(layer(h))
    J = torch.vmap(torch.func.jacrev(rest))(h)
    return torch.einsum("ncd,nce->de", J, J).detach() / len(X)


def root(M, alpha):
    values, V = torch.linalg.eigh(M)
    values = torch.where(values > 1e-12 * values[-1], values, 0.0)
    return (V * torch.where(values > 0, values**alpha, 0.0)) @ V.T


def test_weights_are_polar_factors_times_roots_of_the_agop():
    net, alpha = nfa.MLP(6, [4, 5], n_outputs=3).double(), 0.7
    model = DeepRFM.from_network(net, X, LABELS, power=alpha)
    copied = copy.deepcopy(net)
    for number in range(2):
        W = net.layers[number].weight.detach()
        M = root(agop_by_hand(net, X, number), alpha)
        M *= (W.T @ W).norm() / M.norm()
        half = root(M, 0.5)
        P, s, Qt = torch.linalg.svd(W @ half, full_matrices=False)
        kept = s > 1e-10 * s[0]
        expected = P[:, kept] @ Qt[kept] @ half
        np.testing.assert_allclose(model.layers_[number].M, M, atol=1e-9)
        np.testing.assert_allclose(model.layers_[number].weight, expected, atol=1e-8)
        copied.layers[number].weight.data.copy_(expected)
    np.testing.assert_allclose(model.outputs(NEW), copied(NEW).detach(), atol=1e-7)
    assert torch.equal(model.layers_[-1].weight, net.layers[-1].weight)


def test_an_audit_saves_measuring():
    net = nfa.MLP(6, [8, 5], n_outputs=3).double()
    one = DeepRFM.from_network(net, X, LABELS, audit=nfa.audit(net, X))
    np.testing.assert_allclose(one.outputs(NEW), DeepRFM.from_network(net, X, LABELS).outputs(NEW), atol=1e-9)
    part = nfa.audit(net, X, layers="layers.[01]")
    with pytest.raises(InputError, match=r"audit: it has no layer 'layers.2', which the network has"):
        DeepRFM.from_network(net, X, LABELS, audit=part)
    for other, message in [
        (nfa.MLP(6, [8, 4], n_outputs=3), r"audit: layer 'layers.1' has another weight than the network's"),
        (nfa.MLP(6, [8, 5], n_outputs=3, seed=3), r"audit: layer 'layers.0' has another weight than the network's"),
    ]:
        with pytest.raises(InputError, match=message):
            DeepRFM.from_network(net, X, LABELS, audit=nfa.audit(other.double(), X))


def test_a_kernel_head_is_a_machine_on_the_last_rows():
    net = nfa.MLP(6, [8, 5], n_outputs=3).double()
    model = DeepRFM.from_network(net, X, LABELS, features="nfm", head="kernel", ridge=0.1)
    hidden = torch.relu(net.layers[1](torch.relu(net.layers[0](X)))).detach()
    new = torch.relu(net.layers[1](torch.relu(net.layers[0](NEW)))).detach()
    W = net.layers[2].weight.detach()
    alone = PlainClassifier(n_iters=0, ridge=0.1, M_init=W.T @ W).fit(hidden, LABELS)
    np.testing.assert_allclose(model.outputs(NEW), alone.outputs(new), atol=1e-6)
    np.testing.assert_array_equal(model.predict(NEW), alone.predict(new))
    assert isinstance(model.head_, RFMClassifier)


@pytest.mark.parametrize("head", ["network", "kernel"])
def test_updates_refine_each_layer_on_its_own_rows(head):
    net = nfa.MLP(6, [8, 5], n_outputs=2, bias=True).double()
    Y = X[:, :2] ** 2
    model = DeepRFM.from_network(net, X, Y, features="nfm", head=head, n_iters=2, ridge=0.1)
    h = X
    for number, layer in enumerate(net.layers[:-1]):
        W = layer.weight.detach()
        alone = PlainRegressor(n_iters=2, ridge=0.1, M_init=W.T @ W).fit(h, Y)
        M = alone.M_ * float((W.T @ W).norm()) / np.linalg.norm(alone.M_)
        np.testing.assert_allclose(model.layers_[number].M, M, atol=1e-5)
        h = torch.relu(h @ model.layers_[number].weight.T + layer.bias).detach()
    W = net.layers[-1].weight.detach()
    if head == "network":
        np.testing.assert_allclose(model.outputs(X), net.layers[-1](h).detach(), atol=1e-9)
        np.testing.assert_allclose(model.layers_[-1].M, W.T @ W, atol=1e-12)
    else:
        alone = PlainRegressor(n_iters=2, ridge=0.1, M_init=W.T @ W).fit(h, Y)
        np.testing.assert_allclose(model.predict(X), alone.predict(h), atol=1e-6)


@pytest.mark.parametrize("head", ["network", "kernel"])
def test_predictions_depend_on_the_row_alone_and_survive_pickling_and_training(head):
    net = nfa.MLP(6, [8, 5], n_outputs=3).double()
    model = DeepRFM.from_network(net, X, LABELS, head=head, power=0.5)
    found = model.outputs(NEW)
    np.testing.assert_allclose(np.concatenate([model.outputs(row[None]) for row in NEW]), found, rtol=1e-9, atol=1e-11)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).outputs(NEW), found)
    again = DeepRFM.from_network(net, X, LABELS, head=head, power=0.5)
    np.testing.assert_array_equal(again.outputs(NEW), found)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1)
    np.testing.assert_array_equal(model.outputs(NEW), found)


def test_the_collapse_table_is_that_of_the_rows():
    net = nfa.MLP(6, [8, 5], n_outputs=3).double()
    table = DeepRFM.from_network(net, X, LABELS, features="nfm").collapse_
    rows = [X, torch.relu(net.layers[0](X)).detach()]
    rows.append(torch.relu(net.layers[1](rows[1])).detach())
    for number, h in enumerate(rows):
        W = net.layers[number].weight.detach()
        places = [h, h @ root(W.T @ W, 0.5), *rows[number + 1 : number + 2]]
        for at, values in enumerate(places):
            expected = neural_collapse(values, LABELS)
            assert table["nc1"][3 * number + at] == pytest.approx(expected.nc1, rel=1e-8)
            assert table["nc2"][3 * number + at] == pytest.approx(expected.nc2, rel=1e-8)
    assert np.isnan(table["nc1"][8])
    assert table["note"][8] == "the last machine's rows are mapped no further"


def test_labels_are_the_networks():
    net = nfa.MLP(6, [8], n_outputs=3).double()
    names = np.array(["a", "b", "c"])
    model = DeepRFM.from_network(net, X, names[LABELS], features="nfm")
    expected = net(X).argmax(1)
    np.testing.assert_array_equal(model.predict(X), names[expected])
    assert model.score(X, names[LABELS]) == pytest.approx(float((expected == LABELS).double().mean()))
    one_hot = DeepRFM.from_network(net, X, nn.functional.one_hot(LABELS).double(), features="nfm")
    np.testing.assert_array_equal(one_hot.predict(X), expected)
    assert one_hot.score(X, nn.functional.one_hot(LABELS).double()) == pytest.approx(model.score(X, names[LABELS]))


def test_y_may_have_other_classes_than_the_network():
    net = nfa.MLP(6, [8], n_outputs=5).double()
    for head, classes in [("network", [0, 1, 2, 3, 4]), ("kernel", [0, 1, 2])]:
        model = DeepRFM.from_network(net, X, LABELS, head=head)
        assert model.classes_.tolist() == classes
        assert model.notes_ == ["y has the classes 0, 1, 2, unlike the network's outputs 0, 1, 2, 3, 4."]


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_one_output_tells_two_classes_apart(threshold):
    net = nfa.MLP(6, [8], n_outputs=1).double()
    truth = (net(X)[:, 0] > threshold).long()
    model = DeepRFM.from_network(net, X, truth, features="nfm")
    assert model.score(X, truth) == 1.0


def test_numbers_are_predicted_with_the_networks_outputs():
    net = nfa.MLP(6, [8], n_outputs=1).double()
    model = DeepRFM.from_network(net, X, X[:, 0], features="nfm")
    assert model.classes_ is None
    np.testing.assert_allclose(model.predict(X), net(X)[:, 0].detach(), atol=1e-9)
    assert model.score(X, net(X)[:, 0].detach()) == pytest.approx(1.0)
    assert model.collapse_["nc1"].isna().all()


def test_a_sequence_has_several_rows_for_each_sample():
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), nn.Flatten()).double()
    model = DeepRFM.from_network(net, X.reshape(60, 2, 3), LABELS, features="nfm")
    np.testing.assert_allclose(model.outputs(X.reshape(60, 2, 3)), net(X.reshape(60, 2, 3)).detach(), atol=1e-10)
    assert set(model.collapse_["note"][:5]) == {"several rows for each sample"}
    with pytest.raises(InputError, match="net: layer 2 has 2 rows for each sample; a kernel machine takes one"):
        DeepRFM.from_network(net, X.reshape(60, 2, 3), LABELS, head="kernel")


def test_few_rows_and_dead_layers_are_named():
    net = nfa.MLP(6, [80], n_outputs=3).double()
    assert DeepRFM.from_network(net, X, LABELS, features="nfm").notes_ == [
        "Layer layers.1 takes 80 entries, but there are 60 samples."
    ]
    dead = nfa.MLP(6, [8, 5], n_outputs=3, bias=True).double()
    with torch.no_grad():
        dead.layers[1].bias.fill_(-1e3)
    with pytest.raises(InputError, match=r"features: the AGOP of layer layers.0 is 0 on X \(a dead layer\)"):
        DeepRFM.from_network(dead, X, LABELS)
    model = DeepRFM.from_network(dead, X, LABELS, features="nfm")
    np.testing.assert_allclose(model.outputs(X), dead(X).detach(), atol=1e-10)
    assert model.notes_ == ["Layer layers.2 sees the same for every sample: what comes before it is dead on X."]
    assert "all classes have the same mean" in set(model.collapse_["note"])


class Uncopied(nfa.MLP):
    def __init__(self):
        super().__init__(6, [8], n_outputs=3)

    def __deepcopy__(self, memo):
        raise TypeError("no copies")


NET = nfa.MLP(6, [8], n_outputs=3).double()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"transport": "polr"}, "transport: 'polr' is unknown; did you mean 'polar'"),
        ({"head": "kernl"}, "head: 'kernl' is unknown; did you mean 'kernel'"),
        ({"features": "agp"}, "features: 'agp' is unknown; did you mean 'agop'"),
        ({"power": 0}, "power: got 0, expected a number above 0"),
        ({"n_iters": -1}, "n_iters: got -1, expected a whole number of at least 0"),
        ({"width": 5}, "width: only for transport='random'; 'polar' keeps the network's own"),
        ({"feature_map": "relu"}, "feature_map: only for transport='random'"),
        ({"M_init": None}, "M_init: comes from the network"),
        ({"depth": 2}, "depth: comes from the network"),
        ({"n_iter": 2}, "parameters: 'n_iter' is unknown; did you mean 'n_iters'"),
        ({"X": DataLoader(TensorDataset(X))}, "X: got DataLoader, expected an array, a tensor or a table"),
        ({"net": Uncopied().double()}, "net: it cannot be copied: no copies"),
        ({"net": nn.Linear(6, 3)}, "net: it has no hidden layer"),
        ({"X": X[:, :4]}, "data: 4 features reach layer layers.0, which takes 6"),
        ({"y": LABELS[:-1]}, "y: 59 targets, but X has 60 rows"),
        ({"head": "kernel", "ridge": -1}, "ridge: got -1"),
    ],
)
def test_refusals(options, message):
    given = {"net": NET, "X": X, "y": LABELS} | options
    with pytest.raises(InputError, match=message):
        DeepRFM.from_network(given.pop("net"), given.pop("X"), given.pop("y"), **given)


def test_the_subclasses_make_it_too():
    assert isinstance(DeepRFMClassifier.from_network(NET, X, LABELS), PolarRFM)
    assert repr(DeepRFM.from_network(NET, X, LABELS)) == "PolarRFM(MLP, 2 layers, head: its own)"
