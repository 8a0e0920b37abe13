"""Weights that hold several matrices side by side, against the same network of linear layers, one for each."""

import math

import pytest
import torch
import torch.nn.functional as F
from helpers import assert_same_table, gaussian
from torch import nn
from torch.func import jacrev, vmap

import nfa
from nfa.probe import Probe, activations

M, D, K = 3, 5, 4


class Stacked(nn.Module):
    """m networks side by side, written by one product for all of their first layers; a head over their outputs."""

    def __init__(self, product, shape):
        super().__init__()
        self.W, self.head = nn.Parameter(torch.randn(shape)), nn.Linear(K, 2)
        self.product = product

    def forward(self, x):
        z = self.product(x, self.W)  # n x m x k
        return self.head(torch.tanh(z).square().cumsum(1)[:, -1])


class Apart(nn.Module):
    """The same with a linear layer for each."""

    def __init__(self, matrices, head, own_rows):
        super().__init__()
        self.W = nn.ModuleList(nn.Linear(W.shape[1], W.shape[0], bias=False) for W in matrices)
        for layer, W in zip(self.W, matrices, strict=True):
            layer.weight.data = W.detach().clone()
        self.head, self.own_rows = head, own_rows

    def forward(self, x):
        z = torch.stack([layer(x[:, i] if self.own_rows else x) for i, layer in enumerate(self.W)], 1)
        return self.head(torch.tanh(z).square().cumsum(1)[:, -1])


def upright(W):
    return list(W.mT)


def as_they_are(W):
    return list(W)


PRODUCTS = {
    "matmul": (lambda x, W: (x[None] @ W).transpose(0, 1), (M, D, K), upright, False),
    "broadcast": (lambda x, W: (x[:, None, None] @ W).squeeze(2), (M, D, K), upright, False),
    "bmm": (lambda x, W: torch.bmm(x.transpose(0, 1), W).transpose(0, 1), (M, D, K), upright, True),
    "baddbmm": (
        lambda x, W: torch.baddbmm(torch.ones(()).double(), x.transpose(0, 1), W, alpha=1.0).transpose(0, 1) - 1,
        (M, D, K), upright, True,
    ),
    "left": (lambda x, W: (W @ x.permute(1, 2, 0)).permute(2, 0, 1), (M, K, D), as_they_are, True),
    "left, shared rows": (lambda x, W: (W @ x.T).permute(2, 0, 1), (M, K, D), as_they_are, False),
    "einsum": (lambda x, W: torch.einsum("nmd,mdk->nmk", x, W), (M, D, K), upright, True),
    "einsum, shared rows": (
        lambda x, W: torch.einsum("nd,mkd->mnk", x, W).transpose(0, 1), (M, K, D), as_they_are, False,
    ),
    "einsum, ellipsis": (lambda x, W: torch.einsum("mdk,...md->...mk", W, x), (M, D, K), upright, True),
    "einsum, last": (
        lambda x, W: torch.einsum("nmd,dkm->nkm", x, W).mT, (D, K, M), lambda W: list(W.permute(2, 1, 0)), True,
    ),
    "two axes": (
        lambda x, W: (x.reshape(-1, 1, 2, 1, D) @ W)[:, :, :, 0].flatten(1, 2),
        (3, 2, D, K), lambda W: list(W.flatten(0, 1).mT), None,
    ),
}  # fmt: skip


def networks(kind):
    torch.manual_seed(0)
    product, shape, matrices, own_rows = PRODUCTS[kind]
    net = Stacked(product, shape).double()
    m = 2 if own_rows is None else M
    X = torch.randn(12, m, D, dtype=torch.float64) if own_rows in (True, None) else gaussian(12, D)
    plain = Apart(matrices(net.W), net.head, own_rows)
    if own_rows is None:
        plain.forward = lambda x: Apart.forward(plain, x.repeat(1, 3, 1))
        plain.own_rows = True
    return net, plain.double(), X


