"""Other feature matrices in a network's layers, against dense ones put there by hand."""

import copy
import math

import numpy as np
import pytest
import torch
from helpers import gaussian, perturbed
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import gradient_outer_product, jacobians
from scipy import linalg
from sklearn.metrics import accuracy_score, r2_score
from torch import nn

import nfa
from nfa.common import InputError
from nfa.features.polar import Polar
from nfa.probe import Probe, activations

NUMBERS = ["score", "above_projector", "same_predictions", "output_r2"]


def dense_power(M, alpha):
    values, vectors = np.linalg.eigh(M)
    kept = values > 1e-11 * values[-1]
    return (vectors[:, kept] * values[kept] ** alpha) @ vectors[:, kept].T


def dense_weight(W, M):
    """U_M (M at the NFM's norm)^(1/2) by dense roots and scipy's svd."""
    M = M * np.linalg.norm(W.T @ W) / np.linalg.norm(M)
    half = dense_power(M, 0.5)
    A, t, Bt = linalg.svd(W @ half, full_matrices=False)
    kept = t > 1e-9 * t[0]
    return A[:, kept] @ Bt[kept] @ half


def with_weights(net, weights):
    changed = copy.deepcopy(net)
    for number, W in weights.items():
        with torch.no_grad():
            changed.layers[number].weight.copy_(torch.from_numpy(W))
    return changed


def by_hand(net, init, X, alphas):
    """(layers' numbers, matrix, alpha) -> outputs of the network with these weights; the head stays."""
    found = jacobians(net, X)[:-1]
    made = {}
    for number, (W, J) in enumerate(found):
        W0 = init.layers[number].weight.detach().double().numpy()
        project = linalg.pinv(W) @ W
        A = gradient_outer_product(J)
        made[number] = {("agop", alpha): dense_weight(W, dense_power(A, alpha)) for alpha in alphas}
        made[number]["projector", None] = dense_weight(W, project)
        made[number]["init", None] = dense_weight(W, project @ W0.T @ W0 @ project)
    outputs = {}
    for kind in made[0]:
        for numbers in [(n,) for n in made] + [tuple(made)]:
            outputs[(numbers, *kind)] = with_weights(net, {n: made[n][kind] for n in numbers})(X).detach().numpy()
    return outputs


def table(found, **chosen):
    frame = found.to_frame()
    for column, value in chosen.items():
        frame = frame[frame[column] == value]
    return frame


