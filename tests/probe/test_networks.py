"""The probe on the networks that people write: every layer's AGOP against dense gradients."""

import copy

import pytest
import torch
import torch.nn.functional as F
from helpers import assert_same_table, gaussian
from torch import nn
from torch.func import jacrev, vmap
from torch.nn.utils import parametrizations, prune

import nfa


def dense_agop(net, X, name, chosen=lambda f: f, weight=None):
    """AGOP of one module's weight, rows of all its calls pooled, by bumping z and differentiating densely."""
    net.eval()
    module = net.get_submodule(name)
    shapes = []
    handle = module.register_forward_hook(lambda m, i, z: shapes.append(z.shape[1:]))
    net(X[:1])
    handle.remove()
    W = (module.weight if weight is None else weight).detach()
    outer, rows = 0, 0
    for call, shape in enumerate(shapes):

        def bumped(eps, x, call=call):
            calls = []

            def bump(m, i, z):
                calls.append(0)
                return z + eps if len(calls) == call + 1 else z

            handle = module.register_forward_hook(bump)
            f = chosen(net(x[None]))[0]
            handle.remove()
            return f.flatten()

        delta = vmap(jacrev(bumped), in_dims=(None, 0))(torch.zeros(shape, dtype=X.dtype), X).detach()
        J = delta.flatten(2, -2) @ W if delta.ndim > 3 else (delta @ W)[:, :, None]
        outer = outer + torch.einsum("nctd,ncte->de", J, J)
        rows += J.shape[0] * J.shape[2]
    return outer / rows


def block(*layers):
    return nn.Sequential(*layers).double()


class Wired(nn.Module):
    """Three layers, wired in one of the usual ways."""

    def __init__(self, way):
        super().__init__()
        self.way = way
        self.first, self.last = nn.Linear(4, 4), nn.Linear(8 if way == "dense" else 4, 3)
        self.left, self.right = nn.Linear(4, 4, bias=False), nn.Linear(4, 4)
        self.double()

    def forward(self, x):
        if self.way == "residual":
            h = x + torch.tanh(self.first(x))
            return self.last(h + torch.relu_(self.left(h)) + self.right(h))
        if self.way == "dense":
            h = torch.cat([x, F.gelu(self.first(x))], 1)
            return self.last(h) + self.left(x)[:, :3] * self.right(x)[:, 1:]
        h = torch.tanh(self.first(x))
        return self.last(torch.relu(self.left(h)) * torch.sigmoid(self.right(h)))


