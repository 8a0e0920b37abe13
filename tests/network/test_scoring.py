"""Scores: which targets are classes, and what a constant answer has."""

import numpy as np
import pytest
import torch
from helpers import gaussian
from torch import nn

import nfa
from nfa.network import score


@pytest.fixture
def rows():
    """A network of three outputs, rows, and their classes, of which some are answered wrongly."""
    torch.manual_seed(0)
    net, X = nn.Linear(4, 3), gaussian(50, 4, dtype=torch.float32)
    y = net(X).argmax(1)
    y[::5] = (y[::5] + 1) % 3
    return net, X, y


def test_classes_in_every_form(rows):
    net, X, y = rows
    expected = score(net, (X, y))
    assert (expected.metric, expected.value) == ("accuracy", 0.8)
    assert expected.baseline == pytest.approx(float(torch.bincount(y).max()) / 50)
    one_hot = nn.functional.one_hot(y, 3)
    for targets in (y[:, None], y.float(), y.double()[:, None], one_hot.float(), np.array(["a", "b", "c"])[y]):
        assert score(net, (X, targets), batch_size=7) == expected


def test_real_targets(rows):
    net, X, _ = rows
    f = net(X).detach().double().numpy()
    targets = f + np.random.default_rng(0).normal(size=f.shape)
    r2 = 1 - ((targets - f) ** 2).sum() / ((targets - targets.mean(0)) ** 2).sum()
    assert score(net, (X, targets), batch_size=7).value == pytest.approx(r2, abs=1e-6)
    # One row that is not one-hot makes all of them real targets.
    mixed = np.eye(3)[np.arange(50) % 3]
    mixed[-1] = 0.4
    assert score(net, (X, mixed), batch_size=7).metric == "r2"


@pytest.mark.parametrize("end", [nn.Identity(), nn.Sigmoid()])
def test_one_output_tells_two_classes_apart(end):
    torch.manual_seed(0)
    linear, X = nn.Linear(4, 1), gaussian(60, 4, dtype=torch.float32)
    y = (linear(X)[:, 0] > 0).long()
    y[:6] = 1 - y[:6]
    got = score(nn.Sequential(linear, end), (X, y), batch_size=11)
    assert (got.metric, got.value) == ("accuracy", 0.9)
    assert score(nn.Sequential(linear, end), (X, y.float())).metric == "r2"
    assert score(nn.Sequential(linear, end), (X, 2 * y)).metric == "r2"  # counts, not classes


def test_positions_have_no_class_of_a_sample():
    with pytest.raises(nfa.InputError, match="y: a class for each sample, but the network answers at 5 positions"):
        score(nn.Linear(4, 3), (gaussian(30, 4, dtype=torch.float32).reshape(6, 5, 4), torch.arange(6) % 3))