@pytest.mark.parametrize("targets", ["real", "classes"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_every_number_equals_the_dense_one(activation, targets):
    net = nfa.MLP(6, [8, 5], n_outputs=3, activation=activation).double()
    init, X = perturbed(net), gaussian(60, 6)
    y = gaussian(60, 3, 4) if targets == "real" else torch.randint(3, (60,), generator=torch.Generator().manual_seed(2))
    alphas = [0.3, 0.5, 1.0]
    found = nfa.substitute(net, (X, y), init=init, alpha=alphas, draws=1)
    own = net(X).detach().numpy()

    def scored(f):
        return (
            r2_score(y.numpy(), f, multioutput="variance_weighted")
            if targets == "real"
            else accuracy_score(y.numpy(), f.argmax(1))
        )

    names = {(0,): "layers.0", (1,): "layers.1", (0, 1): "all"}
    expected = by_hand(net, init, X, alphas)
    assert len(table(found, matrix="agop")) == 3 * 3 + 3  # the head's have no numbers
    for (numbers, matrix, alpha), f in expected.items():
        rows = table(found, name=names[numbers], matrix=matrix)
        row = (rows if alpha is None else rows[rows["alpha"] == alpha]).squeeze()
        assert row["layers"] == len(numbers)
        assert row["score"] == pytest.approx(scored(f), abs=1e-6)  # scores are taken of float32 outputs
        floor = scored(expected[(numbers, "projector", None)])
        assert row["above_projector"] == pytest.approx(scored(f) - floor, abs=2e-6)
        assert row["score_before"] == pytest.approx(scored(own), abs=1e-6)
        assert row["output_r2"] == pytest.approx(r2_score(own, f, multioutput="variance_weighted"), abs=1e-8)
        if targets == "real":
            assert math.isnan(row["same_predictions"])
        else:
            assert row["same_predictions"] == pytest.approx(accuracy_score(own.argmax(1), f.argmax(1)))


class Deep(nn.Module):
    """Biases, batch norm, dropout, a weight of low rank, one without a bias."""

    def __init__(self, dtype=torch.float64):
        super().__init__()
        self.first = nn.Linear(6, 9)
        self.norm = nn.BatchNorm1d(9)
        self.drop = nn.Dropout()
        self.low = nn.Linear(9, 7)
        self.last = nn.Linear(7, 4, bias=False)
        self.to(dtype)
        with torch.no_grad():
            self.low.weight.copy_(gaussian(7, 3, 3) @ gaussian(3, 9, 4) / 5)
            self.norm.running_mean.copy_(gaussian(9, 1)[:, 0])
            self.norm.running_var.copy_(gaussian(9, 1, 2)[:, 0].exp())

    def forward(self, x):
        h = self.drop(torch.relu(self.norm(self.first(x))))
        return self.last(torch.tanh(self.low(h)))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_the_nfm_gives_the_outputs_back(dtype, tolerance):
    net, X = Deep(dtype), gaussian(50, 6, dtype=dtype)
    with Probe(net, X) as probe:
        assert [Polar(layer.weight).rank for layer in probe.layers] == [6, 3, 4]
        polars = {layer.name: Polar(layer.weight) for layer in probe.layers}
        weights = {name: polar.weight(polar.nfm) for name, polar in polars.items()}
        own, again = activations(probe).outputs, activations(probe, (), weights).outputs
    assert (own - again).abs().max() <= tolerance * own.abs().max()
    rows = table(nfa.substitute(net, X, alpha=1.0, draws=1), matrix="nfm")
    assert (rows["output_r2"].dropna() >= 1 - tolerance**1.5).all()
    assert rows["name"].tolist() == ["first", "low", "last", "all"]


class Absolute(nn.Module):
    """f = c R |Wx + b| with R orthogonal: delta = c R diag(+-1) changes from row to row, and AGOP = c^2 W'W."""

    def __init__(self, dtype):
        super().__init__()
        self.inner, self.outer = nn.Linear(7, 5), nn.Linear(5, 5)
        self.to(dtype)
        with torch.no_grad():
            self.inner.weight.copy_(gaussian(5, 4, 1) @ gaussian(4, 7, 2))
            self.outer.weight.copy_(0.1 * torch.linalg.qr(gaussian(5, 5, 3)).Q)

    def forward(self, x):
        return self.outer(self.inner(x).abs())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_where_the_ansatz_holds_exactly_the_agop_gives_the_outputs_back(dtype, tolerance):
    net, X = Absolute(dtype), gaussian(200, 7, dtype=dtype)
    found = nfa.substitute(net, X, alpha=[0.5, 1.0], draws=1)
    assert table(found, name="inner", alpha=1.0)["output_r2"].item() >= 1 - tolerance
    assert table(found, name="inner", alpha=0.5)["output_r2"].item() < 0.95
    assert table(found, name="inner", matrix="projector")["output_r2"].item() < 0.9
    with Probe(net, X) as probe:
        polar = Polar(net.inner.weight)
        W = polar.weight(polar.agop(nfa.audit(net, X)["inner"].S).scaled(polar.nfm.size))
        own, again = activations(probe).outputs, activations(probe, (), {"inner": W}).outputs
    assert (own - again).abs().max() <= tolerance * own.abs().max()


def test_agop_of_train_rows_and_outputs_of_test_rows():
    net = nfa.MLP(64, 8, 2, 10)
    data = nfa.load_data("digits").divide(test=0.25, val=0.0, seed=0)
    found = nfa.substitute(net, data, alpha=0.5, draws=1)
    assert found.about["split"] == "train"
    assert (found.about["rows"], found.about["n"]) == ("test", data.part("test").n)
    audit = nfa.audit(net, data)
    assert found.about["score_before"] == audit.score.value
    assert table(found, matrix="nfm", name="all")["score"].item() == audit.score.value
    on_train = nfa.substitute(net, data.part("train"), alpha=0.5, draws=1)
    assert on_train.about["n"] == data.part("train").n
    with Probe(net, data.part("test")) as probe:
        polar, S = Polar(net.layers[0].weight), audit["layers.0"].S
        W = polar.weight(polar.agop(S).power(0.5).scaled(polar.nfm.size))
        f = activations(probe, (), {"layers.0": W}).outputs
    same = accuracy_score(data.part("test").y, f.argmax(1).numpy())
    assert table(found, matrix="agop", name="layers.0")["score"].item() == pytest.approx(same)


def test_an_audit_saves_measuring_and_changes_nothing(small, tmp_path):
    net, X = small
    data, init = (X, gaussian(40, 3, 8)), perturbed(net)
    plain = nfa.substitute(net, data, init=init, alpha=0.5, draws=2).to_frame()
    audit = nfa.audit(net, data, init)
    audit.save(tmp_path)
    for known in (audit, nfa.Audit.load(tmp_path)):
        again = nfa.substitute(net, data, known, alpha=0.5, draws=2).to_frame()
        assert again.equals(plain)
    other = nfa.audit(net, data, outputs="output:1", layers="layers.1")
    found = nfa.substitute(net, data, other, alpha=0.5, draws=2)
    assert found.about["outputs"] == "output:1"
    assert set(found.to_frame()["name"]) == {"layers.1"}  # alone: no "all"


@pytest.mark.parametrize("batch_size", [3, 1000])
def test_no_number_depends_on_the_batch_size(small, batch_size):
    net, X = small
    y = torch.randint(3, (40,), generator=torch.Generator().manual_seed(2))
    one, other = (nfa.substitute(net, (X, y), draws=1, batch_size=size).to_frame()[NUMBERS] for size in (7, batch_size))
    np.testing.assert_allclose(one, other, atol=1e-9)


def test_random_matrices_come_from_the_seed_alone(small):
    net, X = small

    def random(**options):
        return table(nfa.substitute(net, X, alpha=0.5, **options), matrix="random", name="layers.1")["output_r2"].item()

    assert random(draws=2) == random(draws=2) == random(draws=2, layers="layers.1")
    assert random(draws=2) != random(draws=2, seed=1)
    assert random(draws=1) != random(draws=2)
    y = gaussian(40, 3, 8)
    scores = [nfa.substitute(net, (X, y), alpha=0.5, draws=n) for n in (1, 2)]
    one, two = (table(found, matrix="random", name="layers.0").squeeze() for found in scores)
    assert math.isnan(one["score_std"])
    # Of two draws, the second is twice the mean less the first, and their deviation |a - b| / sqrt 2.
    assert two["score_std"] == pytest.approx(abs(2 * two["score"] - 2 * one["score"]) / math.sqrt(2))


def state(net):
    return (
        {name: value.clone() for name, value in net.state_dict().items()},
        [(module.training, len(module._forward_hooks), len(module._forward_pre_hooks)) for module in net.modules()],
        [(p.requires_grad, p.grad, p._version, p.data_ptr()) for p in net.parameters()],
    )


def assert_same_state(before, after):
    assert before[0].keys() == after[0].keys()
    assert all(torch.equal(value, after[0][name]) for name, value in before[0].items())
    assert before[1:] == after[1:]


class Fails(Deep):
    """Runs so many times and no more."""

    left = 10**9

    def forward(self, x):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().forward(x)


def test_the_network_comes_back_as_it_was():
    net = Fails().train()
    X = gaussian(50, 6)
    before = state(net)
    nfa.substitute(net, X, alpha=0.5, draws=1)
    runs = 10**9 - net.left
    assert_same_state(before, state(net))
    for left in range(0, runs, 3):
        net.left = left
        with pytest.raises(KeyboardInterrupt):
            nfa.substitute(net, X, alpha=0.5, draws=1)
        assert_same_state(before, state(net))


def test_layers_that_cannot_be_substituted_say_why():
    net = nn.Sequential(
        nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2)
    )
    with torch.no_grad():
        net[4].weight.zero_()
    frame = nfa.substitute(net.double(), gaussian(30, 4), alpha=0.5, draws=1).to_frame()
    reasons = {"0": "dead", "2": "dead", "4": "the weight is zero", "6": "trivial"}
    assert set(frame["name"]) == set(reasons)  # none is left for "all"
    for name, reason in reasons.items():
        rows = frame[frame["name"] == name]
        assert rows["note"].str.startswith(reason).all()
        assert rows[NUMBERS].isna().all(axis=None)


def test_together_without_the_layers_that_cannot_be(small):
    net, X = small
    frame = nfa.substitute(net, X, alpha=0.5, draws=1).to_frame()
    rows = frame[frame["name"] == "all"]
    assert (rows["layers"] == 2).all()
    assert rows["note"].str.contains("without layers.2").all()


def test_an_init_at_right_angles_has_no_feature_matrix_here(small):
    net, X = nfa.MLP(6, [3, 5], n_outputs=3).double(), gaussian(40, 6)
    init = copy.deepcopy(net)
    with torch.no_grad():
        basis = torch.linalg.qr(gaussian(6, 6)).Q
        net.layers[0].weight.copy_(gaussian(3, 3, 4) @ basis[:, :3].T)
        init.layers[0].weight.zero_()
    frame = nfa.substitute(net, X, init=init, alpha=0.5, draws=1).to_frame()
    for name, is_there in {"layers.0": False, "layers.1": True, "all": False}.items():
        row = frame[(frame["name"] == name) & (frame["matrix"] == "init")].squeeze()
        assert math.isnan(row["output_r2"]) != is_there
        assert ("init is 0 in the row space of layers.0" in row["note"]) != is_there


class Exponential(nn.Module):
    """Its rows see only W's small singular value."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.inner.weight.copy_(torch.tensor([[10.0, 0.0], [0.0, 1e-3]]))

    def forward(self, x):
        return torch.exp(1000 * self.inner(x))


def test_outputs_beyond_the_range_of_floats_are_noted():
    X = torch.stack([torch.zeros(20), torch.linspace(0.1, 1, 20)], 1).double()
    frame = nfa.substitute(Exponential().double(), X, alpha=0.5, draws=1).to_frame()
    row = frame[frame["matrix"] == "projector"].squeeze()
    assert math.isnan(row["output_r2"])
    assert "with these weights net: its output is not finite" in row["note"]
    assert frame[frame["matrix"] == "nfm"]["output_r2"].item() == pytest.approx(1)


class Branches(nn.Module):
    """Two inputs by name, two outputs, and a single sample's answer without its axis."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.out = nn.Linear(3, 5), nn.Linear(2, 5), nn.Linear(5, 3)

    def forward(self, left, right):
        h = torch.tanh(self.one(left) + self.two(right))
        return {"hidden": h, "answer": self.out(h).squeeze()}


def test_inputs_and_heads_by_name():
    net = Branches().double()
    X, y = {"a": gaussian(31, 3), "b": gaussian(31, 2, 5)}, gaussian(31, 3, 7)
    options = {"forward_args": lambda x: {"left": x["a"], "right": x["b"]}, "head": "answer"}
    found = nfa.substitute(net, (X, y), alpha=0.5, draws=1, batch_size=8, **options)
    assert set(found.to_frame()["name"]) == {"one", "two", "out", "all"}
    answer = net(X["a"], X["b"])["answer"].detach()
    assert found.about["score_before"] == pytest.approx(
        r2_score(y.numpy(), answer.numpy(), multioutput="variance_weighted"), abs=1e-6
    )
    assert table(found, name="all", matrix="nfm")["output_r2"].item() == pytest.approx(1)


def test_layers_of_one_shape_get_random_matrices_of_their_own(monkeypatch):
    net, drawn = nfa.MLP(5, 5, 3, 2).double(), []
    original = Polar.random
    monkeypatch.setattr(Polar, "random", lambda self, generator: drawn.append(original(self, generator)) or drawn[-1])
    nfa.substitute(net, gaussian(30, 5), alpha=0.5, draws=2)
    assert len(drawn) == 3 * 2
    for i, one in enumerate(drawn):
        assert not any(torch.allclose(one.vectors, other.vectors) for other in drawn[:i])


def test_estimators_and_files_and_convolutions(tmp_path):
    from sklearn.neural_network import MLPClassifier

    X, y = gaussian(120, 4).numpy(), np.repeat(["no", "yes", "so"], 40)
    estimator = MLPClassifier((7,), max_iter=300, tol=1.0, random_state=0).fit(X, y)
    found = nfa.substitute(estimator, (X, y), alpha=0.5, draws=1)
    assert found.about["score_before"] == pytest.approx(estimator.score(X, y))
    assert found.about["metric"] == "accuracy"
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 2))
    found = nfa.substitute(net, torch.randn(20, 1, 4, 4), alpha=0.5, draws=1)
    assert {row["name"] for row in found.rows} >= {"0", "3", "5"}


