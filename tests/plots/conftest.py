"""Small audits that all tests of figures share."""

import matplotlib as mpl
import pytest
import torch
from helpers import gaussian, perturbed

import nfa

mpl.use("Agg")


@pytest.fixture(scope="session")
def runs():
    """Three runs of one network, with init and targets."""
    net, X = nfa.MLP(6, [8, 5], n_outputs=3).double(), gaussian(40, 6)
    y = (X[:, 0] > 0).long()
    return [nfa.audit(perturbed(net, seed=seed), (X, y), net, published=seed == 0) for seed in range(3)]


@pytest.fixture(scope="session")
def audit(runs):
    """One of them."""
    return runs[0]


@pytest.fixture(scope="session")
def wide():
    """A network of other shapes under the same names."""
    net, X = nfa.MLP(6, [16, 5], n_outputs=3).double(), gaussian(40, 6)
    return nfa.audit(perturbed(net), X, net)


@pytest.fixture(scope="session")
def pictures():
    """A network of pictures, n x c x h x w."""
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    return nfa.audit(net, gaussian(20, 12, dtype=torch.float32).reshape(20, 3, 2, 2), perturbed(net))


@pytest.fixture(scope="session")
def named():
    """A network of a table with names."""
    data = nfa.Dataset(gaussian(20, 4).numpy(), feature_names=("age", "income", "<b>$x$</b>", "size"))
    return nfa.audit(nfa.MLP(4, [5], n_outputs=2).double(), data)


@pytest.fixture
def ax():
    """Axes of a column's width."""
    return nfa.plots.figure()[1]


@pytest.fixture(autouse=True)
def no_pyplot():
    """Leave no figure of pyplot behind."""
    yield
    import matplotlib.pyplot as plt

    plt.close("all")
