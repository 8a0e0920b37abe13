"""Which rows and weights belong to which sample and layer, in networks that make it hard to tell."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import assert_same_table, gaussian
from torch import nn
from torch.func import jacrev, vmap

import nfa
from nfa.data.samples import as_samples


class Net(nn.Module):
    """A network of two layers and a forward pass that a test writes."""

    def __init__(self, forward, d=4, k=5, c=3):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(d, k), nn.Linear(k, c)
        self.emb, self.start = nn.Embedding(7, d), nn.Parameter(torch.randn(1, d))
        self.free = torch.tril(torch.ones(k, d, dtype=torch.float64))
        self.double()
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


def plain(net, x):
    return net.b(torch.tanh(net.a(x)))


def test_networks_that_mix_samples_are_refused():
    X = gaussian(20, 4)

    def centred(net, x):
        z = torch.tanh(net.a(x))
        return net.b(z - z.mean(0))

    norm = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5, track_running_stats=False), nn.Linear(5, 3)).double()
    noisy = nn.Sequential(nn.Linear(4, 5), type("Noise", (nn.Module,), {"forward": lambda s, x: x + torch.randn(1)})())
    for net in (Net(centred), norm, noisy.double()):
        with pytest.raises(nfa.InputError, match="its answer to a sample changes with the other samples"):
            nfa.audit(net, X)
    # Two samples with their mean taken off are each other's negative, so that rows do not tell.
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    with pytest.raises(nfa.InputError, match="its answer to a sample changes with the other samples"):
        nfa.audit(net, X, outputs=lambda f: f - f.mean(0))


def test_layers_whose_rows_come_in_a_mixed_order_are_measured():
    def half_turned(net, x):  # n x T x d
        n, T, _ = x.shape
        rows = torch.cat([x[:, :2].flatten(0, 1), x[:, 2:].transpose(0, 1).flatten(0, 1)])
        h = torch.tanh(net.a(rows))
        return net.b(h[: 2 * n].reshape(n, 2, -1).mean(1) + h[2 * n :].reshape(T - 2, n, -1).mean(0))

    def in_order(net, x):
        h = torch.tanh(net.a(x))
        return net.b(h[:, :2].mean(1) + h[:, 2:].mean(1))

    X = gaussian(60, 4).reshape(12, 5, 4)
    for options in ({}, {"batch_size": 5}, {"probes": 3}):
        assert_same_table(nfa.audit(Net(half_turned), X, **options), nfa.audit(Net(in_order), X, **options), 1e-9)


def test_a_transformer_is_measured_and_so_is_its_attention():
    encoder = nn.TransformerEncoderLayer(4, 2, 6, batch_first=True, dropout=0.0)
    net = nn.Sequential(encoder, nn.Flatten(), nn.Linear(20, 3)).double()
    X = gaussian(60, 4).reshape(12, 5, 4)
    audit = nfa.audit(net, X)
    attention = [f"0.self_attn.{part}" for part in ("q", "k", "v", "out_proj")]
    assert [layer["name"] for layer in audit] == [*attention, "0.linear1", "0.linear2", "2"]
    # The same from a graph in which attention's own products are to be seen.
    exported = torch.export.export(net.eval(), (X[:2],), dynamic_shapes=({0: torch.export.Dim("batch")},))
    again = nfa.audit(exported, X, layers="*linear*")
    for layer in again:
        torch.testing.assert_close(layer.S, audit[layer["name"]].S)


def test_the_last_batch_has_no_sample_alone():
    def squeezed(net, x):
        return net.b(torch.tanh(net.a(x)).squeeze()).squeeze()

    X = gaussian(21, 4)
    for c in (1, 3):
        expected = nfa.audit(Net(plain, c=c), X)
        assert_same_table(nfa.audit(Net(squeezed, c=c), X, batch_size=10), expected, 1e-12)
        loader = torch.utils.data.DataLoader(X, batch_size=4)
        assert_same_table(nfa.audit(Net(squeezed, c=c), loader, batch_size=10), expected, 1e-12)
    with pytest.raises(nfa.InputError, match="layer b saw no rows in sample 0, alone in its batch"):
        nfa.audit(Net(lambda net, x: net.b(torch.tanh(net.a(x)).squeeze()).reshape(len(x), -1)), X[:20], batch_size=1)


def test_what_brings_weights_and_data_together_otherwise_is_named():
    def otherwise(net, x):
        return net.b(torch.tanh(net.a(x) + (x.sin()[:, None] * net.a.weight).sum(2)))

    def tied(net, x):
        tokens = net.emb(x[:, 0].abs().long() % 7)
        return F.linear(torch.tanh(net.b.weight.new_ones(()) * tokens), net.emb.weight)

    audit = nfa.audit(Net(otherwise), gaussian(20, 4))
    assert {skip["name"]: skip["kind"] for skip in audit.skipped}["a"] == "Linear, in mul"
    audit = nfa.audit(Net(tied), gaussian(20, 4))
    assert [layer["name"] for layer in audit] == ["emb", "emb.T"]


def test_an_embedding_tied_to_the_head():
    class Language(nn.Module):
        def __init__(self):
            super().__init__()
            self.emb, self.mid, self.head = nn.Embedding(9, 4), nn.Linear(4, 4), nn.Linear(4, 9, bias=False)
            self.head.weight = self.emb.weight
            self.double()

        def forward(self, t):
            return self.head(torch.tanh(self.mid(self.emb(t).mean(1))))

    audit = nfa.audit(Language(), torch.arange(40).reshape(20, 2) % 9)
    assert [layer["name"] for layer in audit] == ["emb", "mid", "head"]
    assert torch.equal(audit["emb"].weight, audit["head"].weight.T)
    assert audit["emb"]["note"].startswith("its weight is also that of head: gradients that come through there hold it")
    assert not any("also that of" in audit[name]["note"] for name in ("mid", "head"))


@pytest.mark.parametrize(
    "forward",
    [
        lambda net, x: net.b(torch.tanh(torch.addmm(net.a.bias, x, net.a.weight.T, alpha=3.0))),
        lambda net, x: net.b(torch.tanh(F.linear(x, 3 * net.a.weight, net.a.bias))),
        lambda net, x: net.b(torch.tanh(torch.inner(x, 3 * net.a.weight) + net.a.bias)),
    ],
)
def test_factors_belong_to_the_weight(forward):
    net, X = Net(forward), gaussian(20, 4)
    audit = nfa.audit(net, X)
    J = vmap(jacrev(lambda x: net.b(torch.tanh(3 * net.a.weight @ x + net.a.bias))))(X).detach()
    torch.testing.assert_close(audit["a"].agop.dense(), torch.einsum("ncd,nce->de", J, J) / 20)
    torch.testing.assert_close(audit["a"].weight, 3 * net.a.weight.detach())


def test_weights_with_masks_that_are_no_buffers():
    def masked(net, x):
        return net.b(torch.tanh(F.linear(x, net.a.weight * net.free + torch.eye(5, 4, dtype=x.dtype), net.a.bias)))

    net, X = Net(masked), gaussian(20, 4)
    audit = nfa.audit(net, X)
    assert [layer["name"] for layer in audit] == ["a", "b"]
    torch.testing.assert_close(audit["a"].weight, (net.a.weight * net.free + torch.eye(5, 4)).detach())


def test_data_written_into_weights_or_constants_are_data():
    def token(net, x):
        h = net.start.repeat(len(x), 1)
        h[:, :] = x
        return plain(net, h)

    def copied(net, x):
        h = net.start.expand(len(x), -1).clone()
        h[:, :2].copy_(x[:, :2])
        h[:, 2:] = x[:, 2:]
        return plain(net, h)

    X = gaussian(20, 4)
    expected = nfa.audit(Net(plain), X)
    for forward in (token, copied):
        got = nfa.audit(Net(forward), X)
        assert [layer["name"] for layer in got] == ["a", "b"]
        assert_same_table(got, expected, 1e-12)


@pytest.mark.parametrize("frozen", [False, True])
def test_the_loss_s_gradients_survive_rows_that_are_overwritten(frozen):
    def overwritten(net, x):
        h = net.a(x).clone()
        z = net.b(h)
        if frozen:
            h.relu_()
        return z

    X, y = gaussian(20, 4), torch.arange(20) % 3
    net = Net(overwritten)
    with torch.no_grad():
        expected = nfa.audit(copy.deepcopy(Net(lambda net, x: net.b(net.a(x)))), (X, y), loss="cross_entropy")
    got = nfa.audit(net.requires_grad_(not frozen), (X, y), loss="cross_entropy")
    assert got["b"]["fact_cosine"] == pytest.approx(expected["b"]["fact_cosine"], abs=1e-12)


def test_whole_numbers_are_exact_in_half_precision():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.first, self.last = nn.Linear(1000, 4), nn.Linear(4, 2)

        def forward(self, t):
            return self.last(torch.tanh(self.first(F.one_hot(t[:, 0].long(), 1000).to(self.first.weight.dtype))))

    tokens = torch.arange(990, 1000)[:, None]
    exact, half = nfa.audit(Tokens(), tokens), nfa.audit(Tokens().bfloat16(), tokens)
    assert half["first"]["cosine"] == pytest.approx(exact["first"]["cosine"], abs=0.02)
    pictures = torch.randint(256, (30, 4), dtype=torch.uint8)
    shifted = Net(lambda net, x: plain(net, (x * 2 - 255) / 255.0))  # in uint8 this would wrap around
    assert nfa.audit(shifted.float(), pictures)["a"]["cosine"] == pytest.approx(
        nfa.audit(shifted.float(), pictures.float())["a"]["cosine"], abs=1e-5
    )


def test_buffers_that_a_run_registers_are_gone_afterwards():
    def registers(net, x):
        net.register_buffer("seen", x.mean(0))
        return plain(net, x)

    net = Net(registers)
    nfa.audit(net, gaussian(20, 4))
    assert "seen" not in dict(net.named_buffers())


@pytest.mark.parametrize(
    ("outputs", "function"),
    [
        ("probabilities", lambda f: f.softmax(2)),
        ("predicted", lambda f: f.amax(2)),
        ("margin", lambda f: f.topk(2, 2).values @ torch.tensor([1.0, -1.0], dtype=f.dtype)),
    ],
)
def test_choices_are_made_position_by_position(outputs, function):
    X = gaussian(60, 4).reshape(12, 5, 4)
    got, expected = nfa.audit(Net(plain), X, outputs=outputs), nfa.audit(Net(plain), X, outputs=function)
    assert got.about.n_outputs == expected.about.n_outputs == (15 if outputs == "probabilities" else 5)
    assert_same_table(got, expected, 1e-12)


def test_gradients_the_same_for_every_sample_are_said_to_be(small):
    from nfa.report import sentences

    def first_position(net, x):
        return net.b(torch.tanh(net.a(x)))[:, 0]

    X = gaussian(200, 4).reshape(40, 5, 4)
    audit = nfa.audit(Net(first_position), (X, torch.arange(40) % 3))
    assert audit["b"]["trivial"]
    assert "delta is the same for every sample at the same row" in audit["b"]["note"]
    assert "its gradient is the same for every sample" in sentences(audit)[2]


def test_bad_calls_are_one_line(small):
    net, X = small
    cases = {
        r"layers: got \['layers.0'\], expected a pattern": {"layers": ["layers.0"]},
        "outputs: got None, expected logits": {"outputs": None},
        "outputs: the function cannot take outputs of shape": {"outputs": lambda f: f[:, 99]},
        "outputs: the function's result has no gradient": {"outputs": lambda f: f.detach()},
        "probes: got 1.5": {"probes": 1.5},
    }
    for message, options in cases.items():
        with pytest.raises(nfa.InputError, match=message) as caught:
            nfa.audit(net, X, **options)
        assert "\n" not in str(caught.value)
    with pytest.raises(nfa.InputError, match=r"is on the meta device"):
        nfa.audit(copy.deepcopy(net).to("meta"), X)
    with pytest.raises(nfa.InputError, match=r"layout torch\.sparse_coo, expected a dense one"):
        nfa.audit(net, {"x": X.to_sparse()})
    with pytest.raises(nfa.InputError, match=r"reads names and files"):
        nfa.audit(net, "digits")
    assert np.isfinite(nfa.audit(net, X, outputs="margin")[0]["cosine"])


@pytest.mark.parametrize("alive", [lambda i: i != 1, lambda i: i == 0 or i > 15])
def test_few_rows_that_fit_samples_first_by_luck_do_not_decide(alive):
    """Time comes first, in flat rows; the output is that of step 0, where some samples are dead."""
    T = 4

    def time_first(net, x):
        return net.b(torch.relu(net.a(x.transpose(0, 1).flatten(0, 1))).unflatten(0, (T, -1))[0])

    def samples_first(net, x):
        return net.b(torch.relu(net.a(x.flatten(0, 1))).unflatten(0, (-1, T))[:, 0])

    X = gaussian(30 * T, 4).reshape(30, T, 4).abs()
    X[[i for i in range(30) if not alive(i)], 0] *= -1
    nets = Net(time_first), Net(samples_first)
    for net in nets:
        net.a.weight.data.abs_()
        net.a.bias.data.zero_()
    for options in ({}, {"batch_size": 7}):
        audit, expected = (nfa.audit(net, X, **options) for net in nets)
        assert [layer["name"] for layer in audit] == ["a", "b"]
        assert_same_table(audit, expected, 1e-9)


def test_late_rows_that_fit_by_luck_do_not_decide():
    """As above, with all samples alive in the second batch alone: the rows of its first one fit samples first."""
    T = 4

    def time_first(net, x):
        return net.b(torch.relu(net.a(x.transpose(0, 1).flatten(0, 1))).unflatten(0, (T, -1))[0])

    def samples_first(net, x):
        return net.b(torch.relu(net.a(x.flatten(0, 1))).unflatten(0, (-1, T))[:, 0])

    X = gaussian(30 * T, 4).reshape(30, T, 4).abs()
    first, _, *others = as_samples(X).batches(7)
    for batch in (first, *others):
        X[batch.samples, 0] *= -1
    nets = Net(time_first), Net(samples_first)
    for net in nets:
        net.a.weight.data.abs_()
        net.a.bias.data.zero_()
    for options in ({}, {"batch_size": 7}):
        assert_same_table(*(nfa.audit(net, X, **options) for net in nets), 1e-9)


def test_rows_of_two_samples_may_fit_two_layouts():
    """Sample 0 is read at step 0 and sample 1 at step 1: rows 0 and 3 of four, whether time or samples come first."""

    def read(h, x):  # h: n x 2 x k
        return torch.where(x[:, 0, :1] > 0, h[:, 0], h[:, 1])

    def time_first(net, x):
        h = torch.tanh(net.a(x.transpose(0, 1).flatten(0, 1))).unflatten(0, (2, -1)).transpose(0, 1)
        return net.b(read(h, x))

    def samples_first(net, x):
        return net.b(read(torch.tanh(net.a(x.flatten(0, 1))).unflatten(0, (-1, 2)), x))

    X = gaussian(60, 4).reshape(30, 2, 4)
    X[0, 0, 0], X[1, 0, 0] = 1.0, -1.0
    assert_same_table(nfa.audit(Net(time_first), X), nfa.audit(Net(samples_first), X), 1e-9)


def trimmed(net, x):
    """The mean over a sample's positions that are not 0, of a batch that is cut to its longest sample."""
    there = (x != 0).any(-1)
    longest = int(there.sum(1).max())
    x, there = x[:, :longest], there[:, :longest]
    return net.b((torch.tanh(net.a(x)) * there[..., None]).sum(1) / there.sum(1, keepdim=True))


@pytest.mark.parametrize(("batch_size", "rows", "uneven"), [(40, 40 * 7, False), (8, 32 * 3 + 8 * 7, True)])
def test_a_network_that_trims_its_batches_has_a_note_where_their_lengths_differ(batch_size, rows, uneven):
    X = gaussian(40 * 7, 4).reshape(40, 7, 4)
    X[:, 3:] = 0
    X[39] = 1
    found = nfa.audit(Net(trimmed), X, batch_size=batch_size)
    assert found["a"]["rows"] == rows
    assert ("another number of rows in one batch than in another" in found["a"]["note"]) == uneven
    assert "another number" not in found["b"]["note"]
