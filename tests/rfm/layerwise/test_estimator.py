"""Layerwise machines: what they see, what they start from, and what they refuse."""

import math
import sys

import numpy as np
import pytest
import torch
from helpers import gaussian
from rfm.bare import PlainClassifier, PlainRegressor
from sklearn.base import clone
from torch import nn

import nfa
from nfa import InputError
from nfa.data import Scaling
from nfa.network import Model
from nfa.network.scoring import score
from nfa.rfm import LayerwiseRFM, load
from nfa.rfm.network import Network

X = gaussian(80, 6).numpy()
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.3)
VALUES = X[:, 0] * X[:, 1] + X[:, 2]
NEW = gaussian(30, 6, seed=9).numpy()
NEW_LABELS = (NEW[:, 0] > 0).astype(int) + (NEW[:, 1] > 0.3)
NEW_VALUES = NEW[:, 0] * NEW[:, 1] + NEW[:, 2]


def net(outputs=3, seed=1):
    return nfa.MLP(6, [10, 5], n_outputs=outputs, bias=True, seed=seed).double()


def rows_by_hand(network, x):
    """The inputs of every layer."""
    h = [torch.as_tensor(x)]
    for layer in network.layers[:-1]:
        h.append(torch.relu(h[-1] @ layer.weight.T + layer.bias).detach())
    return h


def own_error(network, x, y):
    return 1 - score(network, (x, y)).value


TARGETS = {"classes": LABELS, "real": VALUES, "two targets": np.stack([VALUES, X[:, 3]], 1)}


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("features", ["identity", "nfm", "agop", "agop_centered"])
def test_machines_are_rfms_on_each_layers_inputs(features, kind):
    """Those fitted by hand to the rows computed by hand; to the same rows, bit for bit."""
    y = TARGETS[kind]
    network = net(outputs={"classes": 3, "real": 1, "two targets": 2}[kind])
    model = LayerwiseRFM.from_network(network, X, y, features=features, n_iters=2)
    audit = nfa.audit(network, X)
    estimator = PlainClassifier if kind == "classes" else PlainRegressor
    names = ["layers.0", "layers.1", "layers.2"]
    assert list(model.machines_) == (names[:2] if features == "agop_centered" else names)
    for number, name in enumerate(model.machines_):
        h, h_new = rows_by_hand(network, X)[number], rows_by_hand(network, NEW)[number]
        torch.testing.assert_close(model._H[name], h)
        # From the identity: no seed at all.
        M = None if features == "identity" else getattr(audit[number], features)
        same = estimator(n_iters=2, M_init=M).fit(model._H[name], y)
        assert np.array_equal(same.M_, model.machines_[name].M_)
        assert np.array_equal(same.predict(h_new), model.machines_[name].predict(h_new))
        np.testing.assert_allclose(estimator(n_iters=2, M_init=M).fit(h, y).M_, same.M_, atol=1e-7)
        chosen = LayerwiseRFM(network, features=features, n_iters=2, layer=name, audit=audit).fit(X, y)
        if kind == "classes":
            assert (chosen.predict(NEW) == same.predict(h_new)).mean() > 0.95
        else:
            np.testing.assert_allclose(chosen.predict(NEW), same.predict(h_new), atol=1e-6)


def test_an_rfm_from_its_own_converged_features_stays_there():
    found = PlainRegressor(n_iters=40).fit(X, VALUES)
    assert found.history_["cosine_to_previous_M"].iloc[-1] > 0.9999
    again = PlainRegressor(n_iters=1, M_init=found.M_).fit(X, VALUES)
    assert (again.M_ * found.M_).sum() / np.linalg.norm(again.M_) / np.linalg.norm(found.M_) > 0.999


