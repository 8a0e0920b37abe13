"""Gradients that cancel to rounding are no gradients."""

import math

import pytest
import torch
import torch.nn.functional as F
from helpers import gaussian
from torch import nn
from torch.nn.utils import prune

import nfa
from nfa.features import rounding, second_look
from nfa.features.measuring import measure
from nfa.features.rounding import REMEASURED_ROWS, Rounding, remeasured
from nfa.features.second_look import strongest
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
        found = remeasured(probe, probe.layers, X)
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
    X = gaussian(32, 6, dtype=torch.float32)
    with Probe(net, X) as probe, refused:
        remeasured(probe, probe.layers, X)


def test_a_pruned_network_that_has_run_is_checked():
    net = nn.Sequential(prune.random_unstructured(nn.Linear(6, 5), "weight", 0.3), nn.Tanh(), nn.Linear(5, 3))
    X = gaussian(20, 6, dtype=torch.float32)
    net(X)
    assert not any("was not checked" in layer["note"] for layer in nfa.audit(net, X))


@pytest.mark.parametrize("strong", [40, 79])
def test_rows_without_a_gradient_say_nothing_of_the_others(strong):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 5), nn.Sigmoid(), nn.Linear(5, 1))
    X = gaussian(80, 6, dtype=torch.float32)
    X[:strong] *= 40 / (X[:strong] @ net[0].weight.T).abs().min()  # a sigmoid that is 0 or 1 to rounding
    for batch_size in (512, 7):
        first = nfa.audit(net, X, batch_size=batch_size)[0]
        exact = nfa.audit(net.double(), X.double())[0]
        net.float()
        assert first["agop_trace"] == pytest.approx(exact["agop_trace"], rel=1e-4)
        assert first["cosine"] == pytest.approx(exact["cosine"], abs=1e-5)
        assert "rounding" not in first["note"]


class Rounded(torch.autograd.Function):
    """Zeros whose gradient is what rounding leaves of terms that cancel: not proportional to the output's gradient."""

    @staticmethod
    def forward(ctx, z, noisy):
        ctx.save_for_backward(noisy)
        return torch.zeros_like(z)

    @staticmethod
    def backward(ctx, gradient):
        (noisy,) = ctx.saved_tensors
        return noisy * torch.finfo(gradient.dtype).eps * gradient * (1e3 * gradient).cos(), None


class Cancelled(nn.Module):
    """A layer whose gradient is rounding in samples that say so in their first entry, at their first step alone."""

    def __init__(self, time_first, precisions):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.head = nn.Linear(6, 5), nn.Linear(6, 5), nn.Linear(5, 2)
        self.time_first, self.precisions = time_first, precisions

    def forward(self, x):
        noisy = (x[..., :1] > 10) & torch.tensor(x.dtype in self.precisions)
        noisy = noisy & (torch.arange(x.shape[1]) == 0)[:, None]
        h = x.transpose(0, 1) if self.time_first else x
        zero = Rounded.apply(self.a(h), noisy.transpose(0, 1) if self.time_first else noisy)
        z = torch.tanh(self.b(h)) + zero
        return self.head(z.transpose(0, 1) if self.time_first else z).square().sum(1)


