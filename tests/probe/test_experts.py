"""Experts that rows are sent to, against the same network in which every expert sees every row, weighted by 0 or 1."""

import pytest
import torch
from helpers import assert_same_table, gaussian
from torch import nn

import nfa
from nfa.probe import Probe, activations


class Routed(nn.Module):
    """Rows go to one expert each; `tokens` and `k` make several of them a sample's, or send each to two."""

    def __init__(self, experts=4, tokens=1, k=1, always=True):
        super().__init__()
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)) for _ in range(experts))
        self.gate, self.head, self.tokens, self.k = nn.Linear(4, experts), nn.Linear(3, 2), tokens, k
        self.always = always

    def forward(self, x):
        rows = x.reshape(-1, 4)
        weights, chosen = self.gate(rows).softmax(1).topk(self.k, 1)
        out = rows.new_zeros(len(rows), 3)
        for number, expert in enumerate(self.experts):
            row, place = (chosen == number).nonzero(as_tuple=True)
            if not self.always and not len(row):
                continue
            out = out.index_add(0, row, weights[row, place, None] * expert(rows[row]))
        return self.head(torch.tanh(out).reshape(len(x), self.tokens, 3).sum(1))


def by_hand(net, x):
    """By layer of the experts: S over the rows that reach it, from gradients at every row of every expert."""
    rows = x.reshape(-1, 4)
    weights, chosen = net.gate(rows).softmax(1).topk(net.k, 1)
    zeros, out = {}, 0
    for number, expert in enumerate(net.experts):
        mine = (weights * (chosen == number)).sum(1)
        hidden = expert[0](rows)
        zeros[f"experts.{number}.0"] = torch.zeros_like(hidden, requires_grad=True)
        z = expert[2](torch.tanh(hidden + zeros[f"experts.{number}.0"]))
        zeros[f"experts.{number}.2"] = torch.zeros_like(z, requires_grad=True)
        out = out + mine[:, None] * (z + zeros[f"experts.{number}.2"])
    f = net.head(torch.tanh(out).reshape(len(x), net.tokens, 3).sum(1))
    S, counts = {}, {}
    for name, zero in zeros.items():
        number = int(name.split(".")[1])
        reached = (chosen == number).any(1)
        deltas = [torch.autograd.grad(f[:, c].sum(), zero, retain_graph=True)[0][reached] for c in range(2)]
        counts[name] = int(reached.sum())
        S[name] = sum(delta.T @ delta for delta in deltas) / max(1, counts[name])
    return S, counts


@pytest.mark.parametrize(("experts", "tokens", "k"), [(2, 1, 1), (8, 1, 1), (3, 5, 1), (4, 3, 2)])
def test_experts_are_measured_over_the_rows_that_reach_them(experts, tokens, k):
    torch.manual_seed(0)
    net = Routed(experts, tokens, k).double()
    X = torch.randn(60, tokens, 4, dtype=torch.float64)
    S, counts = by_hand(net, X)
    seen = {name for name, count in counts.items() if count}
    audits = [nfa.audit(net, X, batch_size=batch_size) for batch_size in (7, 512)]
    for audit in audits:
        assert {each["name"]: each["kind"] for each in audit.skipped} == dict.fromkeys(set(counts) - seen, "no rows")
        assert {layer["name"] for layer in audit} == {*seen, "gate", "head"}
        for name, expected in S.items():
            if name not in seen:
                continue
            assert audit[name]["rows"] == counts[name]
            torch.testing.assert_close(audit[name].S, expected, rtol=1e-9, atol=1e-13)
    assert_same_table(audits[0], audits[1], 1e-8)
    name = min(seen)
    exact, probed = (audit[name].agop.dense() for audit in (audits[1], nfa.audit(net, X, probes=400)))
    assert float((probed - exact).norm() / exact.norm()) < 0.2


def test_no_split_of_the_rows_changes_random_probes():
    torch.manual_seed(0)
    net, X = Routed().double(), torch.randn(60, 1, 4, dtype=torch.float64)
    assert_same_table(nfa.audit(net, X, probes=3, batch_size=7), nfa.audit(net, X, probes=3), 1e-8)