@pytest.mark.parametrize("kind", ["classes", "real"])
def test_from_an_audit_is_from_the_network(kind):
    y, y_new, c = (LABELS, NEW_LABELS, 3) if kind == "classes" else (VALUES, NEW_VALUES, 1)
    network, before = net(c), net(c, seed=2)
    one = LayerwiseRFM.from_network(network, X, y, before, n_iters=1)
    other = LayerwiseRFM.from_audit(nfa.audit(network, X, before), network, X, y, n_iters=1)
    first, second = one.score_frame(NEW, y_new), other.score_frame(NEW, y_new)
    assert first.equals(second)
    assert not first["error"].isna().any()


def test_the_table_holds_every_layer_seed_and_number_of_updates():
    network, before = net(), net(seed=2)
    table = LayerwiseRFM.from_network(network, X, LABELS, before, n_iters=2).score_frame(NEW, NEW_LABELS)
    assert len(table) == 3 * 5 * 3
    np.testing.assert_allclose(table["network_error"], own_error(network, NEW, NEW_LABELS))
    values, counts = np.unique(LABELS, return_counts=True)
    np.testing.assert_allclose(table["constant_error"], (values[counts.argmax()] != NEW_LABELS).mean())
    audit = nfa.audit(network, X, before)
    for _, row in table[table["features"] != "random"].iterrows():
        h, h_new = (rows_by_hand(network, x)[row["layer"]] for x in (X, NEW))
        layer = audit[row["layer"]]
        M = None if row["features"] == "identity" else getattr(layer, row["features"])
        alone = PlainClassifier(n_iters=row["n_iters"], M_init=M).fit(h, LABELS)
        assert row["error"] == pytest.approx((alone.predict(h_new) != NEW_LABELS).mean(), abs=0.04)
        nfm = layer.nfm.dense().numpy()
        expected = (alone.M_ * nfm).sum() / np.linalg.norm(alone.M_) / np.linalg.norm(nfm)
        assert row["cosine_nfm"] == pytest.approx(expected, abs=1e-6)
    at_start = table[(table["n_iters"] == 0) & (table["features"] == "agop")]
    np.testing.assert_allclose(at_start["cosine_agop"], 1, rtol=1e-12)


def test_real_targets_are_scored_by_unexplained_variance():
    table = LayerwiseRFM.from_network(net(1), X, VALUES).score_frame(NEW, NEW_VALUES)
    np.testing.assert_allclose(table["network_error"], own_error(net(1), NEW, NEW_VALUES[:, None]), rtol=1e-5)
    first = table[(table["layer"] == 0) & (table["features"] == "identity")].iloc[0]
    predicted = PlainRegressor(n_iters=0).fit(X, VALUES).predict(NEW)
    expected = ((NEW_VALUES - predicted) ** 2).sum() / ((NEW_VALUES - NEW_VALUES.mean()) ** 2).sum()
    assert first["error"] == pytest.approx(expected)
    assert first["metric"] == "1 - R^2"
    spread = ((NEW_VALUES - NEW_VALUES.mean()) ** 2).sum()
    assert first["constant_error"] == pytest.approx(((NEW_VALUES - VALUES.mean()) ** 2).sum() / spread)


def test_it_is_an_estimator():
    fitted = clone(LayerwiseRFM(net(), features="nfm", n_iters=1, ridge=0.1)).set_params(layer=1).fit(X, LABELS)
    assert (fitted.ridge, fitted.features) == (0.1, "nfm")
    assert fitted.score(NEW, NEW_LABELS) == pytest.approx((fitted.predict(NEW) == NEW_LABELS).mean())
    assert LayerwiseRFM(net()).fit(X, np.array(list("abc"))[LABELS]).predict(NEW[:2]).dtype.kind == "U"


def test_the_network_comes_back_as_it_was():
    network = net().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    LayerwiseRFM.from_network(network, X, LABELS).score_frame(NEW, NEW_LABELS)
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_what_becomes_of_the_network_later_changes_nothing():
    network = net()
    model = LayerwiseRFM.from_network(network, X, LABELS, features="nfm")
    before, table = model.predict(NEW), model.score_frame(NEW, NEW_LABELS)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.neg_()
    assert np.array_equal(model.predict(NEW), before)
    assert model.score_frame(NEW, NEW_LABELS).equals(table)


