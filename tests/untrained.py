"""Untrained networks of many kinds, in which no layer knows where the output's gradients will be."""

import random

import torch
from torch import nn

ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.GELU, nn.SiLU, nn.ELU, nn.Sigmoid)
OUTPUTS = ("logits", "output:0", "predicted", "margin", "probabilities")


class Residual(nn.Module):
    """h + V act(norm(W h)): a block whose branch is as wide as its stem."""

    def __init__(self, width, activation):
        super().__init__()
        self.norm, self.act = nn.LayerNorm(width), activation()
        self.up, self.down = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, h):
        return h + self.down(self.act(self.up(self.norm(h))))


class Attention(nn.Module):
    """One head of attention over rows of a sequence, with separate weights, then a residual block."""

    def __init__(self, width, activation):
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.block = Residual(width, activation)

    def forward(self, h):
        shares = (self.query(h) @ self.key(h).transpose(1, 2) / h.shape[-1] ** 0.5).softmax(-1)
        return self.block(h + self.out(shares @ self.value(h)))


class Sequence(nn.Module):
    """Rows of a sequence, their mean, a head."""

    def __init__(self, d, width, c, activation):
        super().__init__()
        self.first, self.attention, self.head = nn.Linear(d, width), Attention(width, activation), nn.Linear(width, c)

    def forward(self, x):
        return self.head(self.attention(self.first(x)).mean(1))


def _drawn(net, init, generator):
    """Draw all weights anew: torch's default stays, or normal ones, or He's, or the default times 0.1."""
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.Linear) and init != "default":
                size = {"normal": module.in_features**-0.5, "he": (2 / module.in_features) ** 0.5, "small": 0.0}[init]
                noise = torch.randn(module.weight.shape, generator=generator)
                module.weight.copy_(0.1 * module.weight if init == "small" else size * noise)
    return net.eval()


def untrained(seed, widths=(16, 32, 64, 128, 256, 512)):
    """Return a network, rows for it, and a choice of outputs."""
    chance = random.Random(seed)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    width, activation = chance.choice(widths), chance.choice(ACTIVATIONS)
    d, c, n = chance.choice((5, 20, 64, 200)), chance.choice((1, 3, 10)), 200
    X = torch.randn(n, d, generator=generator) * chance.choice((0.3, 1, 3)) + chance.choice((0, 0, 2))
    kind = chance.choice(("plain", "plain", "deep", "normed", "residual", "sequence"))
    if kind == "plain":
        depth = chance.choice((1, 2, 3))
        layers = [nn.Linear(d, width), activation()]
        for _ in range(depth - 1):
            layers += [nn.Linear(width, width), activation()]
    elif kind == "deep":
        layers = [nn.Linear(d, width), activation()]
        for _ in range(5):
            layers += [nn.Linear(width, width), activation()]
    elif kind == "normed":
        norm = chance.choice((nn.BatchNorm1d, nn.LayerNorm))
        layers = [nn.Linear(d, width), norm(width), activation(), nn.Linear(width, width), norm(width), activation()]
    else:
        layers = [nn.Linear(d, width), activation(), Residual(width, activation), Residual(width, activation)]
    net = nn.Sequential(*layers, nn.Linear(width, c))
    if kind == "sequence":
        net, X = Sequence(d, width, c, activation), torch.randn(60, 4, d, generator=generator)
    outputs = chance.choice([each for each in OUTPUTS if c > 1 or each in ("logits", "output:0", "probabilities")])
    return _drawn(net, chance.choice(("default", "normal", "he", "small")), generator), X, outputs