networks = st.builds(
    lambda d, widths, c, activation, seed: nfa.MLP(d, widths, n_outputs=c, activation=activation, seed=seed).double(),
    st.integers(2, 6),
    st.lists(st.integers(2, 7), min_size=1, max_size=2),
    st.integers(1, 3),
    st.sampled_from(["relu", "tanh", "sine"]),
    st.integers(0, 99),
)
quick = settings(max_examples=15, deadline=None)


@quick
@given(networks, st.integers(0, 99))
def test_turning_the_inputs_changes_nothing(net, seed):
    d = net.architecture["d"]
    X, Q = gaussian(30, d), torch.linalg.qr(gaussian(d, d, seed)).Q
    turned, init = copy.deepcopy(net), perturbed(net)
    turned_init = copy.deepcopy(init)
    with torch.no_grad():
        for each in (turned, turned_init):
            each.layers[0].weight.copy_(each.layers[0].weight @ Q.T)
    tables = [
        nfa.substitute(one, rows, init=before, alpha=[0.25, 1.0], draws=1).to_frame()
        for one, rows, before in ((net, X, init), (turned, X @ Q.T, turned_init))
    ]
    one, other = (frame[frame["matrix"] != "random"]["output_r2"].to_numpy() for frame in tables)
    np.testing.assert_allclose(one, other, atol=1e-5)


