"""Convolutions against the same network of unfolded patches and linear layers, and against dense gradients."""

import copy
import json
import math

import pytest
import torch
import torch.nn.functional as F
from helpers import assert_same_table, gaussian
from torch import nn
from torch.func import jacrev, vmap

import nfa
from nfa.probe import Probe, activations, diagonal_blocks

SIZES = {1: (9,), 2: (6, 5), 3: (4, 3, 4)}
CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
RUN = {nn.Conv1d: F.conv1d, nn.Conv2d: F.conv2d, nn.Conv3d: F.conv3d}
RUN |= {
    nn.ConvTranspose1d: F.conv_transpose1d,
    nn.ConvTranspose2d: F.conv_transpose2d,
    nn.ConvTranspose3d: F.conv_transpose3d,
}

LAYERS = {
    "1d": (1, CONV[1](4, 6, 3)),
    "2d": (2, CONV[2](4, 6, (3, 2))),
    "3d": (3, CONV[3](4, 6, 2)),
    "stride": (2, CONV[2](4, 6, 3, stride=(2, 1), padding=(1, 0), bias=False)),
    "dilation": (1, CONV[1](4, 6, 3, dilation=2, padding=3)),
    "same": (2, CONV[2](4, 6, (2, 3), padding="same", dilation=(3, 1))),
    "valid": (1, CONV[1](4, 6, 2, padding="valid")),
    "reflect": (2, CONV[2](4, 6, 3, padding=(2, 1), padding_mode="reflect")),
    "circular same": (1, CONV[1](4, 6, 4, padding="same", padding_mode="circular")),
    "replicate": (3, CONV[3](4, 6, 2, padding=1, stride=2, padding_mode="replicate")),
    "1 x 1": (2, CONV[2](4, 6, 1)),
    "whole extent": (2, CONV[2](4, 6, (6, 5))),
    "groups": (2, CONV[2](4, 6, 2, groups=2)),
    "depthwise": (1, CONV[1](4, 8, 3, groups=4, padding=1)),
    "depthwise alone": (2, CONV[2](4, 4, 3, groups=4)),
    "transposed 1d": (1, TRANSPOSED[1](4, 3, 3)),
    "transposed 2d": (2, TRANSPOSED[2](4, 3, (3, 2), stride=2, padding=(1, 0), output_padding=(1, 0), bias=False)),
    "transposed 3d": (3, TRANSPOSED[3](4, 2, 2, dilation=2, output_padding=1)),
    "transposed groups": (2, TRANSPOSED[2](4, 6, 2, stride=3, groups=2, padding=1)),
}


