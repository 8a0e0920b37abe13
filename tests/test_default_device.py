"""Whatever torch's default device is: the package says where each of its tensors lies.

A script that calls `torch.set_default_device("cuda")` must not find them elsewhere. On a machine without a GPU, a mode
looks at each call that makes a tensor, and at the file it stands in.
"""

import sys
from pathlib import Path

import pytest
import torch
from helpers import gaussian
from torch import nn
from torch.overrides import TorchFunctionMode

import nfa
from nfa.rfm import LayerwiseRFM, RFMClassifier, RFMRegressorCV

PACKAGE = Path(nfa.__file__).parent.as_posix()
MAKERS = {
    *(torch.arange, torch.empty, torch.eye, torch.full, torch.linspace, torch.ones, torch.rand, torch.randint),
    *(torch.randn, torch.randperm, torch.tensor, torch.tril_indices, torch.triu_indices, torch.zeros, torch.as_tensor),
}


class Unplaced(TorchFunctionMode):
    """Notes the lines of the package that make a tensor without saying where."""

    def __init__(self):
        self.lines = set()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in MAKERS and (kwargs or {}).get("device") is None:
            caller = sys._getframe(1)
            file = caller.f_code.co_filename
            # That one asks which device is the default.
            if file.startswith(PACKAGE) and not file.endswith("network/examinable.py"):
                self.lines.add(f"{file.removeprefix(PACKAGE)}:{caller.f_lineno}")
        return function(*args, **(kwargs or {}))


def late():
    """A network whose first samples have no gradient, so that others are looked for."""
    net = nn.Sequential(nn.Linear(6, 5), nn.Sigmoid(), nn.Linear(5, 2))
    X = gaussian(80, 6, dtype=torch.float32)
    X[:40] *= 40 / (X[:40] @ net[0].weight.detach().T).abs().min()
    return net, X


def tracked(net, data):
    tracker = nfa.Tracker(net, data)
    return [tracker.record(epoch=epoch) for epoch in range(2)]


def calls():
    net, X = late()
    init = nn.Sequential(nn.Linear(6, 5), nn.Sigmoid(), nn.Linear(5, 2))
    y = torch.arange(80) % 2
    wide, images = nfa.MLP(6, 1100, 2, 2), torch.rand(20, 1, 6, 6)
    pictures = nn.Sequential(nn.Conv2d(1, 4, 3, groups=1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    sequences = nn.Sequential(nn.Linear(6, 8), nn.TransformerEncoderLayer(8, 2, 8, batch_first=True), nn.Flatten())
    return {
        "audit": lambda: nfa.audit(net, (X, y), init, loss="cross_entropy", weight_decay=0.1, published=True),
        "random probes": lambda: nfa.audit(nfa.MLP(6, 12, 2, 40), X, probes=4),
        "many outputs": lambda: nfa.audit(nfa.MLP(6, 12, 2, 40), X, init=nfa.MLP(6, 12, 2, 40, seed=1)),
        "few rows": lambda: nfa.audit(wide, X[:60]),
        "pictures": lambda: nfa.audit(pictures, (images, torch.arange(20) % 3)),
        "sequences": lambda: nfa.audit(sequences, gaussian(27, 6, dtype=torch.float32).reshape(9, 3, 6)),
        "tracker": lambda: tracked(net, (X, y)),
        "substitute": lambda: nfa.substitute(net, (X, y)),
        "train": lambda: nfa.train(nfa.MLP(6, 5, 1, 2), nfa.Dataset(X.numpy(), y.numpy()), epochs=2),
        "machine": lambda: RFMClassifier().fit(X, y).predict_proba(X),
        "search": lambda: RFMRegressorCV().fit(X.numpy(), X[:, 0].numpy()),
        "layers": lambda: LayerwiseRFM.from_network(net, X, y).fit(X.numpy(), y.numpy()),
    }


@pytest.mark.parametrize("name", calls())
def test_every_tensor_says_where_it_lies(name):
    with Unplaced() as mode:
        calls()[name]()
    assert sorted(mode.lines) == []
