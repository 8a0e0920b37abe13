"""The door from a network: what it takes, what it refuses, and what it says of a layer's rows."""

import numpy as np
import pytest
import torch
from helpers import gaussian
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from nfa import InputError
from nfa.rfm import DeepRFM, LayerwiseRFM
from nfa.rfm.network import Network, unusual_rows

DEAD = "sees the same for every sample: what comes before it is dead on X"


def test_rows_are_few_or_the_same_or_neither():
    assert unusual_rows(gaussian(5, 5)) == []
    assert unusual_rows(gaussian(4, 5)) == ["takes 5 entries, but there are 4 samples"]
    assert unusual_rows(gaussian(1, 5).expand(6, 5)) == [DEAD]
    assert unusual_rows(torch.zeros(2, 3))[1:] == [DEAD]
    assert len(unusual_rows(torch.zeros(1, 3))) == 1  # of one sample nothing can be the same
    assert unusual_rows(gaussian(6, 2).reshape(3, 2, 2)) == []  # several rows for each sample
    assert unusual_rows(gaussian(2, 2).expand(3, 2, 2)) == [DEAD]


NET = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
ROWS, LABELS = gaussian(20, 3), gaussian(20, 3)[:, 0] > 0

REFUSED = {
    "a tuple": (NET, (ROWS, LABELS), "X: a tuple; hand over rows as X and targets as y"),
    "a loader": (NET, DataLoader(TensorDataset(ROWS)), "X: got DataLoader, expected an array, a tensor or a table"),
    "a data set": (NET, TensorDataset(ROWS), "X: got TensorDataset, expected an array, a tensor or a table"),
    "one layer": (nn.Linear(3, 2).double(), ROWS, "net: it has no hidden layer, so that its only layer's inputs are X"),
}


@pytest.mark.parametrize("door", [LayerwiseRFM.from_network, DeepRFM.from_network])
@pytest.mark.parametrize("case", REFUSED)
def test_every_machine_from_a_network_refuses_the_same(case, door):
    net, X, message = REFUSED[case]
    with pytest.raises(InputError, match=f"^{message}"):
        door(net, X, LABELS)


def test_other_weights_are_computed_with_and_the_network_stays():
    network, before = Network(NET), NET[2].weight.clone()
    zero = torch.zeros(2, 4, dtype=torch.float64)
    outputs = network.run(network.prepared(ROWS), weights={"2": zero}).outputs
    torch.testing.assert_close(outputs, NET[2].bias.detach().expand(20, 2))
    assert torch.equal(NET[2].weight, before)


def test_a_copy_does_not_follow_the_network():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    network = Network(net)
    copied, inputs = network.copied(), network.prepared(ROWS)
    before = network.run(inputs).outputs
    with torch.no_grad():
        net[0].weight.neg_()
    assert torch.equal(copied.run(inputs).outputs, before)
    assert not torch.equal(network.run(inputs).outputs, before)


TEXT = np.where(LABELS, "yes", "no")


@pytest.mark.parametrize("door", [LayerwiseRFM.from_network, DeepRFM.from_network])
@pytest.mark.parametrize(
    ("fitted", "y", "message"),
    [
        (TEXT, LABELS.long(), "y: holds the labels 0, 1, but fit saw 'no', 'yes'"),
        (LABELS.long(), TEXT, "y: holds the labels 'no', 'yes', but fit saw 0, 1"),
        (TEXT, ROWS[:, 0], r"y: float64 of shape \(20,\), but fit saw classes"),
        (ROWS[:, :2], ROWS, r"y: shape \(20, 3\), expected \('n', 2\) as in fit"),
        (ROWS[:, :2], TEXT, "y: holds the labels no, yes, but mse needs numbers"),
        (TEXT, TEXT[:5], "y: 5 targets, but X has 20 rows"),
    ],
)
def test_scores_hold_targets_to_the_kind_that_was_fitted(fitted, y, message, door):
    model = door(NET, ROWS, fitted, features="nfm")
    assert model.score(ROWS, fitted) <= 1
    with pytest.raises(InputError, match=f"^{message}"):
        model.score(ROWS, y)


@pytest.mark.parametrize("door", [LayerwiseRFM.from_network, DeepRFM.from_network])
def test_labels_that_fit_did_not_see_are_wrong_answers(door):
    model = door(NET, ROWS, TEXT, features="nfm")
    right = (model.predict(ROWS)[LABELS] == "yes").sum()
    assert model.score(ROWS, np.where(LABELS, "yes", "never")) == pytest.approx(right / 20)


def positions(ending):
    """A network with two outputs at each of three positions."""
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 6), nn.Unflatten(1, ending)).double()


def test_outputs_are_counted_as_the_audit_counts_them():
    net, beyond = positions((3, 2)), torch.arange(20) % 4
    assert Network(net).answers(ROWS).n_outputs == 2
    model = LayerwiseRFM.from_network(net, ROWS, beyond, features="nfm")
    assert model.targets_.refusal.problem.startswith("classes 0 to 3, but the network has outputs 0 to 1")
    table = LayerwiseRFM.from_network(net, ROWS, LABELS, features="nfm").score_frame(ROWS, LABELS)
    assert table["note"].str.contains("a class for each sample, but the network answers at 3 positions").all()
    with pytest.raises(InputError, match=r"^y: a class for each sample, but the network answers at 3 positions"):
        DeepRFM.from_network(net, ROWS, LABELS, features="nfm")
    flat = LayerwiseRFM.from_network(positions((1, 6)), ROWS, LABELS, features="nfm").score_frame(ROWS, LABELS)
    assert flat["network_error"].notna().all()


def test_real_targets_that_are_not_as_many_as_the_outputs_have_no_score():
    model = DeepRFM.from_network(NET, ROWS, ROWS, features="nfm")
    with pytest.raises(InputError, match=r"^y: 3 real targets, but the network has 2 outputs"):
        model.score(ROWS, ROWS)
