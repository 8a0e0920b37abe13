"""Gradients that cancel to rounding are no gradients."""

import math

import pytest
import torch
from helpers import gaussian
from torch import nn
from torch.nn.utils import prune

import nfa
from nfa.features import rounding
from nfa.features.rounding import remeasured
from nfa.features.weight import Weight
from nfa.probe import Probe


class Cancelling(nn.Module):
    """The sum of probabilities: 1, whatever the layers compute."""

    def __init__(self, dtype):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(6, 5, dtype=dtype), nn.Linear(5, 3, dtype=dtype)

    def forward(self, x):
        return self.b(self.a(x).tanh()).softmax(1).sum(1, keepdim=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_that_cancel_are_undefined_and_said_to_be(dtype):
    for layer in nfa.audit(Cancelling(dtype), gaussian(40, 6, dtype=torch.float32)):
        assert math.isnan(layer["cosine"])
        assert math.isnan(layer["agop_trace"])
        assert not math.isnan(layer["nfm_trace"])
        assert layer["note"].startswith("the gradients cancel to rounding")


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_gradients_of_any_size_are_no_rounding(dtype, scale):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).to(dtype)
    audit = nfa.audit(net, gaussian(40, 6, dtype=torch.float32), outputs=lambda f: f.double() * scale)
    assert all(0 < layer["cosine"] <= 1 and "rounding" not in layer["note"] for layer in audit)


def test_a_few_rows_are_measured_in_both_precisions():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    X = gaussian(32, 6, dtype=torch.float32)
    exact = nfa.audit(net.double(), X)
    net.float()
    with Probe(net, X) as probe:
        found = remeasured(probe, probe.layers)
    assert net[0].weight.dtype == torch.float32
    for layer in exact:
        again = found[layer["name"]]
        torch.testing.assert_close(again.S_again, layer.S, rtol=1e-9, atol=1e-12)
        assert float((again.S - layer.S).norm() / layer.S.norm()) < 1e-5
        assert again.cosines(Weight(layer.weight.double()))[1] == pytest.approx(layer["cosine"], abs=1e-6)
        assert again.error < 1e-5


class Stubborn(nn.Module):
    """A network that cannot be copied, or whose copies do not run in float64."""

    def __init__(self, copies):
        super().__init__()
        self.layer, self.copies = nn.Linear(6, 3), copies

    def __deepcopy__(self, memo):
        if self.copies:
            return Stubborn(self.copies)
        raise TypeError("one is enough")

    def forward(self, x):
        return self.layer(x.float())


@pytest.mark.parametrize(
    ("copies", "reason"),
    [
        (False, "the network cannot be copied to float64 (one is enough)"),
        (True, "the network does not run in float64 (data: the network cannot take rows of shape (6,)"),
    ],
)
def test_networks_that_cannot_be_copied_or_run_in_float64_are_measured_and_said_to_be_unchecked(copies, reason):
    layer = nfa.audit(Stubborn(copies), gaussian(32, 6))["layer"]
    assert 0 < layer["cosine"] <= 1
    assert f"whether gradients hang on rounding was not checked: {reason}" in layer["note"]


def test_networks_too_large_to_copy_are_said_to_be_unchecked(monkeypatch):
    monkeypatch.setattr(rounding, "COPY_BUDGET", 0)
    layer = nfa.audit(nn.Linear(6, 3), gaussian(32, 6, dtype=torch.float32))[0]
    assert "was not checked: a copy in float64 takes over 0 GiB" in layer["note"]


def test_what_the_network_itself_cannot_do_is_not_hidden():
    class Failing(nn.Module):
        """Fails in its own precision, once it was attached to."""

        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 3)

        def forward(self, x):
            if len(x) > 2 and x.dtype == torch.float32:
                raise ValueError("not more than two")
            return self.layer(x)

    net = Failing()
    refused = pytest.raises(nfa.InputError, match="not more than two")
    with Probe(net, gaussian(32, 6, dtype=torch.float32)) as probe, refused:
        remeasured(probe, probe.layers)


def test_a_pruned_network_that_has_run_is_checked():
    net = nn.Sequential(prune.random_unstructured(nn.Linear(6, 5), "weight", 0.3), nn.Tanh(), nn.Linear(5, 3))
    X = gaussian(20, 6, dtype=torch.float32)
    net(X)
    assert not any("was not checked" in layer["note"] for layer in nfa.audit(net, X))


def test_rows_without_a_gradient_say_nothing_of_the_others():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 5), nn.Sigmoid(), nn.Linear(5, 1))
    X = gaussian(80, 6, dtype=torch.float32)
    X[:40] *= 40 / (X[:40] @ net[0].weight.T).abs().min()  # a sigmoid that is 0 or 1 to rounding
    first = nfa.audit(net, X)[0]
    exact = nfa.audit(net.double(), X.double())[0]
    assert first["agop_trace"] == pytest.approx(exact["agop_trace"], rel=1e-4)
    assert first["cosine"] == pytest.approx(exact["cosine"], abs=1e-5)
    assert "was not checked: the first 32 rows have next to none" in first["note"]
