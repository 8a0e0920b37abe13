"""Products whose result has the axes of the rows in another order, or a weight repeated along an axis."""

import pytest
import torch
from torch import nn
from torch.func import jacrev, vmap

import nfa
from nfa.probe import Probe, activations

N, T, D, K = 12, 3, 4, 5


class Net(nn.Module):
    """One product, whose result z comes as n x T x k once the order is undone, and a head."""

    def __init__(self, product, back):
        super().__init__()
        torch.manual_seed(0)
        self.W, self.head = nn.Parameter(torch.randn(D, K)), nn.Linear(K, 2)
        self.product, self.back = product, back
        self.double()

    def forward(self, x):
        return self.after(self.back(self.product(x, self.W)))

    def after(self, z):
        # Every step counts with another weight, so that rows and gradients of other steps do not fit together.
        return self.head((torch.tanh(z).square() * torch.arange(1, T + 1)[:, None]).cumsum(-2).tanh().sum(-2))


def expanded(x, W):
    return W.unsqueeze(0).expand(len(x), -1, -1)


PRODUCTS = {
    "plain": (lambda x, W: torch.einsum("ntd,dk->ntk", x, W), lambda z: z),
    "turned": (lambda x, W: torch.einsum("ntd,dk->tnk", x, W), lambda z: z.transpose(0, 1)),
    "turned, last": (lambda x, W: torch.einsum("ntd,dk->ktn", x, W), lambda z: z.permute(2, 1, 0)),
    "ellipsis moved": (lambda x, W: torch.einsum("n...d,dk->...nk", x, W), lambda z: z.transpose(0, 1)),
    "ellipsis of two": (
        lambda x, W: torch.einsum("...td,dk->t...k", x[:, None], W),
        lambda z: z[:, :, 0].transpose(0, 1),
    ),
    "implicit": (lambda x, W: torch.einsum("btd,dk", x, W), lambda z: z.mT),
    "bmm": (lambda x, W: torch.bmm(x, expanded(x, W)), lambda z: z),
    "matmul": (lambda x, W: x @ expanded(x, W), lambda z: z),
    "from the left": (lambda x, W: expanded(x, W).mT @ x.mT, lambda z: z.mT),
    "over samples": (lambda x, W: torch.einsum("ntd,ndk->tnk", x, expanded(x, W)), lambda z: z.transpose(0, 1)),
    "a stack of one": (lambda x, W: torch.einsum("ntd,mdk->mtnk", x, W[None]), lambda z: z[0].transpose(0, 1)),
    "one goes with all": (lambda x, W: torch.einsum("ntd,ndk->tnk", x, W[None]), lambda z: z.transpose(0, 1)),
    "rows alike": (lambda x, W: x[:, None] @ W.expand(2, D, K), lambda z: z[:, 1]),
    "flat rows alike": (
        lambda x, W: x.flatten(0, 1) @ W.expand(2, D, K),
        lambda z: (z[0] / 2 + z[1] / 2).unflatten(0, (-1, T)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", PRODUCTS)
def test_rows_and_gradients_belong_together(kind):
    product, back = PRODUCTS[kind]
    net, X = Net(product, back), torch.randn(N, T, D, dtype=torch.float64)
    plain = Net(lambda x, W: x @ W, lambda z: z)
    torch.testing.assert_close(net(X), plain(X))
    y = torch.arange(N) % 2
    audit = nfa.audit(net, (X, y), loss="cross_entropy")
    expected = nfa.audit(plain, (X, y), loss="cross_entropy")
    assert [layer["name"] for layer in audit] == ["W", "head"]
    assert audit.skipped == []
    W = plain.W.detach()
    torch.testing.assert_close(audit["W"].weight, W.T)
    assert audit["W"]["fact_cosine"] == pytest.approx(expected["W"]["fact_cosine"], rel=1e-9)
    copies = 2 if "alike" in kind else 1
    if copies == 1:
        J = vmap(jacrev(plain.after))(X @ W).detach()  # n x c x T x k
        S = torch.einsum("ncti,nctj->ij", J, J) / (N * T)
        torch.testing.assert_close(audit["W"].S, S)
    with Probe(net, X) as probe:
        rows = activations(probe, ["W"]).rows["W"]
        assert rows.shape == (N, copies * T, D)
        torch.testing.assert_close(rows.reshape(N, -1, T, D), X[:, None].expand(-1, copies, -1, -1))
        other = torch.randn(K, D, dtype=torch.float64)
        changed = activations(probe, weights={"W": other}).outputs
        torch.testing.assert_close(changed, plain.after(X @ other.T).detach())


def test_an_ellipsis_that_is_summed_over_makes_no_layer():
    net = Net(lambda x, W: torch.einsum("n...d,dk->nk", x, W)[:, None].expand(-1, T, -1), lambda z: z)
    audit = nfa.audit(net, torch.randn(N, T, D, dtype=torch.float64))
    assert [layer["name"] for layer in audit] == ["head"]


class Sorted(nn.Module):
    """A network that sorts its samples by their first entry, and brings the outputs back in order."""

    def __init__(self, sorts):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.sorts = nn.Linear(D, K), nn.Linear(K, 2), sorts
        self.double()

    def forward(self, x):
        if not self.sorts:
            return self.b(torch.tanh(self.a(x)))
        order = x[:, 0].argsort()
        return self.b(torch.tanh(self.a(x[order]))[order.argsort()])


@pytest.mark.parametrize("descending", [False, True])
def test_samples_that_a_network_sorts_are_told_apart(descending):
    torch.manual_seed(0)
    X = torch.randn(30, D, dtype=torch.float64)
    X[:2] = X[:2][X[:2, 0].argsort(descending=descending)]
    got, expected = (nfa.audit(Sorted(sorts), X, probes=8) for sorts in (True, False))
    for left, right in zip(got, expected, strict=True):
        for column in ("cosine", "cosine_centered", "ci_low", "ci_high", "alignment_low"):
            assert left[column] == pytest.approx(right[column], rel=1e-9, nan_ok=True)
    with Probe(Sorted(True), X) as probe:
        torch.testing.assert_close(activations(probe, ["a"]).rows["a"][:, 0], X)


class Late(nn.Module):
    """A layer that counts for samples that say so in their first entry, and for the second output alone."""

    def __init__(self, time_first):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.time_first = nn.Linear(D, K), nn.Linear(D, 2), time_first
        self.double()

    def forward(self, x):
        h = x.transpose(0, 1) if self.time_first else x
        z = torch.tanh(self.a(h) / 20).square().sum(-1, keepdim=True) * (h[..., :1] > 10)
        f = torch.tanh(self.b(h)).square() + torch.cat([0 * z, z], -1)
        return (f.transpose(0, 1) if self.time_first else f).cumsum(1).tanh().sum(1)


@pytest.mark.parametrize("late", [[28], [16, 17], range(16, 30)])
@pytest.mark.parametrize("batch_size", [2, 4, 5, 512])
def test_a_layer_whose_gradients_come_late_is_laid_out_by_them(late, batch_size):
    X = torch.randn(30, 4, D, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    X[list(late), :, 0] += 20
    found = []
    for time_first in (True, False):
        with Probe(Late(time_first), X) as probe:
            found.append([dict(sweep.deltas)["a"] for sweep in probe.sweeps(batch_size=batch_size)])
            assert probe.skipped() == []
    for left, right in zip(*found, strict=True):
        torch.testing.assert_close(left, right)
