"""Agreement of outputs and scores: one output, sequences, no targets, constant outputs."""

import math

import pytest
import torch
from helpers import gaussian
from sklearn.metrics import accuracy_score
from torch import nn

import nfa
from nfa.features.polar import Polar
from nfa.network.scoring import score_outputs
from nfa.probe import Probe, activations
from nfa.substitution.agreement import Reference
from nfa.substitution.substitution import COLUMNS


def table(found, **chosen):
    frame = found.to_frame()
    for column, value in chosen.items():
        frame = frame[frame[column] == value]
    return frame


@pytest.fixture(autouse=True)
def seeded():
    """The networks of these tests, whatever ran before them."""
    torch.manual_seed(0)


@pytest.mark.parametrize("kind", ["logit", "probability"])
def test_one_output_tells_two_classes(kind):
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1), *([nn.Sigmoid()] if kind == "probability" else []))
    net, X = net.double(), gaussian(80, 4)
    with torch.no_grad():
        net[2].bias.sub_(net[:3](X).median())  # about as many rows on either side
    f = net(X).detach()[:, 0]
    threshold = 0.5 if kind == "probability" else 0.0
    y = (f > threshold + 0.01).long()
    found = nfa.substitute(net, (X, y), alpha=0.5, draws=1)
    row = table(found, name="0", matrix="projector").squeeze()
    with Probe(net, X) as probe:
        polar = Polar(net[0].weight)
        W = polar.weight(polar.projector.scaled(polar.nfm.size))
        g = activations(probe, (), {"0": W}).outputs[:, 0]
    assert 0.5 < row["same_predictions"] < 1
    assert row["same_predictions"] == accuracy_score(f > threshold, g > threshold)
    assert math.isnan(table(nfa.substitute(net, X, alpha=0.5, draws=1), name="0")["same_predictions"].iloc[0])


def test_a_single_output_is_scored_above_the_networks_own_threshold():
    f = torch.linspace(-1, 1, 200, dtype=torch.float64)[:, None]
    for threshold in (0.0, 0.5):
        y = (f[:, 0] > threshold).long()
        reference = Reference(f, (1,), y, score_outputs(f, y), "all", None, 1.0, "")
        assert reference.before == reference.agreement(f)["score"] == 1.0
        for moved in (f + 0.5, f - 0.5):
            found = reference.agreement(moved)
            assert found["score"] == accuracy_score(y, moved[:, 0] > threshold) == found["same_predictions"]


def test_without_targets_there_is_agreement_and_a_note(small):
    net, X = small
    frame = nfa.substitute(net, X, alpha=0.5, draws=1).to_frame()
    assert frame[["score", "above_projector", "score_before"]].isna().all(axis=None)
    assert frame["note"].str.contains("no targets: no score").all()
    measured = frame[frame["name"] != "layers.2"]
    assert measured[["same_predictions", "output_r2"]].notna().all(axis=None)
    assert list(frame.columns) == list(COLUMNS)


def test_sequences_are_compared_position_by_position():
    net, X = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double(), gaussian(40, 4).reshape(8, 5, 4)
    row = table(nfa.substitute(net, X, alpha=0.5, draws=1), name="0", matrix="projector").squeeze()
    flat = table(nfa.substitute(net, X.reshape(40, 4), alpha=0.5, draws=1), name="0", matrix="projector").squeeze()
    assert row["same_predictions"] == flat["same_predictions"] < 1


@pytest.mark.parametrize("varies", [0.0, 1e-13])
def test_the_same_output_for_every_row_cannot_be_compared(varies):
    net, X = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)).double(), gaussian(30, 4)
    with torch.no_grad():
        net[2].weight.mul_(varies)
        net[2].bias.fill_(1.0)
    frame = nfa.substitute(net, X, alpha=0.5, draws=1).to_frame()
    assert frame["output_r2"].isna().all()
    assert frame["note"].str.contains("outputs are the same for every row: no R").all()