NETWORKS = {
    "sequential": lambda: block(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)),
    "in place": lambda: block(nn.Linear(4, 6), nn.ReLU(True), nn.Linear(6, 5), nn.ELU(1, True), nn.Linear(5, 3)),
    "dropout, batch norm": lambda: block(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 3), nn.BatchNorm1d(3)
    ),
    "layer norm": lambda: block(nn.LayerNorm(4), nn.Linear(4, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 3)),
    "residual": lambda: Wired("residual"),
    "dense": lambda: Wired("dense"),
    "rejoining": lambda: Wired("rejoining"),
    "weight norm": lambda: block(parametrizations.weight_norm(nn.Linear(4, 6)), nn.Tanh(), nn.Linear(6, 3)),
    "spectral norm": lambda: block(parametrizations.spectral_norm(nn.Linear(4, 6)), nn.Tanh(), nn.Linear(6, 3)),
    "orthogonal": lambda: block(parametrizations.orthogonal(nn.Linear(4, 6)), nn.Tanh(), nn.Linear(6, 3)),
    "pruned": lambda: block(prune.random_unstructured(nn.Linear(4, 6), "weight", 0.4), nn.Tanh(), nn.Linear(6, 3)),
    "frozen": lambda: block(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).requires_grad_(False),
}  # fmt: skip


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_layer_of_what_people_write(kind):
    torch.manual_seed(0)
    net, X = NETWORKS[kind]().train(), gaussian(15, 4)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    before = copy.deepcopy(net.state_dict())
    audit = nfa.audit(net, X)
    names = [name for name, module in net.named_modules() if isinstance(module, nn.Linear)]
    assert sorted(layer["name"] for layer in audit) == sorted(names)
    assert not audit.skipped
    for layer in audit:
        torch.testing.assert_close(layer.agop.dense(), dense_agop(net, X, layer["name"]))
        torch.testing.assert_close(layer.weight, net.eval().get_submodule(layer["name"]).weight.detach())
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated")
def test_a_weight_that_hooks_make_anew_at_every_call():
    torch.manual_seed(0)
    made = block(nn.utils.weight_norm(nn.Linear(4, 6)), nn.Tanh(), nn.utils.spectral_norm(nn.Linear(6, 3)))
    X = gaussian(15, 4)
    made.eval()(X)
    plain = block(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    for number in (0, 2):
        plain[number].weight.data, plain[number].bias.data = made[number].weight.data, made[number].bias.data
    assert_same_table(nfa.audit(made, X), nfa.audit(plain, X), 1e-10)


class LoRA(nn.Module):
    """A frozen layer and a low-rank update, beside it or merged into its weight."""

    def __init__(self, merged):
        super().__init__()
        self.base, self.merged = nn.Linear(5, 4).requires_grad_(False), merged
        self.A, self.B = nn.Parameter(torch.randn(2, 5)), nn.Parameter(torch.randn(4, 2))

    def forward(self, x):
        if self.merged:
            return F.linear(x, self.base.weight + 0.5 * self.B @ self.A, self.base.bias)
        return self.base(x) + 0.5 * (x @ self.A.T) @ self.B.T


def test_low_rank_updates_are_layers_of_their_own_or_part_of_a_weight():
    torch.manual_seed(0)
    beside, X = block(LoRA(merged=False), nn.Tanh(), nn.Linear(4, 3)), gaussian(12, 5)
    merged = copy.deepcopy(beside)
    merged[0].merged = True
    whole = nfa.audit(merged, X)
    assert [layer["name"] for layer in whole] == ["0", "2"]
    torch.testing.assert_close(whole["0"].weight, (merged[0].base.weight + 0.5 * merged[0].B @ merged[0].A).detach())
    parts = nfa.audit(beside, X)
    assert [layer["name"] for layer in parts] == ["0.base", "0.A", "0.B", "2"]
    # The gradient at z is the same through either: a layer's gradient is the one through that layer.
    torch.testing.assert_close(parts["0.base"].S, whole["0"].S)
    A, B = merged[0].A.detach(), merged[0].B.detach()
    torch.testing.assert_close(parts["0.A"].S, 0.25 * B.T @ whole["0"].S @ B)
    torch.testing.assert_close(parts["0.A"].nfm.dense(), A.T @ A)


def test_a_shared_module_pools_and_shared_weights_are_layers_of_their_own():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
            self.two.weight = self.one.weight
            self.double()

        def forward(self, x):
            return self.head(torch.tanh(self.two(torch.tanh(self.one(torch.tanh(self.one(x)))))))

    torch.manual_seed(0)
    net, X = Shared(), gaussian(10, 4)
    audit = nfa.audit(net, X)
    assert [(layer["name"], layer["rows"]) for layer in audit] == [("one", 20), ("two", 10), ("head", 10)]
    assert not audit.skipped
    for layer in audit:
        torch.testing.assert_close(layer.agop.dense(), dense_agop(net, X, layer["name"]))


def test_a_computed_weight_used_twice_is_one_layer():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = parametrizations.weight_norm(nn.Linear(4, 4))
            self.head = nn.Linear(4, 2)
            self.double()

        def forward(self, x):
            return self.head(torch.tanh(self.layer(torch.tanh(self.layer(x)))))

    net, X = Twice(), gaussian(10, 4)
    audit = nfa.audit(net, X)
    assert [(layer["name"], layer["rows"]) for layer in audit] == [("layer", 20), ("head", 10)]
    torch.testing.assert_close(audit["layer"].agop.dense(), dense_agop(net, X, "layer"))


def test_weights_that_depend_on_data_or_change_are_no_layers():
    class Hyper(nn.Module):
        def __init__(self):
            super().__init__()
            self.make, self.head = nn.Linear(3, 12), nn.Linear(4, 2)

        def forward(self, x):
            W = self.make(x).reshape(-1, 4, 3)
            return self.head((W @ x[:, :, None])[:, :, 0])

    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)
            self.register_buffer("step", torch.zeros(()))

        def forward(self, x):
            self.step += 1
            return F.linear(x, self.layer.weight * self.step)

    X = gaussian(8, 3, dtype=torch.float32)
    assert [layer["name"] for layer in nfa.audit(Hyper(), X)] == ["make", "head"]
    with pytest.raises(nfa.InputError, match="weight of layer layer changes from batch to batch"):
        nfa.audit(Noisy(), X)