class Uncopied(nfa.MLP):
    def __deepcopy__(self, memo):
        raise RuntimeError("tied to a handle")


def test_a_network_that_cannot_be_copied_is_used_with_a_warning():
    network = Uncopied(6, [10, 5], n_outputs=3, bias=True, seed=1).double()
    with pytest.warns(UserWarning, match="^net: it cannot be copied: tied to a handle; predictions will follow"):
        model = LayerwiseRFM.from_network(network, X, LABELS)
    assert np.array_equal(model.predict(NEW), LayerwiseRFM.from_network(net(), X, LABELS).predict(NEW))


@pytest.mark.parametrize("wanted", [True, False])
def test_progress_is_shown_where_it_is_wanted(wanted, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.modules["nfa.common.progress"], "PATIENCE", 0.0)
    model = LayerwiseRFM(net(), progress=wanted)
    for call in (
        lambda: model.fit(X, LABELS),
        lambda: model.predict(NEW),
        lambda: model.score_frame(NEW, NEW_LABELS),
    ):
        call()
        assert bool(capsys.readouterr().err) == wanted


def test_activations_are_computed_once_for_training_rows_and_once_for_test_rows(monkeypatch):
    calls, run = [], Network.run
    monkeypatch.setattr(Network, "run", lambda self, X, layers: calls.append(layers) or run(self, X, layers))
    LayerwiseRFM.from_network(net(), X, LABELS, n_iters=1).score_frame(NEW, NEW_LABELS)
    assert calls == [["layers.0", "layers.1", "layers.2"]] * 2


def test_machines_are_written_and_read(tmp_path):
    model = LayerwiseRFM.from_network(net(), X, LABELS, n_iters=1)
    for number, (file, (name, machine)) in enumerate(zip(model.save(tmp_path), model.machines_.items(), strict=True)):
        assert file.name == f"{number}-{name}.safetensors"
        h = rows_by_hand(net(), NEW)[model.audit_[name]["layer"]]
        assert np.array_equal(load(file).predict(h), machine.predict(h))


def test_no_layers_name_leads_out_of_the_folder(tmp_path):
    """Names come from files, and may be anything."""

    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.names = [str(tmp_path / "outside"), "b/c", "b_c"]
            for name, (d, k) in zip(self.names, [(6, 5), (5, 90), (90, 3)], strict=True):
                self.add_module(name, nn.Linear(d, k))

        def forward(self, x):
            for name in self.names:
                x = torch.relu(getattr(self, name)(x))
            return x

    model = LayerwiseRFM.from_network(Named().double(), X, LABELS, features="identity")
    folder = tmp_path / "inside"
    files = model.save(folder)
    assert [file.name for file in files[1:]] == ["1-b_c.safetensors", "2-b_c.safetensors"]
    assert {file.parent for file in files} == {folder}
    assert list(tmp_path.iterdir()) == [folder]
    assert sorted(folder.iterdir()) == sorted([*files, folder / "2-b_c.coordinates.safetensors"])
    for file, machine in zip(files, model.machines_.values(), strict=True):
        assert np.array_equal(load(file).M_, machine.M_)


def test_scaling_and_classes_of_a_file_are_applied():
    scaling = Scaling.fit("standard", 5 + 3 * X)
    names = np.array(["a", "b", "c"])
    machines = LayerwiseRFM.from_network(
        Model(net(), "net", scaling, classes=("a", "b", "c")), 5 + 3 * X, names[LABELS]
    )
    table = machines.score_frame(5 + 3 * NEW, names[NEW_LABELS])
    plain = LayerwiseRFM.from_network(net(), scaling.apply(5 + 3 * X), LABELS)
    torch.testing.assert_close(machines._H["layers.1"], plain._H["layers.1"])
    np.testing.assert_allclose(table["network_error"], own_error(net(), scaling.apply(5 + 3 * NEW), NEW_LABELS))
    assert (table["note"].iloc[0], machines.predict(5 + 3 * NEW).dtype.kind) == ("", "U")