@pytest.mark.parametrize("kind", PRODUCTS)
def test_each_matrix_is_a_layer(kind):
    net, plain, X = networks(kind)
    torch.testing.assert_close(net(X), plain(X))
    y = torch.arange(12) % 2
    audit, expected = nfa.audit(net, (X, y), loss="cross_entropy"), nfa.audit(plain, (X, y), loss="cross_entropy")
    assert audit.skipped == []
    names = [layer["name"] for layer in expected]
    if kind == "two axes":
        assert [layer["name"] for layer in audit] == [f"W.{i}.{j}" for i in range(3) for j in range(2)] + ["head"]
    else:
        assert [layer["name"] for layer in audit] == names
    for layer, other in zip(audit, expected, strict=True):
        torch.testing.assert_close(layer.weight, other.weight)
        torch.testing.assert_close(layer.S, other.S, rtol=1e-10, atol=1e-14)
        for column, value in other.row.items():
            # Layers side by side count as one layer on the way to the output.
            if isinstance(value, float) and "linear" not in column:
                assert layer[column] == pytest.approx(value, rel=1e-7, abs=1e-9, nan_ok=True), column
    with Probe(net, X) as own, Probe(plain, X) as other:
        assert {layer.to_output for layer in own.layers[:-1]} == {2}
        places = {layer["name"]: name for layer, name in zip(audit, names, strict=True)}
        first, last = next(iter(places)), list(places)[-2]
        got = activations(own, [first, last]).rows
        rows = activations(other, [places[first], places[last]]).rows
        for name in (first, last):
            torch.testing.assert_close(got[name], rows[places[name]])
        weights = {name: torch.randn(K, D, dtype=torch.float64) for name in (first, last)}
        changed = activations(own, weights=weights).outputs
        right = activations(other, weights={places[name]: W for name, W in weights.items()}).outputs
        torch.testing.assert_close(changed, right)


def test_agop_of_a_slice_is_that_of_dense_gradients():
    net, _, X = networks("bmm")

    def after(row, h, i):
        z = torch.stack([(h if j == i else row[j]) @ net.W[j] for j in range(M)])
        return net.head(torch.tanh(z).square().cumsum(0)[-1])

    for i in range(M):
        J = vmap(jacrev(lambda row, h, i=i: after(row, h, i), argnums=1))(X, X[:, i])
        expected = torch.einsum("ncd,nce->de", J, J) / len(X)
        torch.testing.assert_close(nfa.agop(net, X)[f"W.{i}"].dense(), expected, rtol=1e-10, atol=1e-14)


def test_one_matrix_in_a_stack_has_no_number():
    net = Stacked(lambda x, W: (x[None] @ W).transpose(0, 1), (1, D, K))
    audit = nfa.audit(net, torch.randn(20, D))
    assert [layer["name"] for layer in audit] == ["W", "head"]


