"""Weights that an ONNX file keeps once and modules share, and those it keeps twice: layers as in the module."""

import pytest
import torch
import torch.nn.functional as F
from helpers import gaussian
from onnx_files import draw, exported, node, same_tables, skip_old_exporter, written
from torch import nn

import nfa


class Tied(nn.Module):
    """Two modules with one weight."""

    def __init__(self, bias=True):
        super().__init__()
        self.one, self.two, self.head = nn.Linear(6, 6, bias=bias), nn.Linear(6, 6, bias=bias), nn.Linear(6, 2)
        self.two.weight = self.one.weight

    def forward(self, x):
        return self.head(torch.tanh(self.two(torch.tanh(self.one(x)))))


class Equal(Tied):
    """Two modules with weights that happen to be equal."""

    def __init__(self):
        super().__init__()
        self.two = nn.Linear(6, 6)
        self.two.load_state_dict(self.one.state_dict())


class Deep(nn.Module):
    """Tied within blocks, and within a Sequential."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(6, 6, bias=False), nn.Tanh()) for _ in range(3))
        self.blocks[2][0].weight = self.blocks[0][0].weight
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Repeated(nn.Module):
    """A block run twice beside a module that is tied to it; `again_1` is no repetition of `again`."""

    def __init__(self):
        super().__init__()
        self.again = nn.Sequential(nn.Linear(6, 6, bias=False), nn.Tanh())
        self.again_1 = nn.Linear(6, 6)
        self.again_1.weight = self.again[0].weight
        self.other = nn.Linear(6, 6, bias=False)
        self.other.weight = self.again[0].weight

    def forward(self, x):
        return self.other(self.again_1(self.again(self.again(x))))


class Mirrored(nn.Module):
    """An autoencoder whose decoder is the encoder, transposed."""

    def __init__(self):
        super().__init__()
        self.encoder, self.shift = nn.Linear(6, 4), nn.Parameter(torch.randn(6))

    def forward(self, x):
        return F.linear(torch.tanh(self.encoder(x)), self.encoder.weight.T, self.shift)


class MirroredModules(nn.Module):
    """The same as two modules, the second of which starts as the first, transposed."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(6, 4), nn.Linear(4, 6)
        self.decoder.weight = nn.Parameter(self.encoder.weight.detach().T)

    def forward(self, x):
        return self.decoder(torch.tanh(self.encoder(x)))


class Turning(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def forward(self, x):
        return F.linear(x, self.weight.T)


class MirroredWithin(MirroredModules):
    """The same with one parameter that the second module transposes itself."""

    def __init__(self):
        super().__init__()
        self.decoder = Turning(self.encoder.weight)


class Bare(nn.Module):
    """The same with a parameter of the network itself."""

    def __init__(self):
        super().__init__()
        self.W = nn.Parameter(torch.randn(4, 6) / 2)

    def forward(self, x):
        return F.linear(torch.tanh(F.linear(x, self.W)), self.W.T)


NETS = [Tied, Equal, Deep, Repeated, Mirrored, MirroredModules, MirroredWithin, Bare]


@pytest.mark.parametrize("shape", [(6,), (3, 6)], ids=["rows", "sequences"])
@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "legacy"])
@pytest.mark.parametrize("kind", NETS)
def test_each_module_is_a_layer_and_a_module_used_twice_is_one(kind, dynamo, shape, tmp_path):
    torch.manual_seed(0)
    net = kind().eval()
    model = nfa.load(exported(net, shape, tmp_path / "net.onnx", dynamo))
    rows = gaussian(40, 18, dtype=torch.float32).reshape(-1, *shape)
    torch.testing.assert_close(model.net(rows), net(rows))
    names = None
    if kind is Bare and dynamo and len(shape) == 2:  # where the file has lost W's name
        skip_old_exporter()
        names = ["node_linear", "node_linear.T"]
    same_tables(net, model, rows, names)


def test_a_tied_weight_is_one_parameter(tmp_path):
    for dynamo in (True, False):
        net = nfa.load(exported(Tied(), (6,), tmp_path / "net.onnx", dynamo)).net
        assert net.one.weight is net.two.weight


def test_layers_that_nobody_names_are_not_taken_for_each_other(tmp_path):
    """Weights without names that are equal, or symmetric, belong to layers of their own."""
    square = draw(4, 4)
    nodes = [node("MatMul", "x val_0", "a"), node("Tanh", "a", "b"), node("MatMul", "b val_1", "y")]
    for weight in (square, square + square.T):
        model = nfa.load(written(tmp_path / "a.onnx", nodes, {"val_0": weight, "val_1": weight}, ["n", 4]))
        net = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Tanh(), nn.Linear(4, 4, bias=False))
        net[0].weight.data = net[2].weight.data = torch.from_numpy(weight.T.copy())
        same_tables(net, model, gaussian(40, 4, dtype=torch.float32), ["MatMul_0", "MatMul_1"])