def test_a_float32_network_with_experts():
    torch.manual_seed(0)
    net, X = Routed(), torch.randn(300, 1, 4)
    assert_same_table(nfa.audit(net, X), nfa.audit(net.double(), X.double()), 2e-3)


@pytest.mark.parametrize("always", [True, False])
def test_an_expert_that_the_first_rows_do_not_reach(always):
    torch.manual_seed(0)
    net = Routed(2, always=always)
    net.gate.weight.data.zero_()
    net.gate.weight.data[:, 0] = torch.tensor([1.0, -1.0])
    net.gate.bias.data.zero_()
    X = gaussian(400, 4, dtype=torch.float32)[:, None].abs()
    X[50] = -X[50]
    audit = nfa.audit(net, X)
    assert audit["experts.1.0"]["rows"] == 1
    # One that is not run before the samples that are looked at first have passed is named.
    X[50] = -X[50]
    X[390] = -X[390]
    audit = nfa.audit(net, X)
    if always:
        assert audit["experts.1.0"]["rows"] == 1
        return
    assert {"name": "experts.1.0", "kind": "Linear"} in audit.skipped


def test_the_rows_of_experts_are_no_table():
    torch.manual_seed(0)
    net, X = Routed(), torch.randn(60, 1, 4)
    with Probe(net, X) as probe:
        message = "^layers: experts.0.0 sees rows of some samples alone, or in an order that no gradient shows$"
        with pytest.raises(nfa.InputError, match=message):
            activations(probe, ["experts.0.0"])


def test_rows_of_several_samples_are_no_samples_rows():
    class Pooled(nn.Module):
        """Neighbours share rows of the first layer, too little to show in the outputs."""

        def __init__(self):
            super().__init__()
            self.mix, self.head = nn.Linear(4, 5), nn.Linear(4, 2)

        def forward(self, x):
            pairs = torch.cat([x, x]).unfold(0, 2, 1)[: len(x) + 1].mean(2)
            z = self.mix(pairs)
            return self.head(x) + 1e-14 * (z[:-1] + z[1:]).sum(1, keepdim=True)

    audit = nfa.audit(Pooled().double(), gaussian(20, 4))
    assert audit.skipped == [{"name": "mix", "kind": "samples not first"}]


class Stacked(nn.Module):
    """The experts' weights are one parameter, of which each takes its matrix."""

    def __init__(self, always):
        super().__init__()
        self.W, self.V = (nn.Parameter(gaussian(3, 6 * d, seed=d).reshape(3, 6, d)) for d in (4, 2))
        self.always = always
        self.double()

    def forward(self, x):
        chosen = torch.bucketize(x[:, 0].contiguous(), torch.tensor([-0.5, 2.0]).to(x))
        y = x.new_zeros(len(x), 2)
        for number in range(3):
            rows = (chosen == number).nonzero()[:, 0]
            if self.always or len(rows):
                y = y.index_add(0, rows, torch.tanh(nn.functional.linear(x[rows], self.W[number])) @ self.V[number])
        return y


@pytest.mark.parametrize("always", [True, False])
@pytest.mark.parametrize("rare", [3, 200, None])
def test_stacked_experts_are_a_layer_each_whichever_come_first(always, rare):
    """The last expert sees one row, which comes among the first, after them, or not at all."""
    net, X = Stacked(always), gaussian(300, 4, seed=3)
    X[:, 0] = X[:, 0].clamp(max=1.9)
    if rare is not None:
        X[rare, 0] = 3.0
    audit = nfa.audit(net, X)
    known = [0, 1] if rare is None or (rare == 200 and not always) else [0, 1, 2]
    assert sorted(layer["name"] for layer in audit) == sorted(f"{name}.{number}" for name in "WV" for number in known)
    assert {skip["name"] for skip in audit.skipped} == (set() if 2 in known else {"W.2", "V.2"})
    for number in known:
        rows = X[torch.bucketize(X[:, 0].contiguous(), torch.tensor([-0.5, 2.0]).double()) == number]
        hidden = torch.tanh(rows @ net.W[number].T)
        delta = net.V[number].T[None] * (1 - hidden**2)[:, None]
        S = torch.einsum("nck,ncl->kl", delta, delta).detach() / len(rows)
        torch.testing.assert_close(audit[f"W.{number}"].S, S)
        assert audit[f"W.{number}"]["rows"] == len(rows)