@quick
@given(networks, st.sampled_from([1e-12, 1e-3, 1e3, 1e12]))
def test_the_size_of_the_outputs_changes_nothing(net, factor):
    """AGOP^alpha is taken at the NFM's norm, so its own size is forgotten."""
    X, larger = gaussian(30, net.architecture["d"]), copy.deepcopy(net)
    with torch.no_grad():
        larger.layers[-1].weight.mul_(factor)
    one, other = (
        nfa.substitute(each, X, alpha=[0.25, 1.0], draws=1).to_frame()["output_r2"].to_numpy() for each in (net, larger)
    )
    np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("factor", [1e-70, 1e70])
def test_a_power_never_leaves_the_range_of_floats(small, factor):
    net, X = small
    larger = copy.deepcopy(net)
    with torch.no_grad():
        larger.layers[-1].weight.mul_(factor)
    one, other = (nfa.substitute(each, X, alpha=5.0, draws=1).to_frame()["output_r2"] for each in (net, larger))
    np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": "layer.9"}, "layers: 'layer.9' is unknown; did you mean"),
        ({"alpha": 0}, "alpha: got 0, expected a power above 0, or several"),
        ({"alpha": [0.5, -1.0]}, r"alpha: got \[0.5, -1.0\], expected a power above 0, or several"),
        ({"alpha": []}, "alpha: got \\[\\], expected a power above 0"),
        ({"alpha": math.nan}, "alpha: got nan"),
        ({"alpha": "half"}, "alpha: got 'half', expected a power above 0"),
        ({"draws": 0}, "draws: got 0, expected a whole number of at least 1"),
        ({"seed": -1}, "seed: got -1"),
        ({"init": nfa.MLP(6, [8, 4], n_outputs=3)}, r"init: layer layers.1 has shape \(4, 8\), expected \(5, 8\)"),
    ],
)
def test_bad_input(small, options, message):
    net, X = small
    with pytest.raises(InputError, match=message):
        nfa.substitute(net, X, **options)