class Unfolded(nn.Module):
    """A convolution as patches cut out by kernels of zeros and a one, and a linear layer for each group."""

    def __init__(self, conv):
        super().__init__()
        self.conv, self.run = [conv], RUN[type(conv)]
        self.transposed = conv.transposed
        G = conv.groups
        W = conv.weight.detach().reshape(G, len(conv.weight) // G, -1)
        W = W.mT if self.transposed else W
        self.linears = nn.ModuleList(nn.Linear(W.shape[2], W.shape[1], bias=False) for _ in range(G))
        for linear, each in zip(self.linears, W, strict=True):
            linear.weight.data = each.clone()

    def cut(self, x):
        """The rows: patches, or channels, last."""
        conv = self.conv[0]
        if self.transposed:
            return x.movedim(1, -1)
        if conv.padding_mode != "zeros":
            x, padding = F.pad(x, conv._reversed_padding_repeated_twice, mode=conv.padding_mode), 0
        else:
            padding = conv.padding
        width = x.shape[1] * math.prod(conv.kernel_size)
        one = torch.eye(width, dtype=x.dtype).reshape(width, x.shape[1], *conv.kernel_size)
        return self.run(x, one, None, conv.stride, padding, conv.dilation).movedim(1, -1)

    def back(self, z):
        conv = self.conv[0]
        z = z.movedim(-1, 1)
        if self.transposed:
            one = torch.eye(z.shape[1], dtype=z.dtype).reshape(z.shape[1], -1, *conv.kernel_size)
            z = self.run(z, one, None, conv.stride, conv.padding, conv.output_padding, 1, conv.dilation)
        return z if conv.bias is None else z + conv.bias.detach().reshape(-1, *[1] * len(conv.kernel_size))

    def forward(self, x):
        parts = self.cut(x).chunk(len(self.linears), -1)
        return self.back(torch.cat([linear(part) for linear, part in zip(self.linears, parts, strict=True)], -1))


def networks(kind):
    """A network with the convolution in its middle, the same unfolded, and data."""
    torch.manual_seed(0)
    axes, conv = LAYERS[kind]
    conv = conv.double()
    X = torch.randn(12, 2, *SIZES[axes], dtype=torch.float64)
    first = CONV[axes](2, 4, 1).double()
    size = conv(first(X)).flatten(1).shape[1]
    last = nn.Linear(size, 3).double()
    net = nn.Sequential(first, nn.Tanh(), conv, nn.Tanh(), nn.Flatten(), last)
    return net, nn.Sequential(first, nn.Tanh(), Unfolded(conv), nn.Tanh(), nn.Flatten(), last), X


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("kind", LAYERS)
def test_every_convolution_is_a_linear_layer_of_patches(kind):
    net, plain, X = networks(kind)
    y = torch.randint(3, (12,))
    torch.testing.assert_close(net(X), plain(X))
    audit, expected = nfa.audit(net, (X, y), loss="cross_entropy"), nfa.audit(plain, (X, y), loss="cross_entropy")
    groups = LAYERS[kind][1].groups
    assert not audit.skipped
    if groups == 1:
        assert [layer["name"] for layer in audit] == ["0", "2", "5"]
        assert_same_table(audit, expected, 1e-9, names=False)
    parts = [layer for layer in expected if layer["name"].startswith("2.")]
    got = audit["2"]
    for name in ("weight", "S", "S_centered"):
        whole = getattr(got, name)
        torch.testing.assert_close(
            whole, torch.block_diag(*(getattr(part, name) for part in parts)), rtol=1e-10, atol=1e-12
        )
    for matrix in ("nfm", "agop", "agop_centered"):
        dense = torch.block_diag(*(getattr(part, matrix).dense() for part in parts))
        torch.testing.assert_close(getattr(got, matrix).dense(), dense, rtol=1e-10, atol=1e-12)
    assert {got["rows"]} == {part["rows"] for part in parts}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("kind", LAYERS)
def test_agop_of_patches_is_that_of_dense_gradients(kind):
    net, plain, X = networks(kind)
    unfolded, groups = plain[2], LAYERS[kind][1].groups
    rows = unfolded.cut(torch.tanh(net[0](X))).detach()

    def after(h):
        W = torch.block_diag(*(linear.weight.detach() for linear in unfolded.linears))
        return plain[3:](unfolded.back((h @ W.T)[None]))[0]

    J = vmap(jacrev(after))(rows).flatten(2, -2)  # samples x outputs x positions x d
    J = J.unflatten(-1, (groups, -1))
    blocks = torch.einsum("ncpgd,ncpge->gde", J, J) / (J.shape[0] * J.shape[2])
    torch.testing.assert_close(nfa.agop(net, X)["2"].dense(), torch.block_diag(*blocks), rtol=1e-10, atol=1e-14)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("kind", LAYERS)
def test_rows_and_other_weights(kind):
    net, plain, X = networks(kind)
    with Probe(net, X) as probe:
        layer = probe.layers[1]
        found = activations(probe, ["2"])
        other = torch.block_diag(*torch.randn_like(diagonal_blocks(layer.weight, layer.groups)))
        changed = activations(probe, (), {"2": other}).outputs
        rows = plain[2].cut(torch.tanh(net[0](X)))
        torch.testing.assert_close(found.rows["2"], rows.flatten(1, -2).detach())
        conv = LAYERS[kind][1]
        shape = (4,) if conv.transposed else (4, *conv.kernel_size)
        assert (layer.groups, layer.row_shape) == (conv.groups, shape)
        assert layer.weight.shape[1] == math.prod(shape)
        for linear, block in zip(plain[2].linears, diagonal_blocks(other, layer.groups), strict=True):
            linear.weight.data = block
        torch.testing.assert_close(changed, plain(X).detach())
        if layer.groups > 1:
            with pytest.raises(nfa.InputError, match=rf"weights: 2 is a convolution in {layer.groups} groups"):
                activations(probe, (), {"2": torch.ones_like(layer.weight)})


def test_a_kernel_used_twice_pools_its_patches_and_batches_do_not_matter():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv1d(3, 3, 3, padding=1, groups=1), nn.Linear(21, 2)

        def forward(self, x):
            return self.head(torch.tanh(self.conv(torch.tanh(self.conv(x)))).flatten(1))

    torch.manual_seed(0)
    net, X = Twice().double(), gaussian(15, 21).reshape(15, 3, 7)
    audit = nfa.audit(net, X)
    assert audit["conv"]["rows"] == 15 * 7 * 2
    assert_same_table(nfa.audit(net, X, batch_size=4), audit, 1e-10)


def test_computed_kernels_and_operators_of_torch():
    class Written(nn.Module):
        def __init__(self):
            super().__init__()
            self.plain = nn.Conv2d(2, 4, 3, padding=1)
            self.normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 3, bias=False))

        def forward(self, x, run=torch.ops.aten.convolution.default):
            z = run(x, self.plain.weight, self.plain.bias, [1, 1], [1, 1], [1, 1], False, [0, 0], 1)
            return torch.conv2d(z.tanh(), self.normed.weight).sum((2, 3))

    torch.manual_seed(0)
    net, X = Written().double(), gaussian(8, 50).reshape(8, 2, 5, 5)
    plain = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 4, 3, bias=False)).double()
    plain[0].load_state_dict(net.plain.state_dict())
    plain[2].weight.data = net.normed.weight.detach()
    audit = nfa.audit(net, X)
    assert [layer["name"] for layer in audit] == ["plain", "normed"]
    assert not audit.skipped
    assert_same_table(audit, nfa.audit(nn.Sequential(plain, Sum()), X), 1e-10, names=False)