@pytest.mark.parametrize("precisions", [(torch.float32, torch.float64), (torch.float32,), (torch.float64,)])
@pytest.mark.parametrize("noisy", [[1], [0, 9], [30], [30, 31], list(range(40))])
@pytest.mark.parametrize("time_first", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_rounding_leaves_in_some_samples_is_undefined_and_changes_nothing_else(
    dtype, time_first, noisy, precisions
):
    X = gaussian(40, 24, dtype=dtype).reshape(40, 4, 6)
    X[noisy, :, 0] += 100
    net = Cancelled(time_first, precisions).to(dtype)
    for batch_size in (512, 3):
        audit = nfa.audit(net, X, batch_size=batch_size)
        assert audit.skipped == []
        assert math.isnan(audit["a"]["cosine"])
        assert audit["a"]["rows"] == 160
        assert audit["a"]["note"].startswith("the gradients cancel to rounding" if dtype in precisions else "dead")
        assert 0 < audit["b"]["cosine"] < 1
        assert "rounding" not in audit["b"]["note"]


class FirstStep(nn.Module):
    """Attention whose first step alone is read: it sees one key, so that queries and keys have no gradient."""

    def __init__(self, batch_first, steps):
        super().__init__()
        torch.manual_seed(3)
        self.attention, self.head = nn.MultiheadAttention(6, 1, batch_first=batch_first), nn.Linear(6, 2)
        self.batch_first, self.steps = batch_first, steps

    def forward(self, x):
        h = x if self.batch_first else x.transpose(0, 1)
        later = torch.ones(self.steps, self.steps, dtype=torch.bool).triu(1)
        z, _ = self.attention(h, h, h, need_weights=False, attn_mask=later)
        return self.head(z[:, 0] if self.batch_first else z[0])


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_queries_and_keys_of_a_step_that_sees_one_key_have_no_cosine(dtype, batch_first, steps):
    for seed in range(6):
        X = gaussian(12, 6 * steps, seed, dtype).reshape(12, steps, 6)
        audit = nfa.audit(FirstStep(batch_first, steps).to(dtype), X, batch_size=3)
        assert audit.skipped == []
        assert all(math.isnan(audit[f"attention.{part}"]["cosine"]) for part in "qk")
        assert 0 < audit["attention.v"]["cosine"] < 1


class Beside(nn.Module):
    """A layer that an operation makes useless, beside one that is not."""

    def __init__(self, operation):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.head, self.operation = nn.Linear(6, 5), nn.Linear(6, 5), nn.Linear(5, 2), operation

    def forward(self, x):
        return self.head(torch.tanh(self.b(x)) + self.operation(self.a(x)))


USELESS = {
    "a norm over one entry": lambda z: F.layer_norm(z[..., None], (1,))[..., 0],
    "a norm over groups of one": lambda z: F.group_norm(z, 5),
    "a softmax over one entry": lambda z: z[..., None].softmax(-1)[..., 0],
    "its share of itself": lambda z: z / z.square().sqrt(),
    "times zero": lambda z: 0 * z,
}


@pytest.mark.parametrize("kind", USELESS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_layers_that_an_operation_makes_useless_have_no_cosine(dtype, kind):
    audit = nfa.audit(Beside(USELESS[kind]).to(dtype), gaussian(40, 6, dtype=dtype))
    assert math.isnan(audit["a"]["cosine"])
    assert audit["a"]["note"].startswith(("the gradients cancel to rounding", "dead"))
    assert 0 < audit["b"]["cosine"] < 1


class Experts(nn.Module):
    """Two experts, of which the second computes nothing but rounding where it says so, and sees the last samples."""

    def __init__(self, cancels):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.head = nn.Linear(6, 5), nn.Linear(6, 5), nn.Linear(5, 2)
        self.cancels = cancels

    def forward(self, x):
        z, far = x.new_zeros(len(x), 5), x[:, 0] > 10
        z[~far] = self.first(x[~far]).tanh()
        if bool(far.any()):
            second = self.second(x[far])
            z[far] = second.softmax(1).sum(1, keepdim=True).expand_as(second) if self.cancels else second.tanh()
        return self.head(z).square()


@pytest.mark.parametrize("cancels", [False, True])
@pytest.mark.parametrize("batch_size", [512, 9])
def test_rows_that_reach_an_expert_late_are_checked_for_rounding(batch_size, cancels):
    X = gaussian(80, 6, dtype=torch.float32)
    X[60:, 0] = 11
    layer = nfa.audit(Experts(cancels), X, batch_size=batch_size)["second"]
    assert "was not checked" not in layer["note"]
    assert math.isnan(layer["cosine"]) == cancels


class Faint(nn.Module):
    """Gradients are as large as a row's first entry says."""

    def __init__(self, outputs, depth=1):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(depth))
        self.head = nn.Linear(6, outputs)

    def forward(self, x):
        h = x[:, 1:]
        for layer in self.layers:
            h = layer(h).tanh()
        return self.head(h) * x[:, :1]


@pytest.mark.parametrize("share", [0.05, 0.2])
@pytest.mark.parametrize("outputs", [3, 16, 17, 40])
def test_a_hundredth_of_the_trace_is_enough_however_many_outputs_there_are(monkeypatch, outputs, share):
    """Rows whose gradients are this share of others' have its square of their traces."""
    looked = []
    monkeypatch.setattr(second_look, "strongest", lambda probe, layers, *others: looked.append(layers))
    X = gaussian(400, 7, dtype=torch.float32)
    X[:, 0] = 1
    X[:REMEASURED_ROWS, 0] = share
    nfa.audit(Faint(outputs), X, columns=["cosine"])
    assert bool(looked) == (share < 0.1)


@pytest.mark.parametrize("outputs", [3, 40])
def test_strong_samples_are_found_for_all_layers_in_one_pass(monkeypatch, outputs):
    passes = []

    def counted(*given):
        passes.append(given)
        return strongest(*given)

    monkeypatch.setattr(second_look, "strongest", counted)
    X = gaussian(100, 7, dtype=torch.float32)
    X[:, 0] = 0
    X[90:, 0] = 1
    with Probe(Faint(outputs, depth=5), X) as probe:
        found = {each.layer.name: each for each in measure(probe, probe.layers, batch_size=20, again=8)}
        trace = found["layers.0"].agop.trace()
        x = strongest(probe, probe.layers, trace, 20, 1)
    assert len(passes) == 1
    assert bool((x[:, 0] == 1).all())
    for name, measured in found.items():
        assert isinstance(measured.rounding, Rounding), name
        assert measured.rounding.speaks_for(measured.agop.trace()), name
