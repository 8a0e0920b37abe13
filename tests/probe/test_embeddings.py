"""Embeddings against linear layers of one-hot rows."""

import pytest
import torch
import torch.nn.functional as F
from helpers import assert_same_table
from torch import nn

import nfa
from nfa.probe import Probe, activations

V = 7


class Table(nn.Module):
    """A table looked up in one way, positions learned besides, and two linear layers."""

    def __init__(self, look_up):
        super().__init__()
        self.table, self.positions = nn.Parameter(torch.randn(V, 4)), nn.Embedding(3, 4)
        self.inner, self.head = nn.Linear(4, 5), nn.Linear(5, 2)
        self.look_up = look_up

    def forward(self, ids):
        h = self.look_up(ids, self.table) + self.positions(torch.arange(3))
        return self.head(torch.tanh(self.inner(torch.tanh(h))).mean(1))


class OneHot(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.table = nn.Linear(V, 4, bias=False)
        self.table.weight.data = net.table.detach().T.clone()
        self.inner, self.head, self.positions = net.inner, net.head, net.positions.weight.detach().clone()

    def forward(self, x):
        return self.head(torch.tanh(self.inner(torch.tanh(self.table(x) + self.positions))).mean(1))


LOOK_UPS = {
    "embedding": F.embedding,
    "index": lambda ids, table: table[ids],
    "from the end": lambda ids, table: table[(ids - V,)],
    "index_select": lambda ids, table: table.index_select(0, ids.flatten()).unflatten(0, ids.shape),
    "aten": lambda ids, table: torch.ops.aten.embedding.default(table, ids),
}


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("kind", LOOK_UPS)
def test_a_look_up_is_a_linear_layer_of_one_hot_rows(kind, frozen):
    torch.manual_seed(0)
    net = Table(LOOK_UPS[kind]).double().requires_grad_(not frozen)
    plain = OneHot(net).double()
    ids, y = torch.randint(V, (12, 3)), torch.arange(12) % 2
    X = F.one_hot(ids, V).double()
    torch.testing.assert_close(net(ids), plain(X))
    audit, expected = nfa.audit(net, (ids, y), loss="cross_entropy"), nfa.audit(plain, (X, y), loss="cross_entropy")
    assert [layer["name"] for layer in audit] == ["table", "inner", "head"]
    assert_same_table(audit, expected, 1e-9)
    assert [each["name"] for each in audit.skipped] == ["positions"]
    with Probe(net, ids) as own, Probe(plain, X) as other:
        torch.testing.assert_close(activations(own, ["table"]).rows["table"], X)
        W = torch.randn(4, V, dtype=torch.float64)
        changed, right = (activations(probe, weights={"table": W}).outputs for probe in (own, other))
        torch.testing.assert_close(changed, right)


def test_of_a_large_table_nothing_is_formed_but_what_is_asked_for():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Embedding(200_000, 3), nn.Flatten(), nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    ids = torch.randint(200_000, (20, 2))
    layer = nfa.audit(net, ids)["0"]
    W, S = net[0].weight.detach().T, layer.S
    for matrix, factor in ((layer.nfm, torch.eye(3).double()), (layer.agop, S)):
        torch.testing.assert_close(matrix.diagonal(), ((W.T @ factor) * W.T).sum(1))
        values, vectors = matrix.top(2)
        torch.testing.assert_close(W.T @ (factor @ (W @ vectors)), vectors * values)


def test_a_table_that_is_rescaled_on_the_way_is_no_layer():
    net = nn.Sequential(nn.Embedding(V, 4, max_norm=1.0), nn.Flatten(), nn.Linear(12, 2))
    audit = nfa.audit(net, torch.randint(V, (12, 3)))
    assert [layer["name"] for layer in audit] == ["2"]
    assert audit.skipped == [{"name": "0", "kind": "Embedding"}]


@pytest.mark.parametrize(
    "look_up",
    [
        lambda ids, table: F.embedding(ids, table, padding_idx=2),
        lambda ids, table: F.embedding(ids, table, padding_idx=2 - V),
        lambda ids, table: torch.ops.aten.embedding.default(table, ids, 2),
        lambda ids, table: torch.ops.aten.embedding.default(table, ids),
    ],
)
def test_padding_has_no_gradient_as_in_training(look_up):
    torch.manual_seed(0)
    net = Table(look_up).double()
    ids, y = torch.randint(V, (12, 3)), torch.arange(12) % 2
    ids[:, 2] = 2
    W = net.table.detach()
    G = torch.autograd.grad(F.cross_entropy(net(ids), y), net.table)[0]
    layer = nfa.audit(net, (ids, y), loss="cross_entropy", weight_decay=0.1)["table"]
    assert layer["fact_lambda"] == pytest.approx(float(-(W * G).sum() / W.square().sum()), rel=1e-9)
    # Its rows are rows of the AGOP all the same: the outputs depend on them.
    with Probe(net, ids) as probe:
        assert layer["rows"] == activations(probe, ["table"]).rows["table"].shape[:2].numel()


def test_the_layers_that_are_look_ups_say_so():
    torch.manual_seed(0)

    class Tables(nn.Module):
        """Two tables, looked up side by side."""

        def __init__(self):
            super().__init__()
            self.tables, self.head = nn.Parameter(torch.randn(2, V, 4)), nn.Linear(4, 3)

        def forward(self, ids):
            return self.head(torch.tanh(torch.vmap(lambda table: F.embedding(ids, table))(self.tables).sum(0)).mean(1))

    audit = nfa.audit(Tables(), torch.randint(0, V, (20, 5)))
    assert {layer["name"]: layer.one_hot for layer in audit} == {"tables.0": True, "tables.1": True, "head": False}