class Sum(nn.Module):
    def forward(self, x):
        return x.sum((2, 3))


def test_a_kernel_that_data_make_is_no_layer():
    class Dynamic(nn.Module):
        def __init__(self):
            super().__init__()
            self.make, self.conv = nn.Linear(3, 6), nn.Conv1d(2, 3, 2)

        def forward(self, x):
            kernel = self.make(x)[:, None].reshape(-1, 1, 6)
            signal = self.conv(x[:, None].repeat(1, 2, 1)).flatten(1)
            return F.conv1d(signal[None], kernel, groups=len(x))[0]

    audit = nfa.audit(Dynamic().double(), gaussian(8, 3))
    assert {layer["name"] for layer in audit} == {"make", "conv"}


def test_substitution_and_published_numbers_of_convolutions():
    torch.manual_seed(0)
    net, start = (nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.Tanh(), nn.Conv2d(4, 3, 4)) for _ in range(2))
    flat = [nn.Sequential(each, nn.Flatten()).double() for each in (net, start)]
    X = gaussian(20, 72).reshape(20, 2, 6, 6)
    audit = nfa.audit(flat[0], X, init=flat[1], published=True)
    assert all(math.isfinite(audit[0][name]) for name in ("published_cosine_null", "untrained_cosine", "moved"))
    found = nfa.substitute(flat[0], X, audit=audit, alpha=0.5, draws=1).to_frame().set_index(["name", "matrix"])
    for matrix in ("nfm", "agop", "projector", "init"):
        assert found.loc[("0.0", matrix), "note"] == "no targets: no score"
    assert "0.0 is a convolution in 2 groups" in found.loc[("0.0", "random"), "note"]


@pytest.mark.parametrize("kind", ["groups", "depthwise", "transposed groups", "2d"])
def test_each_group_may_be_a_layer(kind):
    net, plain, X = networks(kind)
    groups, y = LAYERS[kind][1].groups, torch.randint(3, (12,))
    init = copy.deepcopy(net)
    for parameter in net.parameters():
        parameter.data += 0.1
    plain[2] = Unfolded(net[2])
    options = {"loss": "cross_entropy"}
    audit = nfa.audit(net, (X, y), init, groups=True, **options)
    expected = nfa.audit(plain, (X, y), **options)
    parts = [layer for layer in expected if layer["name"].startswith("2.")]
    names = [layer["name"] for layer in audit]
    assert names == ["0", *([f"2.{g}" for g in range(groups)] if groups > 1 else ["2"]), "5"]
    for name, part in zip(names[1:-1], parts, strict=True):
        torch.testing.assert_close(audit[name].weight, part.weight)
        torch.testing.assert_close(audit[name].S, part.S, rtol=1e-10, atol=1e-14)
        assert audit[name]["rows"] == part["rows"]
        assert audit[name]["fact_cosine"] == pytest.approx(part["fact_cosine"], nan_ok=True)
        assert 0 < audit[name]["init_cosine"] < 1
        assert math.prod(audit[name].row_shape) == audit[name]["d_in"]
    with Probe(net, X, groups=True) as own, Probe(plain, X) as other:
        last = names[-2]
        rows = activations(own, [last]).rows[last]
        torch.testing.assert_close(rows, activations(other, [parts[-1]["name"]]).rows[parts[-1]["name"]])
        W = torch.randn_like(parts[-1].weight)
        changed = activations(own, weights={last: W}).outputs
        torch.testing.assert_close(changed, activations(other, weights={parts[-1]["name"]: W}).outputs)


