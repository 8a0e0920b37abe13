"""Torch's graph and what networks do to it: in-place operations, views, parts outside it, checkpoints."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from helpers import assert_same_table, gaussian
from torch import nn
from torch.utils.checkpoint import checkpoint

import nfa


class Net(nn.Module):
    """Two layers, and a forward pass that a test writes."""

    def __init__(self, forward, d=4, k=6, c=2):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(d, k), nn.Linear(k, c)
        self.u, self.v = nn.Parameter(torch.randn(k)), nn.Parameter(torch.randn(d))
        self.buffer = torch.zeros(1, dtype=torch.float64)
        self.double()
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


def sequences(n=12, T=3, d=4):
    return gaussian(n * T, d).reshape(n, T, d)


def names(audit):
    return [layer["name"] for layer in audit]


def skipped(audit):
    return {each["name"]: each["kind"] for each in audit.skipped}


def residual(net, z, x):
    z += x.sum(-1, keepdim=True)
    return z


def first_two(net, z, x):
    z[:, :2] += 1.5 * x[:, :2, :1]
    return z


def chunk(net, z, x):
    z.chunk(2, -1)[0].tanh_()
    return z


def unbind(net, z, x):
    z.unbind(1)[0].mul_(0.3)
    return z


def of_a_view(net, z, x):
    z.mT.mul_(x.mean((1, 2), keepdim=True))
    return z


def scattered(net, z, x):
    return z.index_put_((torch.arange(len(z)),), x[:, :, :1].expand(-1, -1, 6), accumulate=True)


def twice(net, z, x):
    y = z * 2
    z.sigmoid_()
    return y + z


def into_out(net, z, x):
    return torch.tanh(z, out=torch.empty_like(z))


def kept(net, z, x):
    net.buffer.resize_(z.shape)
    return torch.tanh(z, out=net.buffer) * 1.0


def overwritten(net, z, x):
    return z.tanh_().mul_(0.5)


IN_PLACE = {
    "relu": (lambda net, z, x: z.relu_(), lambda z, x: z.relu()),
    "residual": (residual, lambda z, x: z + x.sum(-1, keepdim=True)),
    "part": (
        first_two,
        lambda z, x: torch.cat([z[:, :2] + 1.5 * x[:, :2, :1], z[:, 2:]], 1),
    ),
    "chunk": (chunk, lambda z, x: torch.cat([z[..., :3].tanh(), z[..., 3:]], -1)),
    "unbind": (unbind, lambda z, x: torch.cat([z[:, :1] * 0.3, z[:, 1:]], 1)),
    "view": (of_a_view, lambda z, x: z * x.mean((1, 2), keepdim=True)),
    "index_put": (scattered, lambda z, x: z + x[:, :, :1]),
    "twice": (twice, lambda z, x: 2 * z + z.sigmoid()),
    "out": (into_out, lambda z, x: z.tanh()),
    "kept": (kept, lambda z, x: z.tanh()),
    "overwritten": (overwritten, lambda z, x: z.tanh() * 0.5),
}
PRODUCTS = {
    "linear": lambda net, x: net.a(x),
    "no bias": lambda net, x: F.linear(x, net.a.weight),
    "left": lambda net, x: (net.a.weight @ x.mT).mT,
    "einsum": lambda net, x: torch.einsum("ntd,kd->knt", x, net.a.weight).permute(1, 2, 0),
}


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("way", IN_PLACE)
def test_what_is_written_in_place_counts_as_what_it_computes(way, product, frozen):
    in_place, plain = IN_PLACE[way]
    made = PRODUCTS[product]
    X = sequences()
    expected = nfa.audit(Net(lambda net, x: net.b(torch.tanh(plain(made(net, x), x)).mean(1))), X)
    net = Net(lambda net, x: net.b(torch.tanh(in_place(net, made(net, x), x)).mean(1)))
    got = nfa.audit(net.requires_grad_(not frozen), X)
    assert names(got) == ["a", "b"]
    assert_same_table(got, expected, 1e-9)
    assert net.buffer.grad_fn is None


def detached(net, x):
    return net.b(torch.tanh(net.a(x)).detach() + x.sum(1, keepdim=True))


def elsewhere(net, x):
    return net.b(torch.from_numpy(net.a(x).detach().tanh().numpy()))


class Silent(torch.autograd.Function):
    """A function whose backward pass returns nothing."""

    @staticmethod
    def forward(ctx, z):
        return z.tanh()

    @staticmethod
    def backward(ctx, gradient):
        return None


@pytest.mark.parametrize("forward", [detached, elsewhere, lambda net, x: net.b(Silent.apply(net.a(x)))])
def test_no_gradient_is_no_zero_where_the_outputs_depend_on_a_layer(forward):
    audit = nfa.audit(Net(forward), gaussian(12, 4))
    assert names(audit) == ["b"]
    assert skipped(audit)["a"] == "no gradient"


def test_that_outputs_depend_on_a_layer_may_be_hidden_by_rounding():
    """In bfloat16 no output changes with z; in float64 they do."""

    def faint(net, x):
        return net.b(torch.cat([x, x], 1)[:, :6]) + 1e-5 * net.a(x).detach()[:, :3]

    net = Net(faint)
    net.b = nn.Linear(6, 3)
    audit = nfa.audit(net.bfloat16(), gaussian(12, 4).bfloat16())
    assert names(audit) == ["b"]
    assert skipped(audit)["a"] == "no gradient"


def test_no_gradient_is_zero_where_the_outputs_depend_on_nothing_but_a_decision():
    def decided(net, x):
        choice = net.a(x).argmax(1)
        return net.b(F.one_hot(choice, 6).to(x.dtype)) + x.sum(1, keepdim=True)

    audit = nfa.audit(Net(decided), gaussian(40, 4))
    assert audit["a"]["agop_trace"] == 0
    assert "dead" in audit["a"]["note"]


def test_a_network_all_of_whose_layers_are_detached_is_refused():
    with pytest.raises(nfa.InputError, match="net: no gradient reaches layer a, on which its outputs depend"):
        nfa.audit(Net(lambda net, x: net.a(x).detach() + x.sum(1, keepdim=True)), gaussian(12, 4))


@pytest.mark.parametrize("product", [F.linear, lambda x, W: (x[:, None] * W).sum(2)])
def test_weights_made_of_vectors_outside_the_graph_are_measured_or_named(product):
    def made(net, x, inside):
        with torch.no_grad():
            W = torch.outer(net.u, net.v)
            z = product(x, W) if inside else None
        return net.b(torch.tanh(product(x, W) if z is None else z))

    for inside in (False, True):
        audit = nfa.audit(Net(lambda net, x, inside=inside: made(net, x, inside)), gaussian(12, 4))
        if product is F.linear and not inside:
            assert names(audit) == ["u+v", "b"]
        else:
            assert skipped(audit)["u+v"] == f"made of u, v, in {'no_grad' if product is F.linear else 'mul'}"
    plain = nfa.audit(Net(lambda net, x: net.b(torch.tanh(net.a(x) * net.u + net.u[:, None].T))), gaussian(12, 4))
    assert not plain.skipped


@pytest.mark.parametrize("scratch", [False, True])
def test_a_mask_in_memory_that_data_have_left_is_a_mask(scratch):
    def masked(net, x):
        if scratch:
            y = torch.randn(6, 4, dtype=torch.float64)
            y.mul_(x[:1, :1].detach())
            del y
        return net.b(torch.tanh(F.linear(x, net.a.weight * torch.ones(6, 4, dtype=torch.float64))))

    for _ in range(3):
        assert names(nfa.audit(Net(masked), gaussian(12, 4))) == ["a", "b"]


def test_a_weight_that_is_written_anew_in_the_same_memory_changes():
    class Cached(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)
            self.kept, self.calls = torch.zeros(2, 3), 0

        def forward(self, x):
            self.calls += 1
            with torch.no_grad():
                self.kept.copy_(self.layer.weight * self.calls)
            return F.linear(x, self.kept)

    with pytest.raises(nfa.InputError, match="weight of layer layer changes from batch to batch"):
        nfa.audit(Cached(), gaussian(8, 3, dtype=torch.float32))


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
def test_checkpointed_layers_are_measured(reentrant, frozen):
    def forward(net, x):
        return net.b(checkpoint(lambda y: net.a(y).relu_(), x * 1.0, use_reentrant=reentrant))

    X = gaussian(12, 4)
    expected = nfa.audit(Net(lambda net, x: net.b(net.a(x).relu())), X)
    got = nfa.audit(Net(forward).requires_grad_(not frozen), X)
    assert not got.skipped
    assert_same_table(got, expected, 1e-12)
    # Outside an audit, checkpoints are torch's own again.
    x = X.clone().requires_grad_()
    z = checkpoint(lambda y: y.sin(), x, use_reentrant=True)
    assert type(z.grad_fn).__name__ == "CheckpointFunctionBackward"


@pytest.mark.parametrize("second", [-1.0, 1.0])
def test_routed_layers_are_measured_whatever_the_first_rows(second):
    def routed(net, x):
        chosen = x[:, 0] > 0
        out = x.new_zeros(len(x), 6)
        out[chosen], out[~chosen] = net.a(x[chosen]), x[~chosen].repeat(1, 2)[:, :6]
        return net.b(out)

    X = gaussian(40, 4)
    X[:2, 0] = torch.tensor([1.0, second])
    net = Net(routed)
    audit = nfa.audit(net, X)
    assert names(audit) == ["a", "b"]
    assert audit["a"]["rows"] == int((X[:, 0] > 0).sum())
    torch.testing.assert_close(audit["a"].S, net.b.weight.detach().T @ net.b.weight.detach())


@pytest.mark.parametrize("order", ["samples first", "time first", "mixed"])
def test_rows_that_gradients_reach_late_are_laid_out_then(order):
    def late(net, x, order=order):
        n, T, _ = x.shape
        places = torch.arange(n * T).reshape(n, T)
        places = places.T.flatten() if order == "time first" else places.flatten()
        if order == "mixed":
            places = places.roll(1)
        h = x.flatten(0, 1)[places]
        z = torch.relu(net.a(h) - 100 * (h[:, :1] > 5))
        return net.b(z[places.argsort()].reshape(n, T, -1).sum(1))

    X = sequences(20, 3)
    X[:2, :, 0] = 10.0
    audit = nfa.audit(Net(late), X)
    if order == "mixed":
        assert names(audit) == ["b"]
        assert skipped(audit)["a"] == "samples not first"
        return
    assert_same_table(audit, nfa.audit(Net(partial(late, order="samples first")), X), 1e-9)
    assert names(audit) == ["a", "b"]


def two_views(z, x):
    z[:, 2:].mul_(2).tanh_()
    z.view(-1, 6).add_(x[:, :1])
    return z


def three_views(z, x):
    first = z[:, :4].exp_()
    z[:, 4:].exp_().mul_(first[:, :2])
    z.view(-1)[:].div_(2.0)
    return z


@pytest.mark.parametrize(
    ("in_place", "plain"),
    [
        (two_views, lambda z, x: torch.cat([z[:, :2], (2 * z[:, 2:]).tanh()], 1) + x[:, :1]),
        (three_views, lambda z, x: torch.cat([z[:, :4].exp(), z[:, 4:].exp() * z[:, :2].exp()], 1) / 2),
    ],
)
def test_several_views_of_one_memory_may_be_written_to(in_place, plain):
    X = gaussian(12, 4)
    expected = nfa.audit(Net(lambda net, x: net.b(plain(net.a(x), x))), X)
    assert_same_table(nfa.audit(Net(lambda net, x: net.b(in_place(net.a(x), x))), X), expected, 1e-9)


def cached(net, x):
    if not hasattr(net, "made"):
        net.made = torch.outer(net.u, net.v)
    return net.b(torch.tanh(x @ net.made.T))


def test_a_weight_that_is_kept_from_run_to_run_is_measured():
    X = gaussian(12, 4)
    audit = nfa.audit(Net(cached), X)
    expected = nfa.audit(Net(lambda net, x: net.b(torch.tanh(x @ torch.outer(net.u, net.v).T))), X)
    assert_same_table(audit, expected, 1e-9)
    assert names(audit) == ["u+v", "b"]


def test_a_complex_weight_is_named():
    def forward(net, x):
        W = torch.complex(net.a.weight, net.a.weight.flip(0))
        return net.b(torch.tanh((x + 0j) @ W.T).abs())

    audit = nfa.audit(Net(forward), gaussian(12, 4))
    assert names(audit) == ["b"]
    assert skipped(audit)["a"] == "Linear, in matmul of complex numbers"


@pytest.mark.parametrize("scripted", [torch.jit.script, lambda module: torch.jit.trace(module, torch.randn(2, 6))])
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_scripted_part_is_named_and_left_as_it_was(scripted):
    part = scripted(nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6)).eval())
    net = nn.Sequential(nn.Linear(4, 6), part, nn.Linear(6, 2)).train()
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    modes = [module.training for module in net.modules()]
    audit = nfa.audit(net, torch.randn(12, 4))
    assert names(audit) == ["0", "2"]
    assert [each["name"] for each in audit.skipped if each["name"].startswith("1")]
    assert [module.training for module in net.modules()] == modes
    for name, buffer in net.named_buffers():
        assert torch.equal(buffer, before[name])