def test_audits_that_do_not_fit(small):
    net, X = small
    audit = nfa.audit(net, X, layers="layers.0")
    with pytest.raises(InputError, match=r"audit: it has no layer 'layers.1', which was asked for"):
        nfa.substitute(net, X, audit, layers="layers.1")
    with pytest.raises(
        InputError,
        match=r"audit: of another network: its weight of layer layers.0 is not that of net; nfa.audit\(net, data\)",
    ):
        nfa.substitute(perturbed(net), X, audit)
    with pytest.raises(InputError, match=r"audit: of another network: it has layers.0, none of which this one has"):
        nfa.substitute(nn.Sequential(nn.Linear(6, 2)).double(), X, audit)
    with pytest.raises(
        InputError, match=r"init: an audit is given, which knows its own: nfa.audit\(net, data, init=init\)"
    ):
        nfa.substitute(net, X, audit, init=net)
    with pytest.raises(InputError, match="y: 2 real targets, but the network has 3 outputs"):
        nfa.substitute(net, (X, gaussian(40, 2)))


def test_rows_of_an_audit_that_the_data_do_not_have_are_named(small):
    net, X = small
    data = nfa.Dataset(X.numpy(), (torch.arange(len(X)) % 3).numpy())
    audit = nfa.audit(net, data.divide(test=0.0, val=0.3, seed=0), split="val")
    with pytest.raises(nfa.InputError, match=r"^audit: of val rows, but .* has no val rows"):
        nfa.substitute(net, data, audit)
