"""A tracker keeps what does not change between audits, and nothing that does."""

import copy
import math

import pytest
import torch
from helpers import gaussian, perturbed
from torch import nn

import nfa
from nfa.audits import examining
from nfa.common import InputError
from nfa.features import measuring, second_moment
from nfa.network import scoring
from nfa.tracking import checks

X, Y = gaussian(40, 6, dtype=torch.float32), torch.arange(40) % 3


def network():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))


def assert_as_audited(flat, net, before):
    """What was recorded is what an audit finds."""
    expected = nfa.audit(net, (X, Y), before)
    assert {key.split("/")[1] for key in flat if key.count("/") == 2} == {layer["name"] for layer in expected}
    for layer in expected:
        for column in ("cosine", "rotated_cosine", "init_cosine", "init_cosine_null"):
            assert flat[f"nfa/{layer['name']}/{column}"] == pytest.approx(layer[column], nan_ok=True, rel=1e-5)
    assert flat["nfa/score"] == expected.score.value


def bound_anew(net):
    net[2] = perturbed(net)[2]


def overwritten(net):
    net.load_state_dict(perturbed(net).state_dict())


def parameter_replaced(net):
    net[0].weight = nn.Parameter(2 * net[0].weight.detach().flip(0))


def shorter(net):
    net[2] = nn.Identity()


def another_activation(net):
    net[1] = net[3] = nn.Tanh()


def in_float64(net):
    net.double()


CHANGES = (bound_anew, overwritten, parameter_replaced, shorter, another_activation, in_float64)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_network_that_changes_between_audits_is_audited_as_it_is(change):
    net = network()
    before = copy.deepcopy(net)
    found = nfa.Tracker(net, (X, Y))
    assert_as_audited(found.record(epoch=0), net, before)
    for epoch in (1, 2):
        change(net)
        assert_as_audited(found.record(epoch=epoch), net, before)


def test_a_layer_that_init_lacks_is_named():
    net = network()
    found = nfa.Tracker(net, (X, Y))
    found.record(epoch=0)
    net.append(nn.Linear(3, 3))
    with pytest.raises(
        InputError, match="init: it has no layer '5', which the network has; before training, init = copy"
    ):
        found.record(epoch=1)


def test_a_layer_of_another_shape_is_named():
    net = network()
    found = nfa.Tracker(net, (X, Y))
    found.record(epoch=0)
    net[0], net[2] = nn.Linear(6, 9), nn.Linear(9, 8)
    with pytest.raises(InputError, match=r"init: layer 0 has shape \(8, 6\), expected \(9, 6\) as in the network"):
        found.record(epoch=1)


def test_an_init_that_is_loaded_takes_the_place_of_the_first(tmp_path):
    net = network()
    first = nfa.Tracker(net, (X, Y))
    first.record(epoch=0)
    first.save(tmp_path)
    later = perturbed(net)
    second = nfa.Tracker(later, (X, Y))
    second.record(epoch=5)
    second.load(tmp_path)
    assert_as_audited(second.record(epoch=6), later, net)


def test_the_init_is_measured_once(monkeypatch):
    """Also where its gradients are asked for; the network is scored in the pass that measures it."""
    passes = []
    measure = measuring.measure
    monkeypatch.setattr(
        "nfa.audits.settings.measure",
        lambda *args, **options: passes.append(options["label"]) or measure(*args, **options),
    )
    monkeypatch.setattr(scoring, "score", lambda *args: pytest.fail("a pass for the score alone"))
    monkeypatch.setattr(examining, "_loss_gradients", lambda *args: {})
    net = network()
    found = nfa.Tracker(net, (X, Y), columns=["cosine", "untrained_cosine"])
    flat = [found.record(epoch=epoch) for epoch in range(3)]
    assert passes == ["measuring init", *["measuring"] * 3]
    assert flat[0] == flat[2]


def test_a_light_audit_makes_no_second_S(monkeypatch):
    """Beside the centered one, which the sums give: neither for the null nor for the cosine, nor to keep it."""
    found = nfa.Tracker(network(), (X, Y))
    found.record(epoch=0)  # a look at rounding, which is one of all columns' notes
    monkeypatch.setattr(second_moment.Sum, "matrix", property(lambda self: pytest.fail("a matrix for nothing")))
    assert 0 < found.record(epoch=1)["nfa/2/rotated_cosine"] < 1


class Switched(nn.Module):
    """Logits, or, once it is `sure`, the sum of their probabilities, which is 1 whatever the layers compute."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.sure = nn.Linear(6, 5), nn.Linear(5, 3), False

    def forward(self, x):
        f = self.b(self.a(x).tanh())
        return f.softmax(1).sum(1, keepdim=True).expand(-1, 3) if self.sure else f


def test_gradients_that_begin_to_cancel_are_seen_at_once():
    net = Switched()
    found = nfa.Tracker(net, X)
    assert not math.isnan(found.record(epoch=0)["nfa/a/cosine"])
    assert not math.isnan(found.record(epoch=1)["nfa/a/cosine"])
    net.sure = True
    for epoch in (2, 3, 4):
        assert math.isnan(found.record(epoch=epoch)["nfa/a/cosine"])
    net.sure = False
    assert not math.isnan(found.record(epoch=5)["nfa/a/cosine"])


def test_float64_is_looked_at_now_and_then(monkeypatch):
    looks = []
    remeasured = measuring.remeasured
    monkeypatch.setattr(measuring, "remeasured", lambda *args: looks.append(args) or remeasured(*args))
    found = nfa.Tracker(network(), X)
    for epoch in range(2 * checks.EVERY + 1):
        found.record(epoch=epoch)
    assert len(looks) == 3