MERGED = {
    "heads behind the features": (lambda x, W: torch.einsum("nd,dhk->nhk", x, W), (D, 2, K), lambda W: W.flatten(1).T),
    "heads are summed over": (
        lambda x, W: torch.einsum("nhd,hdk->nk", x.reshape(-1, 2, 3), W)[:, None], (2, 3, K),
        lambda W: W.flatten(0, 1).T,
    ),
    "tensordot": (lambda x, W: torch.tensordot(x.reshape(-1, 2, 3), W, 2)[:, None], (2, 3, K),
                  lambda W: W.flatten(0, 1).T),
    "tensordot from the left": (
        lambda x, W: torch.tensordot(W, x, dims=([1], [1])).permute(2, 0, 1), (2, D, K),
        lambda W: W.permute(0, 2, 1).flatten(0, 1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", MERGED)
def test_a_weight_of_several_axes_may_be_one_matrix(kind):
    torch.manual_seed(0)
    product, shape, matrix = MERGED[kind]
    net = Stacked(product, shape).double()
    X = gaussian(12, math.prod(shape[:2]) if kind in ("heads are summed over", "tensordot") else D)
    W = matrix(net.W.detach())
    plain = nn.Linear(W.shape[1], W.shape[0], bias=False).double()
    plain.weight.data = W.clone()
    whole = nn.Sequential(plain, nn.Unflatten(1, (-1, K)), Rest(net.head))
    torch.testing.assert_close(net(X), whole(X))
    audit, expected = nfa.audit(net, X), nfa.audit(whole, X)
    assert_same_table(audit, expected, 1e-9, names=False)
    with Probe(net, X) as own:
        changed = activations(own, ["W"], {"W": 2 * W})
        torch.testing.assert_close(changed.rows["W"], X[:, None])
        plain.weight.data.mul_(2)
        torch.testing.assert_close(changed.outputs, whole(X))


class Rest(nn.Module):
    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self, z):
        return self.head(torch.tanh(z).square().cumsum(1)[:, -1])


def test_ensembles_of_more_matrices_than_a_table_holds_are_named():
    net = Stacked(lambda x, W: (x[None] @ W).transpose(0, 1), (1025, D, K))
    audit = nfa.audit(net, torch.randn(20, D))
    assert [layer["name"] for layer in audit] == ["head"]
    assert audit.skipped == [{"name": "W", "kind": "Stacked, in matmul"}]


class Vmapped(nn.Module):
    """An ensemble whose members run inside `torch.vmap`, on rows of their own or the same for all."""

    def __init__(self, own_rows):
        super().__init__()
        self.W, self.b = nn.Parameter(torch.randn(M, K, D)), nn.Parameter(torch.randn(M, K))
        self.head, self.own_rows = nn.Linear(K, 2), own_rows

    def forward(self, x):
        def member(W, b, x):
            return torch.tanh(F.linear(x, W, b))

        z = torch.vmap(member, (0, 0, 1 if self.own_rows else None))(self.W, self.b, x)
        return self.head(z.square().cumsum(0)[-1])


class Members(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.W = nn.ModuleList(nn.Linear(D, K) for _ in range(M))
        for layer, W, b in zip(self.W, net.W, net.b, strict=True):
            layer.weight.data, layer.bias.data = W.detach().clone(), b.detach().clone()
        self.head, self.own_rows = net.head, net.own_rows

    def forward(self, x):
        z = [torch.tanh(layer(x[:, i] if self.own_rows else x)) for i, layer in enumerate(self.W)]
        return self.head(torch.stack(z).square().cumsum(0)[-1])


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("own_rows", [False, True])
def test_a_vmapped_ensemble(own_rows, frozen):
    torch.manual_seed(0)
    net = Vmapped(own_rows).double()
    plain = Members(net).double()
    net.requires_grad_(not frozen)
    X = torch.randn(12, M, D, dtype=torch.float64) if own_rows else gaussian(12, D)
    y = torch.arange(12) % 2
    torch.testing.assert_close(net(X), plain(X))
    audit, expected = nfa.audit(net, (X, y), loss="cross_entropy"), nfa.audit(plain, (X, y), loss="cross_entropy")
    assert [layer["name"] for layer in audit] == ["W.0", "W.1", "W.2", "head"]
    for layer, other in zip(audit, expected, strict=True):
        torch.testing.assert_close(layer.weight, other.weight)
        torch.testing.assert_close(layer.S, other.S, rtol=1e-10, atol=1e-14)
        assert layer["fact_cosine"] == pytest.approx(other["fact_cosine"])
    with Probe(net, X) as own, Probe(plain, X) as other:
        rows = activations(other, ["W.1"]).rows["W.1"]
        torch.testing.assert_close(activations(own, ["W.1"]).rows["W.1"], rows)
        weights = {name: torch.randn(K, D, dtype=torch.float64) for name in ("W.0", "W.2")}
        changed, right = (activations(probe, weights=weights).outputs for probe in (own, other))
        torch.testing.assert_close(changed, right)


def test_a_layer_mapped_over_samples_is_measured_or_named():
    class Mapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.head = nn.Linear(D, K), nn.Linear(K, 2)

        def forward(self, x):
            return self.head(torch.tanh(torch.vmap(self.inner)(x)))

    audit = nfa.audit(Mapped(), torch.randn(20, D))
    assert [layer["name"] for layer in audit] == ["head"]
    assert [each["name"] for each in audit.skipped] == ["inner"]


COPIES = {
    "repeat": lambda x, W: torch.bmm(x[:, None], W.repeat(len(x), 1, 1))[:, 0],
    "contiguous": lambda x, W: torch.bmm(x[:, None], W.expand(len(x), -1, -1).contiguous())[:, 0],
    "stack": lambda x, W: torch.bmm(x[:, None], torch.stack([W] * len(x)))[:, 0],
    "index": lambda x, W: (x[:, None] @ W[None][[0] * len(x)])[:, 0],
    "sum": lambda x, W: (x[:, None] @ (W[None] + torch.zeros(len(x), 1, 1)))[:, 0],
    "einsum": lambda x, W: torch.einsum("nd,ndk->nk", x, W.repeat(len(x), 1, 1)),
}


class Once(nn.Module):
    """A product with one matrix W (d x k), and a head."""

    def __init__(self, product):
        super().__init__()
        torch.manual_seed(0)
        self.W, self.head, self.product = nn.Parameter(torch.randn(D, K)), nn.Linear(K, 2), product
        self.double()

    def forward(self, x):
        return self.head(torch.tanh(self.product(x, self.W)))


@pytest.mark.parametrize("batch_size", [4, 512])
@pytest.mark.parametrize("way", COPIES)
def test_a_matrix_copied_for_each_sample_is_one_layer(way, batch_size):
    net, plain, X = Once(COPIES[way]), Once(torch.matmul), gaussian(14, D)
    torch.testing.assert_close(net(X), plain(X))
    audit = nfa.audit(net, X, batch_size=batch_size)
    assert_same_table(audit, nfa.audit(plain, X), 1e-9)
    assert not audit.skipped
    with Probe(net, X) as own, Probe(plain, X) as other:
        W = 2 * plain.W.detach().T
        got, expected = (activations(probe, ["W"], {"W": W}) for probe in (own, other))
        torch.testing.assert_close((got.outputs, got.rows["W"]), (expected.outputs, expected.rows["W"]))


def test_matrices_that_only_later_samples_meet_are_named():
    net = Stacked(lambda x, W: (x[None] @ W[: 2 if len(x) < 3 else M]).transpose(0, 1), (M, D, K))
    audit = nfa.audit(net, torch.randn(20, D))
    assert [layer["name"] for layer in audit] == ["W.0", "W.1", "head"]
    assert audit.skipped == [{"name": "W.2", "kind": "used only after the first samples"}]


class StackedModules(nn.Module):
    """A module's parameters stacked, as `stack_module_state` hands them over, and called by `functional_call`."""

    def __init__(self):
        super().__init__()
        members = [nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)) for _ in range(3)]
        stacked, _ = torch.func.stack_module_state(members)
        self.stacked = nn.ParameterDict({name.replace(".", "_"): each.detach() for name, each in stacked.items()})
        self.unused = nn.ParameterDict({"bias": torch.ones(3, 5)})
        self.__dict__["member"] = members[0]

    def forward(self, x):
        def run(own):
            return torch.func.functional_call(self.member, {key.replace("_", "."): own[key] for key in own}, x)

        return torch.vmap(run)(dict(self.stacked)).mean(0)


def test_stacked_biases_are_no_matrices_that_were_left_out():
    found = nfa.audit(StackedModules().double(), gaussian(24, 6))
    assert [layer["name"] for layer in found] == [f"stacked.{n}_weight.{i}" for n in (0, 2) for i in range(3)]
    assert found.skipped == [{"name": "unused", "kind": "ParameterDict"}]


def test_stacked_vectors_that_are_a_matrix_of_the_data_are_named():
    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.A, self.head = nn.Parameter(torch.randn(5, 6)), nn.Linear(5, 2)

        def forward(self, x):
            return self.head(torch.tanh(torch.vmap(lambda row: x @ row, out_dims=1)(self.A)))

    found = nfa.audit(Rows(), torch.randn(24, 6))
    assert [layer["name"] for layer in found] == ["head"]
    assert [each["name"] for each in found.skipped] == ["A"]
