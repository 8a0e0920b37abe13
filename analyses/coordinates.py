"""What a network and an RFM make of each input coordinate: the diagonals of NFM, AGOP and M."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from analyses.analysis import Cell, Row
from analyses.setting import trained
from nfa.data import Dataset
from nfa.features import agop, nfm
from nfa.network import MLP
from nfa.rfm.kernels import kernel_named
from nfa.rfm.machine import KernelMachine
from nfa.rfm.recursion import Problem, Recipe, recursion
from nfa.rfm.solving.choosing import plan

Diagonals = dict[str, NDArray[np.float64]]

NETWORK: dict[str, Any] = {
    "model": "network",
    "width": 256,
    "depth": 2,
    "activation": "relu",
    "init": "default",
    "loss": "onehot_mse",
    "optimizer": "adam",
    "lr": 1e-3,
    "epochs": 50,
    "batch_size": 128,
    "weight_decay": 0.0,
    "kernel": None,
    "bandwidth": None,
    "ridge": None,
    "updates": None,
}
"""Settings of a network, and of no RFM."""

RFM: dict[str, Any] = dict.fromkeys(NETWORK) | {
    "model": "rfm",
    "kernel": "laplace",
    "bandwidth": 1.0,
    "ridge": 1e-3,
    "updates": 3,
}
"""Settings of an RFM, and of no network. The bandwidth is in median distances."""


@dataclass(frozen=True)
class Learned:
    """A fitted model.

    Args:
        outputs: Rows (n x d) to outputs (n x c).
        diagonals: By matrix: "nfm", "agop" and "init_nfm" (before training) of a network's first layer, "M" of an RFM.
    """

    outputs: Callable[[NDArray[Any]], Tensor]
    diagonals: Diagonals

    def accuracy(self, X: NDArray[Any], y: NDArray[np.int64]) -> float:
        """Return the share of rows whose largest output is their class."""
        return accuracy(self.outputs(X), y)


def accuracy(outputs: Tensor, y: NDArray[np.int64]) -> float:
    """Return the share of rows whose largest output is their class.

    >>> accuracy(torch.tensor([[0.0, 1.0], [2.0, 1.0]]), np.array([1, 1]))
    0.5
    """
    return float((outputs.argmax(1).numpy() == y).mean())


def share(diagonal: NDArray[np.float64], mask: NDArray[np.bool_]) -> float:
    """Return the part of the trace that lies on some coordinates.

    >>> share(np.array([1.0, 3.0]), np.array([False, True]))
    0.75
    """
    return float(diagonal[mask].sum() / diagonal.sum())


def picture_rows(quantity: str, values: NDArray[Any], data: Dataset) -> Iterator[Row]:
    """Yield a number for each pixel of a data set's pictures, channels added up: quantity, value, row and column.

    >>> rows = list(picture_rows("x", np.arange(8.0), Dataset(np.zeros((1, 8)), feature_shape=(2, 2, 2))))
    >>> rows[1]
    {'quantity': 'x', 'value': 6.0, 'row': 0, 'column': 1}
    """
    assert data.feature_shape is not None
    pixels = values.reshape(-1, *data.feature_shape[-2:]).sum(axis=0)
    for (row, column), value in np.ndenumerate(pixels):
        yield {"quantity": quantity, "value": float(f"{value:.4g}"), "row": row, "column": column}


def learned(data: Dataset, cell: Cell) -> Learned:
    """Fit a cell's model, as `NETWORK` or `RFM` has its settings, to the training rows."""
    if cell["model"] == "rfm":
        *_, machine = machines(data, cell)
        return Learned(lambda X: predicted(machine, X), {"M": of_machine(machine)})
    training = trained(data, cell)
    net, init = training.net, training.init
    assert isinstance(net, MLP)
    assert isinstance(init, MLP)
    before = {"init_nfm": of_network(init, data.part("train").X)["nfm"]}
    return Learned(lambda X: outputs_of(net, X), of_network(net, data.part("train").X) | before)


def machines(data: Dataset, cell: Cell, raw: bool = False) -> Iterator[KernelMachine]:
    """Yield the machine under M = I, and after each of a cell's updates; targets are one-hot.

    Args:
        data: Its training rows are fitted.
        cell: The settings.
        raw: Whether the bandwidth is in units of the rows and M the AGOP as it is; else the bandwidth is in median
            distances and M over its largest entry.
    """
    train = data.part("train")
    assert train.y is not None
    X = torch.from_numpy(train.X).double()
    scales: dict[str, Any] = {"bandwidth_scale": None, "M_scale": None} if raw else {}
    recipe = Recipe(kernel_named(cell["kernel"]), bandwidth=cell["bandwidth"], ridge=cell["ridge"], **scales)
    targets = F.one_hot(torch.from_numpy(train.y), data.n_outputs).double()
    problem, solver = Problem.of(X, targets, None, recipe.kernel), plan(len(X), X.element_size(), memory_budget=8.0)
    M, generator = torch.eye(data.d, dtype=torch.float64), torch.Generator().manual_seed(cell["seed"])
    for step in recursion(problem, M, recipe, solver, int(cell["updates"]), generator):
        yield step.machine


def of_machine(machine: KernelMachine) -> NDArray[np.float64]:
    """Return the diagonal of M."""
    return machine.metric.M.diagonal().numpy().copy()


def of_network(net: MLP, X: NDArray[Any]) -> Diagonals:
    """Return the diagonals of the first layer's NFM and AGOP over rows."""
    first = net.layers[0]
    weight = first.weight.detach()
    assert isinstance(weight, Tensor)
    found = agop(net, torch.from_numpy(X), layers="layers.0")["layers.0"]
    return {"nfm": nfm(weight).diagonal().double().numpy(), "agop": found.diagonal().double().numpy()}


def predicted(machine: KernelMachine, X: NDArray[Any]) -> Tensor:
    """Return an RFM's outputs."""
    return machine.predict(torch.from_numpy(X).double())


def outputs_of(net: MLP, X: NDArray[Any]) -> Tensor:
    """Return a network's outputs."""
    with torch.no_grad():
        return torch.cat([net(rows) for rows in torch.from_numpy(X).split(4096)])