def test_what_is_written_to_a_buffer_is_data():
    class Stored(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)
            self.register_buffer("last", torch.zeros(1, 3))

        def forward(self, x):
            self.last = self.last.new_zeros(len(x), 3)
            self.last.copy_(x)
            return self.layer(self.last)

    assert nfa.audit(Stored(), gaussian(8, 3, dtype=torch.float32))["layer"]["rows"] == 8


def test_kinds_that_are_no_linear_layers_are_named():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.GRU(4, 4, batch_first=True)
            self.pair, self.attention = nn.Bilinear(4, 4, 4), nn.MultiheadAttention(4, 2, batch_first=True)
            self.table = nn.Embedding(3, 4)
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            h = x + self.table((x[..., 0] > 0).long())
            h = self.rnn(h)[0]
            h = self.attention(h, h, h)[0]
            return self.head(self.pair(h, h).mean(1))

    audit = nfa.audit(Mixed(), gaussian(6 * 5, 4, dtype=torch.float32).reshape(6, 5, 4))
    assert [layer["name"] for layer in audit] == [
        "table",
        *("rnn.weight_ih_l0", "rnn.weight_hh_l0"),
        *(f"attention.{part}" for part in ("q", "k", "v", "out_proj")),
        "head",
    ]
    assert audit.skipped == [{"name": "pair", "kind": "Bilinear"}]


def test_layers_by_pattern(small):
    net, X = small
    everything = nfa.audit(net, X)
    chosen = nfa.audit(net, X, layers="*.[12]")
    assert [layer["name"] for layer in chosen] == ["layers.1", "layers.2"]
    assert chosen["layers.1"].row == everything["layers.1"].row
    with pytest.raises(nfa.InputError, match=r"layers: 'layer.1' is unknown; did you mean 'layers.1'"):
        nfa.audit(net, X, layers="layer.1")


def test_a_batch_that_makes_nan_is_named():
    class Root(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x):
            return self.layer(x.sqrt())

    X = torch.ones(30, 2)
    X[17] = -1
    with pytest.raises(nfa.InputError, match="output is not finite in the batch of sample 7"):
        nfa.audit(Root(), X, batch_size=3)


def test_positions_of_a_sequence_are_outputs_too():
    torch.manual_seed(0)
    net = block(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    X = gaussian(9 * 5, 4).reshape(9, 5, 4)
    audit = nfa.audit(net, X)
    assert (audit.about.n_outputs, audit[0]["rows"]) == (15, 45)
    for layer in audit:
        torch.testing.assert_close(layer.agop.dense(), dense_agop(net, X, layer["name"]))


def test_many_positions_ask_for_probes():
    torch.manual_seed(0)
    net = block(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    X = gaussian(40 * 30, 4).reshape(40, 30, 4)
    with pytest.raises(nfa.InputError, match=r"probes: 90 outputs \(30 x 3 for each sample\)"):
        nfa.audit(net, X)
    few = nfa.audit(net, X, outputs=lambda f: f.mean(1))
    assert few.about.n_outputs == 3
    exact, probed = dense_agop(net, X, "0"), nfa.audit(net, X, probes=64)["0"].agop.dense()
    assert float((probed - exact).norm() / exact.norm()) < 0.1


def test_an_embedding_keeps_whole_numbers_whole():
    torch.manual_seed(0)
    net = block(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(12, 5), nn.Tanh(), nn.Linear(5, 2))
    tokens = torch.randint(7, (20, 3))
    rest = net[2:]
    expected = nfa.audit(rest, net[:2](tokens).detach())
    for data in (tokens, tokens.numpy(), (tokens, torch.zeros(20, dtype=torch.int64))):
        got = nfa.audit(net, data)
        for layer, other in zip(list(got)[1:], expected, strict=True):
            torch.testing.assert_close(layer.agop.dense(), other.agop.dense())
    # Any other network takes whole numbers as real ones.
    linear = nn.Linear(3, 2)
    assert_same_table(nfa.audit(linear, tokens), nfa.audit(linear, tokens.float()), 1e-12)


def test_a_weight_that_is_added_to_data_is_named_with_the_operation():
    class Positions(nn.Module):
        def __init__(self):
            super().__init__()
            self.pos, self.head = nn.Parameter(torch.randn(3, 4)), nn.Linear(4, 2)

        def forward(self, x):
            return self.head(torch.tanh(x + self.pos[: x.shape[1]])).sum(1)

    assert nfa.audit(Positions(), torch.randn(20, 3, 4)).skipped == [{"name": "pos", "kind": "Positions, in add"}]