def test_classes_that_are_not_the_networks_are_allowed_with_a_note():
    table = LayerwiseRFM.from_network(net(), X, LABELS % 2).score_frame(NEW, NEW_LABELS % 2)
    assert table["note"].str.contains("y has 2 classes, but the network tells 3 apart").all()
    assert table["network_error"].notna().all()
    more = LayerwiseRFM.from_network(net(), X, LABELS + 7).score_frame(NEW, NEW_LABELS + 7)
    assert more["note"].str.contains(r"own error is undefined \(y: classes 7 to 9, but the network has outputs").all()
    assert more["network_error"].isna().all()
    assert more["error"].notna().any()


def told_apart(outputs=3):
    """A network that is right about which of the first inputs is the largest, and these."""
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, outputs)).double()
    with torch.no_grad():
        network[0].weight.copy_(torch.eye(4))
        network[0].bias.fill_(10.0)
        network[2].weight.copy_(torch.eye(outputs, 4))
        network[2].bias.zero_()
    x = gaussian(90, 4).numpy()
    return network, x, x[:, :outputs].argmax(1)


NAMES = {
    "text": np.array(["a", "b", "c"]),
    "text as objects": np.array(["a", "b", "c"], dtype=object),
    "numbers as objects": np.array([0, 1, 2], dtype=object),
    "numbers": np.arange(3),
}


@pytest.mark.parametrize("kind", NAMES)
def test_the_networks_error_does_not_depend_on_which_classes_test_rows_have(kind):
    network, x, y = told_apart()
    labels = NAMES[kind][y]
    model = LayerwiseRFM.from_network(network, x, labels)
    for kept in (y > -1, y != 0, y == 1):
        table = model.score_frame(x[kept], labels[kept])
        assert set(table["network_error"]) == {0.0}
        assert not table["note"].str.contains("network's|y h").any()


def test_numbers_as_objects_are_in_the_order_of_numbers():
    network, x, y = told_apart()
    wide = nn.Sequential(network[0], network[1], nn.Linear(4, 12)).double()
    with torch.no_grad():
        wide[2].weight.zero_()
        wide[2].bias.zero_()
        wide[2].weight[[1, 2, 10], [0, 1, 2]] = 1.0
    labels = np.array([1, 2, 10])[y]
    for given in (labels, labels.astype(object)):
        assert set(LayerwiseRFM.from_network(wide, x, given).score_frame(x, given)["network_error"]) == {0.0}


def test_labels_that_cannot_be_told_to_outputs_have_no_network_error():
    network, x, y = told_apart()
    two = np.array(["a", "b", "b"])[y]
    table = LayerwiseRFM.from_network(network, x, two).score_frame(x, two)
    assert table["network_error"].isna().all()
    assert table["note"].str.contains("y: has 2 classes called by text, but the network tells 3 apart").all()
    three = np.array(["a", "b", "c"])[y]
    other = LayerwiseRFM.from_network(network, x, three).score_frame(x, np.where(y == 1, "aa", three))
    assert other["network_error"].isna().all()
    assert other["note"].str.contains("y: holds the label 'aa', which the training rows lack").all()


def test_fewer_rows_than_inputs_are_noted():
    model = LayerwiseRFM.from_network(net(), X[:8], LABELS[:8])
    assert "takes 10 entries, but there are 8 samples" in model.notes_["layers.1"]
    assert "takes" not in model.notes_.get("layers.0", "")
    assert np.isfinite(model.machines_["layers.1"].M_).all()