def test_a_row_keeps_its_shape(tmp_path):
    net, _, X = networks("groups")
    audit = nfa.audit(net, X)
    assert [layer.row_shape for layer in audit] == [(2, 1, 1), (4, 2, 2), (120,)]
    audit.save(tmp_path)
    assert [layer.row_shape for layer in nfa.Audit.load(tmp_path)] == [(2, 1, 1), (4, 2, 2), (120,)]
    whole = json.loads((tmp_path / "audit.json").read_text())
    whole["layers"][1]["row_shape"] = [4, 2, 3]
    (tmp_path / "audit.json").write_text(json.dumps(whole))
    with pytest.raises(nfa.InputError, match="does not hold a whole audit"):
        nfa.Audit.load(tmp_path)
    for layer in whole["layers"]:
        del layer["row_shape"]
    (tmp_path / "audit.json").write_text(json.dumps(whole))
    assert [layer.row_shape for layer in nfa.Audit.load(tmp_path)] == [(2,), (16,), (120,)]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("kind", LAYERS)
def test_a_matrix_of_patches_is_one_of_whole_inputs(kind):
    """x'Nx is the sum of h'Mh over the patches h of x."""
    net, plain, X = networks(kind)
    with Probe(net, X) as probe:
        patches = probe.layers[1].patches
    rows = plain[2].cut(torch.tanh(net[0](X))).detach().flatten(1, -2)
    conv, inputs = LAYERS[kind][1], torch.tanh(net[0](X)).detach()
    if conv.padding_mode != "zeros":  # the input of torch's operation is padded already
        inputs = F.pad(inputs, conv._reversed_padding_repeated_twice, mode=conv.padding_mode)
    assert patches.shape == inputs.shape[1:]
    R = gaussian(3, rows.shape[2])
    M = R.T @ R
    M = (M + M.T) / 2  # some processors round the two halves of a product differently
    N = patches.spread(M)
    whole = inputs.flatten(1)
    torch.testing.assert_close((whole @ N * whole).sum(1), (rows @ M * rows).sum((1, 2)))
    assert torch.equal(N, N.T)
    torch.testing.assert_close(patches.spread(M.diagonal()), N.diagonal())


@pytest.mark.parametrize("kind", ["groups", "transposed groups", "depthwise"])
def test_a_group_has_patches_of_its_own(kind):
    net, plain, X = networks(kind)
    inputs = torch.tanh(net[0](X)).detach()
    rows = plain[2].cut(inputs)
    with Probe(net, X, groups=True) as probe:
        found = [layer.patches for layer in probe.layers[1:-1]]
    for patches, part in zip(found, rows.chunk(len(found), -1), strict=True):
        ones = torch.ones(part.shape[-1], dtype=torch.float64)
        assert patches.width == len(ones)
        expected = part.square().flatten(1).sum(1)
        torch.testing.assert_close((inputs.flatten(1).square() * patches.spread(ones)).sum(1), expected)


def test_a_kernel_on_inputs_of_two_sizes_has_no_patches():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv1d(1, 2, 3), nn.Linear(8, 2)

        def forward(self, x):
            return self.head(torch.cat([self.conv(x), self.conv(x[..., 1:-2])], 2).flatten(1)[:, :8])

    with Probe(Twice(), torch.randn(5, 1, 7)) as probe:
        assert [layer.patches for layer in probe.layers] == [None, None]


def test_patches_are_kept_in_a_file(tmp_path):
    net, _, X = networks("groups")
    audit = nfa.audit(net, X, groups=True)
    audit.save(tmp_path)
    kept = [layer.patches for layer in nfa.Audit.load(tmp_path)]
    assert kept == [layer.patches for layer in audit]
    assert kept[1] is not None
    assert kept[-1] is None
    table = tmp_path / "audit.json"
    whole = json.loads(table.read_text())
    damage = {"kernel": [2], "shape": [4, 6], "stride": [0, 1], "groups": 1, "group": 2, "before": 1}
    for key, value in damage.items():
        damaged = json.loads(json.dumps(whole))
        damaged["layers"][1]["patches"][key] = value
        table.write_text(json.dumps(damaged))
        with pytest.raises(nfa.InputError, match=r"audit: .* does not hold a whole audit"):
            nfa.Audit.load(tmp_path)
    for layer in whole["layers"]:
        del layer["patches"]  # as in earlier files
    table.write_text(json.dumps(whole))
    assert [layer.patches for layer in nfa.Audit.load(tmp_path)] == [None] * 4