def test_a_layer_dead_on_X_has_a_reason_and_no_machine():
    network = net()
    with torch.no_grad():
        network.layers[1].bias.fill_(-1e3)
    model = LayerwiseRFM.from_network(network, X, LABELS, n_iters=1)
    assert "layers.1" not in model.machines_
    assert "dead: no output depends on this layer on X" in model.notes_["layers.1"]
    table = model.score_frame(NEW, NEW_LABELS).set_index(["name", "features", "n_iters"])
    for number in (0, 1):
        row = table.loc[("layers.1", "agop", number)]
        assert math.isnan(row["error"])
        assert "dead" in row["note"]
        assert not math.isnan(table.loc[("layers.1", "identity", number), "error"])
    with pytest.raises(InputError, match=r"^layer: layers.1 has no machine \(dead"):
        model.set_params(layer="layers.1").predict(NEW)


def test_a_layer_that_sees_the_same_for_every_sample_is_named():
    network = net()
    with torch.no_grad():
        network.layers[0].bias.fill_(-1e3)
    notes = LayerwiseRFM.from_network(network, X, LABELS, features="nfm").notes_
    assert notes["layers.1"] == "sees the same for every sample: what comes before it is dead on X"
    assert "layers.0" not in notes


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.tied, self.head = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.tied(torch.tanh(self.tied(x)))))


def test_layers_with_several_rows_for_a_sample_are_left_out():
    model = LayerwiseRFM.from_network(Tied().double(), X, LABELS)
    assert (list(model.machines_), model.notes_["tied"]) == (["head"], "left out: several rows for each sample")
    table = model.score_frame(NEW, NEW_LABELS)
    assert (table[table["name"] == "tied"]["note"] == "left out: several rows for each sample").all()


REFUSED = {
    "no hidden layer": (lambda: fit(nn.Linear(6, 3).double()), "net: it has no hidden layer"),
    "no such pattern": (lambda: fit(layers="layer.0"), "layers: 'layer.0' is unknown; did you mean 'layers.0'"),
    "no such layer": (lambda: fit(layer="layers.7"), "layer: 'layers.7' is unknown"),
    "width": (
        lambda: LayerwiseRFM.from_network(net(), X[:, :4], LABELS),
        "data: 4 features reach layer layers.0, which takes 6",
    ),
    "new width": (lambda: fit().predict(NEW[:, :4]), "data: 4 features reach layer layers.0, which takes 6"),
    "rows": (lambda: LayerwiseRFM.from_network(net(), X, LABELS[:9]), "y: 9 targets, but X has 80 rows"),
    "test rows": (lambda: fit().score_frame(NEW, LABELS), "y: 80 targets, but X has 30 rows"),
    "features": (lambda: fit(features="nfms"), "features: 'nfms' is unknown; did you mean 'nfm'"),
    "power": (lambda: fit(power=0), "power: got 0, expected a number above 0"),
    "updates": (lambda: fit(n_iters=-1), "n_iters: got -1, expected a whole number of at least 0"),
    "no init": (
        lambda: fit(features="init_nfm"),
        "features: no layer has a machine .the network before training is not known: give init=.$",
    ),
    "a pair": (lambda: LayerwiseRFM.from_network(net(), (X, LABELS), LABELS), "X: a tuple"),
    "another network": (
        lambda: LayerwiseRFM.from_audit(nfa.audit(net(seed=4), X), net(), X, LABELS),
        "audit: layer 'layers.0' has another weight than the network's",
    ),
    "targets": (
        lambda: LayerwiseRFM.from_network(net(1), X, VALUES).score_frame(NEW, NEW[:, :2]),
        r"y: shape \(30, 2\), expected \('n',\) as in fit",
    ),
    "no classes": (lambda: fit().score_frame(NEW, NEW_VALUES), r"y: float64 of shape \(30,\), but fit saw classes"),
}


def fit(network=None, **parameters):
    return LayerwiseRFM.from_network(network or net(), X, LABELS, **parameters)


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case):
    call, message = REFUSED[case]
    with pytest.raises(InputError, match=f"^{message}"):
        call()
